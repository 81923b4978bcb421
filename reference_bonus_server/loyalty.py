"""The rules of bonuses: what a card may do, what an account has, and how its PIN is checked."""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import DateTimeField, F, Sum, TextField, Value
from django.db.models.functions import Cast
from django.utils import timezone

from reference_bonus_server.models import Asset, CardAccounting, Operation, Pincode, PinGuard
from reference_bonus_server.replies import Refused, is_text
from reference_bonus_server.settings import PIN_LOCK_SECONDS

PIN_ATTEMPTS = 5
LOCK_SPACE = 7771  # It keeps our advisory locks apart from those of other programs.


@dataclass(frozen=True)
class Lot:
    """What is left of an account's valid bonuses that end at the same time.

    `end` is as PostgreSQL writes it, None for never. Transfers bring `infinity` and years beyond
    9999, for which Python has no date.
    """

    end: str | None
    amount: Decimal


def known_card(number: str) -> CardAccounting:
    """Raises Refused (404 card_unknown)."""
    # The time of the change may be one that Python has no date for, and nobody asks for it.
    cards = CardAccounting.objects.defer("changed_at")
    card = cards.filter(card=number).first() if is_text(number) else None
    if card is None:
        raise Refused(404, "card_unknown", "This server does not know the card.")
    return card


def linked_account(card: CardAccounting) -> str:
    """Raises Refused (409 card_not_linked)."""
    if not card.account:
        raise Refused(409, "card_not_linked", "The card is not linked to an account.")
    return card.account


def valid_lots(account: str) -> list[Lot]:
    """The soonest to end first."""
    lots = Asset.objects.valid(account).values(end=Cast("validto", TextField()))
    sums = lots.annotate(sum=Sum("amount")).order_by(F("validto").asc(nulls_last=True))
    return [Lot(row["end"], row["sum"]) for row in sums]


def total(lots: list[Lot]) -> Decimal:
    return sum((lot.amount for lot in lots), Decimal(0))


def balance(account: str) -> Decimal:
    return total(valid_lots(account))


def book(order: Operation) -> tuple[Operation, bool]:
    """Does an operation once, however often it is ordered.

    Returns it as it was done, and whether that was before this call. Raises Refused: 404
    card_unknown, 409 card_not_linked, status_forbids, balance_too_low or operation_differs.
    A refused operation leaves no trace: its number may be used again.
    """
    with transaction.atomic():
        # The unique constraint makes a simultaneous repetition wait here for the outcome.
        operation, is_new = Operation.objects.get_or_create(
            register=order.register,
            number=order.number,
            defaults={"card": order.card, "kind": order.kind, "amount": order.amount},
        )
        if is_new:
            carry_out(operation)
    if not operation.matches(order):
        raise Refused(
            409,
            "operation_differs",
            "This register has used the operation number for something else.",
        )
    return operation, not is_new


def carry_out(operation: Operation) -> None:
    """Raises Refused, and is to be rolled back then."""
    card = known_card(operation.card)
    operation.account = linked_account(card)
    if not card.allows(operation.kind):
        raise Refused(
            409, "status_forbids", f"A card with the status {card.status_name} may not do this."
        )
    lock(operation.account)
    lots = valid_lots(operation.account)
    operation.balance = total(lots) + operation.signed_amount
    is_redemption = operation.kind == Operation.Kind.REDEEM
    if is_redemption and operation.balance < 0:
        raise Refused(409, "balance_too_low", "The balance is lower than the amount.")
    add(
        operation,
        redeem(lots, operation.amount) if is_redemption else [Lot(None, operation.amount)],
    )
    operation.save(update_fields=["account", "balance"])


def lock(account: str) -> None:
    """Until the transaction ends, so that no two registers redeem the same bonus."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, %s))", [account, LOCK_SPACE]
        )


def redeem(lots: list[Lot], amount: Decimal) -> list[Lot]:
    """The changes that take `amount` from what ends soonest.

    Each ends with what it was taken from. Otherwise the balance would fall below zero on the day
    on which bonuses end that were redeemed before.
    """
    changes = []
    for lot in lots:
        part = min(lot.amount, amount)
        if part > 0:
            changes.append(Lot(lot.end, -part))
            amount -= part
    return changes


def add(operation: Operation, changes: list[Lot]) -> None:
    Asset.objects.bulk_create(
        Asset(
            account=operation.account,
            amount=change.amount,
            validto=Cast(Value(change.end, TextField()), DateTimeField()),
            comment=operation.comment,
        )
        for change in changes
    )


def check_pin(account: str, pin: str) -> PinGuard:
    """Counts wrong PINs, under a lock that prevents parallel guesses; none after a right one.

    Raises Refused (409 pin_not_set, 423 pin_locked).
    """
    pincode = Pincode.objects.filter(account=account).values_list("pincode", flat=True).first()
    if pincode is None:
        raise Refused(409, "pin_not_set", "The account has no PIN.")
    with transaction.atomic():
        guard, _ = PinGuard.objects.select_for_update().get_or_create(account=account)
        end_lock(guard)
        right = hmac.compare_digest(pin.encode(), pincode.encode())
        guard.wrong = 0 if right else guard.wrong + 1
        if guard.wrong == PIN_ATTEMPTS:
            guard.locked_until = timezone.now() + timedelta(seconds=PIN_LOCK_SECONDS)
        guard.save(update_fields=["wrong", "locked_until"])
    return guard


def end_lock(guard: PinGuard) -> None:
    """Raises Refused (423 pin_locked) where it is too early for that."""
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
