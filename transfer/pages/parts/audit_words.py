"""Entries of the audit in the user's language."""

from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext as _, gettext_lazy

from transfer.access import Role
from transfer.installed import installed_kinds
from transfer.models import AuditEntry
from transfer.pages.shown.traced import cell
from transfer.problems import kinds
from transfer.text import formats
from transfer.text.columns import HEADINGS
from transfer.text.schedule import in_words

NOBODY = "—"

# Facts of entries that are not fields of their subject, and the words of their choices.
FACTS = {
    **HEADINGS,
    "corrections": gettext_lazy("rejected rows corrected"),
    "approved_by": gettext_lazy("approved by"),
    "approves": gettext_lazy("may approve"),
    "own_numbers": gettext_lazy("own numbers"),
    "run": gettext_lazy("run"),
    "dry_run": gettext_lazy("dry run"),
    "rows": gettext_lazy("rows"),
    "new": gettext_lazy("new"),
    "changed": gettext_lazy("changed"),
    "resent_row": gettext_lazy("sent again as row"),
    "answer": gettext_lazy("it has received"),
    "changesets": gettext_lazy("lost changesets"),
    "loads": gettext_lazy("lost loads"),
    "dismissed": gettext_lazy("dismissed"),
    "waiting": gettext_lazy("waiting"),
    "given_up": gettext_lazy("rows given up"),
    "table_empty": gettext_lazy("its table was empty"),
    "locks": gettext_lazy("locked were"),
    "until": gettext_lazy("locked until"),
    "backup_of": gettext_lazy("backup of"),
    "came_back": gettext_lazy("taken back from shop All"),
    "sent_to": gettext_lazy("sent to"),
    "file": gettext_lazy("file"),
    "bytes": gettext_lazy("bytes"),
    "role": gettext_lazy("role"),
    "state": gettext_lazy("state"),
    "by_link": gettext_lazy("by the link sent to"),
    "worse": gettext_lazy("it has got worse"),
    "decision": gettext_lazy("decision"),
    "id": gettext_lazy("row"),
    "factor": gettext_lazy("second factor"),
    "log_in": gettext_lazy("log-in"),
    "emergency": gettext_lazy("emergency log-in"),
    "provider": gettext_lazy("provider"),
    "added": gettext_lazy("added"),
    "removed": gettext_lazy("removed"),
    "renewed": gettext_lazy("renewed"),
    "reset": gettext_lazy("removed"),
    "hour": gettext_lazy("the hour from"),
    "times": gettext_lazy("calls"),
    "operations": gettext_lazy("operations"),
    "secrets": gettext_lazy("secrets"),
    "tables": gettext_lazy("what was missing"),
    "existing_rows": gettext_lazy("rows that were there before"),
}
FACTORS = {
    "totp": gettext_lazy("app with codes"),
    "webauthn": gettext_lazy("passkey"),
    "recovery_codes": gettext_lazy("recovery codes"),
    "code": gettext_lazy("code"),
}
# Fields of models that have no words of their own.
UNNAMED = {
    "topics": gettext_lazy("notify of"),
    "taken_by": gettext_lazy("taken by"),
    "muted_until": gettext_lazy("until when"),
}
CHOICES: dict[str, dict[Any, Any]] = {
    "answer": {
        "nothing": gettext_lazy("nothing"),
        "everything": gettext_lazy("everything up to now"),
        "as": gettext_lazy("what the other server has"),
        "own": gettext_lazy("what the copied server had"),
        "without": gettext_lazy("all but purged rows"),
        "unasked": gettext_lazy("what its own database says"),
    },
    **dict.fromkeys(("factor", "added", "removed", "renewed", "reset"), FACTORS),
    "log_in": {"provider": gettext_lazy("at the provider alone")},
    "decision": {"send": gettext_lazy("send again"), "leave": gettext_lazy("leave")},
    "existing_rows": {"waiting": gettext_lazy("waiting"), "moved": gettext_lazy("moved")},
    "role": {role.group: role.label for role in Role},
    "state": {"active": gettext_lazy("Active"), "closed": gettext_lazy("Closed")},
}


class Change(NamedTuple):
    """A field with its old and new value; None if the entry does not have it."""

    label: str
    old: str | None
    new: str | None


def subject(entry: AuditEntry) -> str:
    """The subject of an entry, in words."""
    params = entry.subject_params
    if kind := params.get("kind"):
        title = (
            _(installed_kinds()[kind].title)
            if kind in installed_kinds()
            else _chosen(entry, "kind", kind)
        )
        return f"{title} → {params['server']}" if params.get("server") else title
    if "problem" in params:
        return kinds.sentence(params["code"], params["problem"])
    if entry.subject_type == "user":
        return _("User %(name)s") % params if params["name"] else _("All users")
    return params.get("name") or str(_model(entry)._meta.verbose_name)


def from_where(entry: AuditEntry) -> str:
    """Return the address that somebody did it from, or in words that there is none.

    What a person has ordered on a page, such as planned work, is done later by the program.
    """
    if entry.address:
        return entry.address
    return _("command line") if entry.is_of_command_line else _("the program itself")


def changes(entry: AuditEntry, but: str = "") -> list[Change]:
    """The old and new value of each field except `but`, as people read them."""
    return [
        Change(
            _label(entry, name),
            _value(entry, name, entry.old[name]) if name in entry.old else None,
            _value(entry, name, entry.new[name]) if name in entry.new else None,
        )
        for name in dict.fromkeys([*entry.old, *entry.new])
        if name not in (but, "browser")  # a random number
    ]


def _label(entry: AuditEntry, name: str) -> str:
    """The name of a field or a fact."""
    named = getattr(_field(entry, name), "verbose_name", FACTS.get(name, name))
    return str(UNNAMED.get(name, named))


def in_a_line(changes: list[Change]) -> str:
    """ "schedule: every minute → every day at 03:30; rows: 12"."""
    values = [" → ".join(filter(None, (one.old, one.new))) for one in changes]
    return "; ".join(f"{one.label}: {value}" for one, value in zip(changes, values, strict=True))


def _value(entry: AuditEntry, name: str, value: Any) -> str:
    if value is None or value == "":
        return formats.NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(_chosen(entry, name, one) for one in value) or formats.NOTHING
    if name in HEADINGS:
        return cell(name, str(value))
    if name == "schedule":
        return in_words(str(value))
    moment = formats.stored_moment(value) if "T" in str(value) else None
    return formats.moment(moment) if moment else _chosen(entry, name, value)


def _chosen(entry: AuditEntry, name: str, value: Any) -> str:
    """The value, or the words of a choice."""
    field = _field(entry, name)
    field = getattr(field, "base_field", field)  # of a list
    choices = dict(field.flatchoices or []) if field else CHOICES.get(name, {})
    return str(choices.get(value, value))


def _field(entry: AuditEntry, name: str) -> Any:
    try:
        return _model(entry)._meta.get_field(name)
    except (LookupError, FieldDoesNotExist):  # of another version, or no field
        return None


def _model(entry: AuditEntry) -> Any:
    return apps.get_model("transfer", entry.subject_type)
