"""The rules of bonuses: what a card may do, what an account holds, and who knows its PIN."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import F, Sum
from django.utils import timezone

from bonusserver.models import Asset, CardAccounting, Operation, Pincode, PinGuard
from bonusserver.replies import Refused
from bonusserver.settings import PIN_LOCK_SECONDS

PIN_ATTEMPTS = 5
LOCK_SPACE = 7771  # keeps our advisory locks apart from other programs'


@dataclass(frozen=True)
class Lot:
    """What is left of an account's valid bonuses that end at the same time (None: never)."""

    ends: datetime | None
    left: Decimal


def held_card(number: str) -> CardAccounting:
    """Raises Refused (404 card_unknown)."""
    card = CardAccounting.objects.filter(card=number).first()
    if card is None:
        raise Refused(404, "card_unknown", "This server does not know the card.")
    return card


def linked(card: CardAccounting) -> str:
    """The card's account. Raises Refused (409 card_not_linked)."""
    if not card.account:
        raise Refused(409, "card_not_linked", "The card is not linked to an account.")
    return card.account


def lots(account: str) -> list[Lot]:
    """The soonest to end first."""
    ends = F("validto").asc(nulls_last=True)
    rows = Asset.objects.valid(account).values("validto").annotate(left=Sum("amount"))
    return [Lot(row["validto"], row["left"]) for row in rows.order_by(ends)]


def total(held: list[Lot]) -> Decimal:
    return sum((lot.left for lot in held), Decimal(0))


def balance(account: str) -> Decimal:
    return total(lots(account))


def book(wanted: Operation) -> tuple[Operation, bool]:
    """Does an operation once, however often it is asked for.

    Returns it as it was done, and whether that was before this call. Raises Refused: 404
    card_unknown, 409 card_not_linked, status_forbids, balance_too_low or operation_differs.
    A refused operation leaves no trace: its number may be used again.
    """
    with transaction.atomic():
        # The unique constraint makes a simultaneous repetition wait here for the outcome.
        operation, is_new = Operation.objects.get_or_create(
            register=wanted.register,
            number=wanted.number,
            defaults={"card": wanted.card, "kind": wanted.kind, "amount": wanted.amount},
        )
        if is_new:
            _carry_out(operation)
    if not operation.says_the_same_as(wanted):
        raise Refused(
            409,
            "operation_differs",
            "This register has used the operation number for something else.",
        )
    return operation, not is_new


def _carry_out(operation: Operation) -> None:
    card = held_card(operation.card)
    account = linked(card)
    if not card.allows(operation.kind):
        raise Refused(
            409, "status_forbids", f"A card with the status {card.status_name} may not do this."
        )
    _one_at_a_time(account)
    held = lots(account)
    operation.account = account
    operation.balance = total(held) + operation.signed_amount
    if operation.kind == Operation.Kind.REDEEM:
        if operation.balance < 0:
            raise Refused(409, "balance_too_low", "The balance is lower than the amount.")
        changes = spend(held, operation.amount)
    else:
        changes = [Lot(None, operation.amount)]
    Asset.objects.bulk_create(
        Asset(account=account, amount=lot.left, validto=lot.ends, comment=operation.comment)
        for lot in changes
    )
    operation.save(update_fields=["account", "balance"])


def spend(held: list[Lot], amount: Decimal) -> list[Lot]:
    """Takes `amount` from what ends soonest, and lets each part end with what it was taken from.

    Otherwise the balance would fall below zero on the day that spent bonuses end.
    """
    changes = []
    for lot in held:
        part = min(lot.left, amount)
        if part > 0:
            changes.append(Lot(lot.ends, -part))
            amount -= part
    return changes


def _one_at_a_time(account: str) -> None:
    """Holds the account until the transaction ends: two registers may not spend the same bonus."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, %s))", [account, LOCK_SPACE]
        )


@dataclass(frozen=True)
class PinCheck:
    right: bool
    attempts_left: int
    locked_until: datetime | None


def check_pin(account: str, given: str) -> PinCheck:
    """Counts wrong PINs, under a lock so that nobody guesses in parallel.

    Raises Refused (409 pin_not_set, 423 pin_locked).
    """
    pincode = Pincode.objects.filter(account=account).first()
    if pincode is None:
        raise Refused(409, "pin_not_set", "The account has no PIN.")
    with transaction.atomic():
        guard, _ = PinGuard.objects.select_for_update().get_or_create(account=account)
        _refuse_while_locked(guard)
        right = hmac.compare_digest(given.encode(), pincode.pincode.encode())
        guard.wrong = 0 if right else guard.wrong + 1
        if guard.wrong == PIN_ATTEMPTS:
            guard.locked_until = timezone.now() + timedelta(seconds=PIN_LOCK_SECONDS)
        guard.save(update_fields=["wrong", "locked_until"])
    return PinCheck(right, PIN_ATTEMPTS - guard.wrong, guard.locked_until)


def _refuse_while_locked(guard: PinGuard) -> None:
    if guard.locked_until is None:
        return
    seconds = (guard.locked_until - timezone.now()).total_seconds()
    if seconds > 0:
        raise Refused(
            423,
            "pin_locked",
            "Too many wrong PINs: the account's PIN is not checked for a while.",
            Retry_After=str(int(seconds) + 1),
        )
    guard.wrong, guard.locked_until = 0, None
