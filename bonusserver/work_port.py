"""The work port: what registers ask. Every call carries the register's login and secret."""

from base64 import b64decode

from django.http import HttpRequest, HttpResponse
from django.urls import path

from bonusserver import loyalty
from bonusserver.models import CardAccounting, Operation, RegisterAccount, same_secret
from bonusserver.replies import (
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
    register: RegisterAccount  # who calls: set by `authenticate`


def authenticate(request: RegisterRequest) -> None:
    """Marks the register as seen. Raises Refused (401 unauthorized, 403 register_blocked)."""
    login, secret = credentials(request.headers.get("Authorization", ""))
    account = RegisterAccount.objects.filter(login=login).first()
    if not same_secret(secret, account.secret_digest if account else "") or account is None:
        raise Refused(
            401,
            "unauthorized",
            "The register's login or secret is missing or wrong.",
            WWW_Authenticate='Basic realm="bonus", charset="UTF-8"',
        )
    account.seen()
    request.register = account
    if account.blocked:
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
    held = card_named(card)
    balance = loyalty.balance(held.account) if held.account else None
    return reply(
        {
            "card": held.card,
            "account": held.account,
            "status": held.status,
            "status_name": held.status_name,
            "balance": None if balance is None else money(balance),
        }
    )


def pin(request: RegisterRequest, card: str) -> HttpResponse:
    given = text(body_of(request), "pin")
    check = loyalty.check_pin(loyalty.linked(card_named(card)), given)
    return reply(
        {
            "right": check.right,
            "attempts_left": check.attempts_left,
            "locked_until": stamp(check.locked_until),
        }
    )


def operations(request: RegisterRequest) -> HttpResponse:
    body = body_of(request)
    wanted = Operation(
        register=request.register.register,
        number=text(body, "operation", limit=64),
        card=text(body, "card"),
        kind=choice(body, "kind", Operation.Kind.values),
        amount=amount(body, "amount"),
    )
    done, repeated = loyalty.book(wanted)
    return reply(
        {
            "operation": done.number,
            "card": done.card,
            "account": done.account,
            "kind": done.kind,
            "amount": money(done.amount),
            "balance": money(done.balance),
            "time": stamp(done.created),
            "repeated": repeated,
        },
        status=200 if repeated else 201,
    )


def card_named(number: str) -> CardAccounting:
    """Raises Refused (404 card_unknown)."""
    return loyalty.held_card(number if is_text(number) else "")


handler404 = unknown_path
urlpatterns = [
    path("cards/<card>", methods(GET=card)),
    path("cards/<card>/pin", methods(POST=pin)),
    path("operations", methods(POST=operations)),
]
