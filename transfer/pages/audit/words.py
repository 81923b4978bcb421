"""Entries of the audit as sentences of the user's language."""

from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from transfer.models import AuditEntry
from transfer.words import formats
from transfer.words.schedule import in_words


class Change(NamedTuple):
    label: str
    old: str
    new: str


def changes(entry: AuditEntry) -> list[Change]:
    """Old and new value of each field, as people read them."""
    names = dict.fromkeys([*entry.old, *entry.new])
    return [
        Change(label, shown(name, old), shown(name, new))
        for name, (label, old, new) in zip(names, entry.changes(), strict=True)
    ]


def latest(subject: Any, most: int = 10) -> list[tuple[AuditEntry, list[Change]]]:
    """What was done to one thing, the last first; drawn by audit/about.html."""
    return [(entry, changes(entry)) for entry in AuditEntry.objects.about(subject)[:most]]


def shown(name: str, value: Any) -> str:
    if value is None or value == "":
        return formats.NOTHING
    if isinstance(value, bool):
        return _("Enabled") if value else _("Disabled")
    if name == "schedule":
        return in_words(str(value))
    moment = _moment(value)
    return formats.moment(moment) if moment else str(value)


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or "T" not in value:
        return None
    try:
        return parse_datetime(value)
    except ValueError:
        return None


def sentence(entry: AuditEntry) -> str:
    """ "Switched on or off: enabled: Disabled → Enabled"."""
    lines = [f"{one.label}: {one.old} → {one.new}" for one in changes(entry)]
    return ": ".join([str(entry.get_action_display()), *(["; ".join(lines)] if lines else [])])
