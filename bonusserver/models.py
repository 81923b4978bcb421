"""The tables of a bonus server that transfers write to (names and types as the vendor has them),
and this server's own: the accounts of registers, what they did, and wrong PINs.

The managers are written out because the type checker reads the product's settings, in which these
models are not installed.
"""

import hashlib
import hmac
import secrets
from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from bonusserver.replies import stamp


def digest(secret: str) -> str:
    """Secrets here are random and long, so that a plain hash can't be searched backwards."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same_secret(given: str, known_digest: str) -> bool:
    return hmac.compare_digest(digest(given), known_digest)


class Pincode(models.Model):
    account = models.CharField(max_length=100, primary_key=True)
    pincode = models.CharField(max_length=100)
    changed_at = models.DateTimeField(null=True, db_default=Now())

    objects: ClassVar[models.Manager["Pincode"]] = models.Manager()

    class Meta:
        db_table = "pincode"

    def __str__(self) -> str:
        return self.account


class AssetQuerySet(models.QuerySet["Asset"]):
    def valid(self, account: str) -> "AssetQuerySet":
        """Those of `account` that count now: from validfrom to validto, both included."""
        begun = Q(validfrom=None) | Q(validfrom__lte=Now())
        not_ended = Q(validto=None) | Q(validto__gte=Now())
        return self.filter(begun, not_ended, account=account)


class Asset(models.Model):
    """A change of an account's balance; the valid ones add up to it."""

    account = models.CharField(max_length=100)
    amount = models.DecimalField(max_digits=15, decimal_places=2)
    validfrom = models.DateTimeField(null=True)
    validto = models.DateTimeField(null=True)
    comment = models.TextField(null=True)  # noqa: DJ001 - null is what the transfer brings
    created_at = models.DateTimeField(db_default=Now())

    objects = AssetQuerySet.as_manager()

    class Meta:
        db_table = "asset"
        indexes = [models.Index(fields=["account"], name="asset_account")]

    def __str__(self) -> str:
        return f"{self.account}: {self.amount}"


class CardAccounting(models.Model):
    class Status(models.IntegerChoices):
        EARN_ONLY = 0
        EARN_PAY = 1
        NO_OPERATION = 2
        PAY_ONLY = 3

    card = models.CharField(max_length=100, primary_key=True)
    account = models.CharField(max_length=100, null=True)  # noqa: DJ001 - as the vendor has it
    status = models.IntegerField(choices=Status)
    changed_at = models.DateTimeField(null=True, db_default=Now())

    objects: ClassVar[models.Manager["CardAccounting"]] = models.Manager()

    class Meta:
        db_table = "cardAccounting"

    def __str__(self) -> str:
        return self.card

    @property
    def status_name(self) -> str:
        """UNKNOWN for a number that is no status: such a card may do nothing."""
        return self.Status(self.status).name if self.status in self.Status else "UNKNOWN"

    def allows(self, kind: str) -> bool:
        return (
            self.status
            in {
                Operation.Kind.ACCRUE: {self.Status.EARN_ONLY, self.Status.EARN_PAY},
                Operation.Kind.REDEEM: {self.Status.PAY_ONLY, self.Status.EARN_PAY},
            }[Operation.Kind(kind)]
        )


class RegisterAccountManager(models.Manager["RegisterAccount"]):
    def issue(self, register: str, shop: str, name: str) -> tuple["RegisterAccount", str]:
        """A new account, and its secret: this is the only time that the secret can be seen.

        Raises IntegrityError where the register has one.
        """
        secret = secrets.token_urlsafe(24)
        login = f"r{secrets.token_hex(6)}"
        account = self.create(
            register=register, shop=shop, name=name, login=login, secret_digest=digest(secret)
        )
        return account, secret


class RegisterAccount(models.Model):
    register = models.CharField(max_length=100, unique=True)
    shop = models.CharField(max_length=100)
    name = models.CharField(max_length=100)
    login = models.CharField(max_length=100, unique=True)
    secret_digest = models.CharField(max_length=64)
    created = models.DateTimeField(db_default=Now())
    last_seen = models.DateTimeField(null=True)
    blocked = models.BooleanField(default=False)

    objects = RegisterAccountManager()

    class Meta:
        db_table = "register_account"
        ordering = ["register"]

    def __str__(self) -> str:
        return self.register

    def seen(self) -> None:
        RegisterAccount.objects.filter(pk=self.pk).update(last_seen=Now())

    def as_json(self) -> dict[str, Any]:
        return {
            "register": self.register,
            "shop": self.shop,
            "name": self.name,
            "login": self.login,
            "created": stamp(self.created),
            "last_seen": stamp(self.last_seen),
            "blocked": self.blocked,
        }


class Operation(models.Model):
    """What a register did. It names the register, not its account: numbers that were used stay
    used when the account is deleted and made anew.
    """

    class Kind(models.TextChoices):
        ACCRUE = "accrue"
        REDEEM = "redeem"

    register = models.CharField(max_length=100)
    number = models.CharField(max_length=64)
    card = models.CharField(max_length=100)
    account = models.CharField(max_length=100, default="")
    kind = models.CharField(max_length=10, choices=Kind)
    amount = models.DecimalField(max_digits=15, decimal_places=2)
    balance = models.DecimalField(max_digits=25, decimal_places=2, default=Decimal(0))
    created = models.DateTimeField(db_default=Now())

    objects: ClassVar[models.Manager["Operation"]] = models.Manager()

    class Meta:
        db_table = "operation"
        constraints = [
            models.UniqueConstraint(fields=["register", "number"], name="operation_done_once")
        ]

    def __str__(self) -> str:
        return f"{self.register} {self.number}: {self.kind} {self.amount}"

    @property
    def signed_amount(self) -> Decimal:
        return self.amount if self.kind == self.Kind.ACCRUE else -self.amount

    @property
    def comment(self) -> str:
        return f"{self.register}, operation {self.number}"

    def says_the_same_as(self, other: "Operation") -> bool:
        return (self.card, self.kind, self.amount) == (other.card, other.kind, other.amount)


class PinGuard(models.Model):
    """Wrong PINs of an account, in a row."""

    account = models.CharField(max_length=100, primary_key=True)
    wrong = models.IntegerField(default=0)
    locked_until = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager["PinGuard"]] = models.Manager()

    class Meta:
        db_table = "pin_guard"

    def __str__(self) -> str:
        return self.account
