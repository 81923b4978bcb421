"""The tables of a bonus server that transfers write to (names and types as the vendor has them)."""

from django.db import models
from django.db.models.functions import Now


class Pincode(models.Model):
    account = models.CharField(max_length=100, primary_key=True)
    pincode = models.CharField(max_length=100)
    changed_at = models.DateTimeField(null=True, db_default=Now())

    class Meta:
        db_table = "pincode"

    def __str__(self) -> str:
        return self.account


class Asset(models.Model):
    """A change of an account's balance; the valid ones add up to it."""

    account = models.CharField(max_length=100)
    amount = models.DecimalField(max_digits=15, decimal_places=2)
    validfrom = models.DateTimeField(null=True)
    validto = models.DateTimeField(null=True)
    comment = models.TextField(null=True)  # noqa: DJ001 - null is what the transfer brings
    created_at = models.DateTimeField(db_default=Now())

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

    class Meta:
        db_table = "cardAccounting"

    def __str__(self) -> str:
        return self.card
