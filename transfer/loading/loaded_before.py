"""Has a file with these rows been loaded before? Shop All alone says so.

The names of loads are made of their rows, so the same rows are found again in any file and any
form, also if our own database has forgotten the load. Our own record of a load that shop All has
lost answers for nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from transfer.engine.shop_all.loads import FileNames
from transfer.engine.shop_all.source import ShopAll
from transfer.models import Upload

MOST = 100
"""Loads of the same rows that are kept in a report: the latest."""


@dataclass(frozen=True)
class Earlier:
    """The latest load of the same rows that is in effect; `upload`: our own record, if any."""

    at: datetime
    by: str
    upload: Upload | None


def names_of_file(upload: Upload, shop_all: ShopAll, digest: bytes) -> FileNames:
    """Return the names of the rows of an upload, which have this digest."""
    taken_back = Upload.objects.ever_undone().filter(kind=upload.kind)
    names = {str(name) for name in taken_back.values_list("changeset", flat=True)}
    return shop_all.names.of_file(upload.kind_spec, digest, names)


def as_report(names: FileNames) -> dict[str, Any]:
    """Return what the report of a preview keeps of the names."""
    return {"name": names.free, "loaded": names.loaded[-MOST:]}


def earlier(upload: Upload, *, seconds: float | None = None) -> Earlier | None:
    """Return the latest load of the rows that the preview showed, if one is in effect.

    With `seconds` a page waits. Raises TransferError where shop All can't be asked.
    """
    names = upload.report.get("loaded", [])
    if not names:
        return None
    dsn = settings.SHOP_ALL_DATABASE_URL
    with (
        ShopAll(dsn, "load", secret=True, seconds=seconds) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        loads = shop_all.loads.named(names)
        undos = shop_all.loads.named([shop_all.names.of_undo(name) for name in loads])
    undone = {undo.undoes for undo in undos.values()}
    for name in reversed(names):
        if name in loads and name not in undone:
            known = Upload.objects.loaded().filter(changeset=name).exclude(pk=upload.pk).first()
            by = known.confirmed_by if known else loads[name].staged_for
            return Earlier(loads[name].started, by, known)
    return None
