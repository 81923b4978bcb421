"""Which balance changes people and keys have entered: for limits of a day, and for "By hand".

An entry is written in the transaction of our own database that notes the load, correction, undo or
change: see `approvals.gate.entering`. Of an entry with many rows only the largest are kept, since
head office's programs load millions of them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.models.shared import AmountField
from transfer.models.uploads import Upload

MOST_ROWS = 1000
"""So many rows of an entry are kept, the largest; its sums are those of all rows."""
LONGEST_ACCOUNT = 100


class EntryQuerySet(models.QuerySet["Entry"]):
    def total_since(self, who: str, since: datetime) -> Decimal:
        """Return what this person has entered since then without a second person, up and down."""
        mine = self.filter(approved_by="", who=who, at__gte=since)
        return mine.aggregate(total=models.Sum("total"))["total"] or Decimal(0)


class Entry(models.Model):
    """Balance changes that one person or key has entered at once."""

    at = models.DateTimeField(gettext_lazy("when"), default=timezone.now)
    who = models.CharField(gettext_lazy("who"), max_length=200)
    way = models.CharField(gettext_lazy("way"), max_length=10, choices=Upload.InputMethod)
    rows = models.BigIntegerField(gettext_lazy("rows"))
    # The sum of the amounts without their signs.
    total = AmountField(gettext_lazy("up and down"))
    amount = AmountField(gettext_lazy("sum"))
    approved_by = models.CharField(gettext_lazy("approved by"), max_length=200, blank=True)
    upload = models.OneToOneField(
        Upload, on_delete=models.SET_NULL, null=True, related_name="entry"
    )

    objects = EntryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("entry")
        indexes = [
            models.Index(fields=["at"], name="entries_by_time"),
            models.Index(fields=["who", "at"], name="entries_of_a_person"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.who}"

    @classmethod
    def note(cls, upload: Upload | None, listed: list[tuple[str, Decimal]], **fields: Any) -> None:
        """Write an entry with these rows (account, amount), once for each upload."""
        if upload is not None and cls.objects.filter(upload=upload).exists():
            return
        entry = cls.objects.create(upload=upload, **fields)
        rows = (
            EnteredRow(entry=entry, account=one[:LONGEST_ACCOUNT], amount=amount)
            for one, amount in listed
        )
        EnteredRow.objects.bulk_create(rows)


class EnteredRow(models.Model):
    """A balance change of an entry."""

    entry = models.ForeignKey(Entry, on_delete=models.CASCADE, related_name="entered")
    account = models.CharField(gettext_lazy("account"), max_length=LONGEST_ACCOUNT)
    amount = AmountField(gettext_lazy("amount"))

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("entered row")
        indexes = [models.Index(fields=["account", "-id"], name="entered_rows_of_account")]

    def __str__(self) -> str:
        return f"{self.account}: {self.amount}"
