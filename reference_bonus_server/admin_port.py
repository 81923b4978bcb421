"""The administration port: the accounts of registers. Every request carries the API token."""

from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

from reference_bonus_server import VERSION
from reference_bonus_server.models import RegisterAccount, same_secret
from reference_bonus_server.replies import (
    Refused,
    body_of,
    is_text,
    methods,
    reply,
    stamp,
    text,
    unknown_path,
)

LARGEST_PAGE = 5000
COUNTED_EXACTLY = 100_000


def authenticate(request: HttpRequest) -> None:
    """Raises Refused (401 unauthorized)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token_digest = request.META["reference_bonus_server.token_digest"]
    if scheme.lower() != "bearer" or not same_secret(token.strip(), token_digest):
        raise Refused(
            401, "unauthorized", "The API token is missing or wrong.", WWW_Authenticate="Bearer"
        )


def status(request: HttpRequest) -> HttpResponse:
    register_accounts = RegisterAccount.objects.aggregate(
        accounts=Count("id"), blocked=Count("id", filter=Q(blocked=True))
    )
    return reply(
        name=request.META["reference_bonus_server.name"],
        version=VERSION,
        time=stamp(timezone.now()),
        counts={
            **register_accounts,
            "cards": rows_in('"cardAccounting"'),
            "pins": rows_in("pincode"),
            "assets": rows_in("asset"),
        },
    )


def rows_in(table: str) -> int:
    """Exact for a small table. For a large one PostgreSQL's estimate, which takes no time."""
    with connection.cursor() as cursor:
        cursor.execute("select reltuples::bigint from pg_class where oid = %s::regclass", [table])
        (rows,) = cursor.fetchone()
        if rows < COUNTED_EXACTLY:
            cursor.execute(f"select count(*) from {table}")  # noqa: S608 - It is our constant.
            (rows,) = cursor.fetchone()
    return int(rows)


def list_accounts(request: HttpRequest) -> HttpResponse:
    limit = page_size(request.GET.get("limit", "1000"))
    after = request.GET.get("after", "")
    if after and not is_text(after):
        raise Refused(400, "bad_field", '"after" must be a register, as "next" named it.')
    rows = list(RegisterAccount.objects.filter(register__gt=after)[: limit + 1])
    page = rows[:limit]
    return reply(
        accounts=[row.as_json() for row in page],
        next=page[-1].register if len(rows) > limit else None,
    )


def page_size(limit: str) -> int:
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= LARGEST_PAGE:
        raise Refused(400, "bad_field", f'"limit" must be a number from 1 to {LARGEST_PAGE}.')
    return int(limit)


def create_account(request: HttpRequest) -> HttpResponse:
    body = body_of(request)
    register = text(body, "register")
    if "/" in register or register in {".", ".."}:
        raise Refused(
            400,
            "bad_field",
            '"register" is part of URLs: it may not contain "/" or be "." or "..".',
        )
    shop, name = text(body, "shop"), text(body, "name")
    try:
        with transaction.atomic():
            register_account, secret = RegisterAccount.issue(register, shop, name)
    except IntegrityError:
        raise Refused(
            409, "register_exists", "This register has an account already; delete it first."
        ) from None
    return reply(201, **register_account.as_json(), secret=secret)


def delete_account(request: HttpRequest, register: str) -> HttpResponse:
    existing(register).delete()
    return HttpResponse(status=204)


def set_blocked(request: HttpRequest, register: str, blocked: bool) -> HttpResponse:
    RegisterAccount.objects.filter(pk=existing(register).pk).update(blocked=blocked)
    return reply(**existing(register).as_json())


def existing(register: str) -> RegisterAccount:
    """Raises Refused (404 register_unknown)."""
    accounts = RegisterAccount.objects.filter(register=register if is_text(register) else "")
    register_account = accounts.first()
    if register_account is None:
        raise Refused(404, "register_unknown", "This register has no account here.")
    return register_account


handler404 = unknown_path
urlpatterns = [
    path("status", methods(GET=status)),
    path("accounts", methods(GET=list_accounts, POST=create_account)),
    path("accounts/<register>", methods(DELETE=delete_account)),
    path("accounts/<register>/block", methods(POST=set_blocked), {"blocked": True}),
    path("accounts/<register>/unblock", methods(POST=set_blocked), {"blocked": False}),
]
