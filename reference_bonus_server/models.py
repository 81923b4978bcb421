"""The tables that transfers write to, with the vendor's names and types, and this server's own.

Its own are the accounts of registers, their operations, and the count of wrong PINs. The managers
are written out because the type checker reads the product's settings, which do not install these
models.
"""

import hashlib
import hmac
import secrets
from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reference_bonus_server.replies import stamp

# What is typed at a till: nothing that looks like something else. A character is worth 4.9 bits.
TYPED = "abcdefghjkmnpqrstuvwxyz23456789"


def typed(length: int) -> str:
    return "".join(secrets.choice(TYPED) for _ in range(length))


def digest(secret: str) -> str:
    """Secrets here are random and long, so that a plain hash can't be searched backwards."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same_secret(secret: str, secret_digest: str) -> bool:
    return hmac.compare_digest(digest(secret), secret_digest)


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
        """The changes of `account` that count now: from validfrom to validto, both included."""
        begun = Q(validfrom=None) | Q(validfrom__lte=Now())
        not_ended = Q(validto=None) | Q(validto__gte=Now())
        return self.filter(begun, not_ended, account=account)


class Asset(models.Model):
    """A change of an account's balance. The balance is the sum of the valid ones."""

    account = models.CharField(max_length=100)
    amount = models.DecimalField(max_digits=15, decimal_places=2)
    validfrom = models.DateTimeField(null=True)
    validto = models.DateTimeField(null=True)
    comment = models.TextField(null=True)  # noqa: DJ001 - A transfer brings null.
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
    account = models.CharField(max_length=100, null=True)  # noqa: DJ001 - The vendor has it so.
    status = models.IntegerField(choices=Status)
    changed_at = models.DateTimeField(null=True, db_default=Now())

    objects: ClassVar[models.Manager["CardAccounting"]] = models.Manager()

    class Meta:
        db_table = "cardAccounting"

    def __str__(self) -> str:
        return self.card

    @property
    def status_name(self) -> str:
        """UNKNOWN for a number that is no status. Such a card may do nothing."""
        return self.Status(self.status).name if self.status in self.Status else "UNKNOWN"

    def allows(self, kind: str) -> bool:
        single = self.Status.EARN_ONLY if kind == Operation.Kind.ACCRUE else self.Status.PAY_ONLY
        return self.status in {single, self.Status.EARN_PAY}


class RegisterAccount(models.Model):
    register = models.CharField(max_length=100, unique=True)
    shop = models.CharField(max_length=100)
    name = models.CharField(max_length=100)
    login = models.CharField(max_length=100, unique=True)
    secret_digest = models.CharField(max_length=64)
    created = models.DateTimeField(db_default=Now())
    last_seen = models.DateTimeField(null=True)
    blocked = models.BooleanField(default=False)

    objects: ClassVar[models.Manager["RegisterAccount"]] = models.Manager()

    class Meta:
        db_table = "register_account"
        ordering = ["register"]

    def __str__(self) -> str:
        return self.register

    @classmethod
    def issue(cls, register: str, shop: str, name: str) -> tuple["RegisterAccount", str]:
        """A new account and its secret, of which only a digest is stored.

        Raises IntegrityError where the register has an account.
        """
        login, secret = f"r{typed(11)}", typed(20)
        made = {"register": register, "shop": shop, "name": name, "login": login}
        return cls.objects.create(**made, secret_digest=digest(secret)), secret

    def mark_seen(self) -> None:
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
    """What a register did.

    It names the register and not the register's account: a number that was used stays used when
    the account is deleted and created again.
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

    def matches(self, other: "Operation") -> bool:
        return (self.card, self.kind, self.amount) == (other.card, other.kind, other.amount)


class PinGuard(models.Model):
    """How many wrong PINs in a row an account had, and until when it is locked for that."""

    account = models.CharField(max_length=100, primary_key=True)
    wrong = models.IntegerField(default=0)
    locked_until = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager["PinGuard"]] = models.Manager()

    class Meta:
        db_table = "pin_guard"

    def __str__(self) -> str:
        return self.account
