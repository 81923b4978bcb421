"""The work port: what registers ask. Every call carries the register's login and secret."""

from base64 import b64decode

from django.http import HttpRequest, HttpResponse
from django.urls import path

from reference_bonus_server import loyalty
from reference_bonus_server.models import Operation, RegisterAccount, same_secret
from reference_bonus_server.replies import (
    Refused,
    amount,
    body_of,
    choice,
    is_text,
    methods,
    money,
    reply,
    stamp,
    text,
    unknown_path,
)


class RegisterRequest(HttpRequest):
    register: RegisterAccount  # The caller, set by `authenticate`.


def authenticate(request: RegisterRequest) -> None:
    """Marks the register as seen. Raises Refused (401 unauthorized, 403 register_blocked)."""
    login, secret = credentials(request.headers.get("Authorization", ""))
    register = RegisterAccount.objects.filter(login=login).first()
    if not same_secret(secret, register.secret_digest if register else "") or register is None:
        raise Refused(
            401,
            "unauthorized",
            "The register's login or secret is missing or wrong.",
            WWW_Authenticate='Basic realm="bonus", charset="UTF-8"',
        )
    register.mark_seen()
    request.register = register
    if register.blocked:
        raise Refused(403, "register_blocked", "This register is blocked.")


def credentials(header: str) -> tuple[str, str]:
    """Login and secret of HTTP Basic, empty when they can't be read."""
    scheme, _, encoded = header.partition(" ")
    try:
        login, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    if scheme.lower() != "basic" or not is_text(login):
        return "", ""
    return login, secret


def card(request: RegisterRequest, card: str) -> HttpResponse:
    known = loyalty.known_card(card)
    return reply(
        card=known.card,
        account=known.account,
        status=known.status,
        status_name=known.status_name,
        balance=money(loyalty.balance(known.account)) if known.account else None,
    )


def pin(request: RegisterRequest, card: str) -> HttpResponse:
    pin = text(body_of(request), "pin")
    guard = loyalty.check_pin(loyalty.linked_account(loyalty.known_card(card)), pin)
    return reply(
        right=not guard.wrong,
        attempts_left=loyalty.PIN_ATTEMPTS - guard.wrong,
        locked_until=stamp(guard.locked_until),
    )


def operations(request: RegisterRequest) -> HttpResponse:
    body = body_of(request)
    order = Operation(
        register=request.register.register,
        number=text(body, "operation", limit=64),
        card=text(body, "card"),
        kind=choice(body, "kind", Operation.Kind.values),
        amount=amount(body, "amount"),
    )
    operation, repeated = loyalty.book(order)
    return reply(
        200 if repeated else 201,
        operation=operation.number,
        card=operation.card,
        account=operation.account,
        kind=operation.kind,
        amount=money(operation.amount),
        balance=money(operation.balance),
        time=stamp(operation.created),
        repeated=repeated,
    )


handler404 = unknown_path
urlpatterns = [
    path("cards/<card>", methods(GET=card)),
    path("cards/<card>/pin", methods(POST=pin)),
    path("operations", methods(POST=operations)),
]
