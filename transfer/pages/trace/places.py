"""Registers, bonus servers, runs and files that a search may mean."""

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from transfer.models import BonusServer, CashRegister, MaintenanceRun, TransferRun, Upload
from transfer.text import formats
from transfer.trace.complete import MOST
from transfer.trace.search import number_named

Link = tuple[tuple[str, str, str], str]  # words, of which those in the middle match; address
Group = tuple[str, list[Link]]


def link(words: str, url: str) -> Link:
    """A link without a marked match."""
    return (words, "", ""), url


def places(text: str) -> list[Group]:
    """Everything with the text in its name or as its number, in groups."""
    groups = [
        (_("Cash register"), _named(CashRegister.objects.select_related("shop"), text, "code")),
        (_("Bonus server"), _named(BonusServer.objects.all(), text, "host")),
        (_("Run"), _runs(text)),
        (_("File"), _files(text)),
    ]
    return [group for group in groups if group[1]]


def _named(rows: QuerySet[Model], text: str, other: str) -> list[Link]:
    """Records whose name or other column equals the text; else those that contain it."""
    whole = rows.filter(Q(name__iexact=text) | Q(**{f"{other}__iexact": text}))
    inside = rows.filter(Q(name__icontains=text) | Q(**{f"{other}__icontains": text}))
    records = list(whole[:MOST]) or list(inside[:MOST])
    of_register = _("%(register)s, shop %(shop)s")
    return [
        link(
            of_register % {"register": one.name, "shop": one.shop}
            if isinstance(one, CashRegister)
            else str(one),
            one.get_absolute_url(),  # type: ignore[attr-defined]
        )
        for one in records
    ]


def _runs(text: str) -> list[Link]:
    if (number := number_named(text)) is None:
        return []
    return [
        link(f"№ {run.pk}: {run.title}, {formats.moment(run.queued_at)}", run.get_absolute_url())
        for model in (TransferRun, MaintenanceRun)
        for run in model.objects.filter(pk=number)
    ]


def _files(text: str) -> list[Link]:
    files = Upload.objects.filter(name__icontains=text).exclude(
        input_method=Upload.InputMethod.HAND
    )
    return [
        # A load of the API has its time in its name, and is looked for by the key of its call.
        link(
            f"{one}, {one.name if one.is_by_api else formats.moment(one.created_at)}",
            one.get_absolute_url(),
        )
        for one in files.order_by("-created_at")[:MOST]
    ]
