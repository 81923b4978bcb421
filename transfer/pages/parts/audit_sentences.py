"""An audit entry as a sentence, and the page about it."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.urls import reverse
from django.utils.translation import gettext_lazy

from transfer.models import AuditEntry, RegisterAccount
from transfer.models.schedules import ScheduledTask
from transfer.pages import links
from transfer.pages.components.audit import audit_entry, audit_sentence
from transfer.pages.html import Html
from transfer.pages.parts import audit_words

# The object of a sentence, by the model of the entry's subject.
OBJECTS = {
    "transfertask": gettext_lazy("the task “%(name)s”"),
    "maintenancetask": gettext_lazy("the task “%(name)s”"),
    "bonusserver": gettext_lazy("the server “%(name)s”"),
    "cashregister": gettext_lazy("the register “%(name)s”"),
    "registeraccount": gettext_lazy("the account “%(name)s”"),
    "shop": gettext_lazy("the shop “%(name)s”"),
    "apikey": gettext_lazy("the API key “%(name)s”"),
    "recipient": gettext_lazy("the recipient “%(name)s”"),
    "user": gettext_lazy("the user “%(name)s”"),
}
# Pages of models that have no address of their own, and whether each object has one.
PAGES = {
    "user": ("user", True),
    "shop": ("shop_edit", True),
    "settings": ("settings", False),
    "apikey": ("keys", False),
    "plannedwork": ("notifications", False),
}
# By action. A key that also names a fact or a subject goes first; a fact that the sentence says is
# left out of the list of changes.
SENTENCES = {
    "switch enabled=True": gettext_lazy("%(who)s switched on %(what)s"),
    "switch enabled=False": gettext_lazy("%(who)s switched off %(what)s"),
    "switch": gettext_lazy("%(who)s gave a reason for the switch of “%(name)s”"),
    "undo enabled=True": gettext_lazy("%(who)s switched %(what)s on again, undoing the switch"),
    "undo enabled=False": gettext_lazy("%(who)s switched %(what)s off again, undoing the switch"),
    "undo": gettext_lazy("%(who)s undid the switch of “%(name)s”"),
    "pause": gettext_lazy("%(who)s paused %(what)s"),
    "resume": gettext_lazy("%(who)s ended the pause of “%(name)s”"),
    "schedule": gettext_lazy("%(who)s changed the schedule of “%(name)s”"),
    "settings": gettext_lazy("%(who)s changed the settings"),
    "run recipient": gettext_lazy("%(who)s sent a test message to “%(name)s”"),
    "run dry_run": gettext_lazy("%(who)s started a dry run of “%(name)s”"),
    "run": gettext_lazy("%(who)s started %(what)s by hand"),
    "cancel": gettext_lazy("%(who)s cancelled a run of “%(name)s”"),
    "create bonusserver": gettext_lazy("%(who)s docked %(what)s"),
    "create plannedwork": gettext_lazy("%(who)s planned work: “%(name)s”"),
    "create": gettext_lazy("%(who)s added %(what)s"),
    "create action=create": gettext_lazy("%(who)s had accounts created on “%(name)s”"),
    "change action=block": gettext_lazy("%(who)s had registers blocked on “%(name)s”"),
    "change action=unblock": gettext_lazy("%(who)s had registers unblocked on “%(name)s”"),
    "change action=renew": gettext_lazy("%(who)s had new credentials issued on “%(name)s”"),
    "delete action=delete": gettext_lazy("%(who)s had accounts deleted on “%(name)s”"),
    "change shown_at": gettext_lazy("%(who)s looked at the credentials for “%(name)s”"),
    "change downloaded_at": gettext_lazy("%(who)s downloaded the credentials for “%(name)s”"),
    "change blocked=True": gettext_lazy("%(who)s blocked %(what)s"),
    "change blocked=False": gettext_lazy("%(who)s unblocked %(what)s"),
    "change left_behind=True": gettext_lazy("%(who)s left %(what)s behind: purges do not wait"),
    "change left_behind=False": gettext_lazy("purges wait for “%(name)s” again: %(who)s"),
    "change dismissed": gettext_lazy("%(who)s dismissed a message about a restore"),
    "change new": gettext_lazy("%(who)s imported registers"),
    "change state=closed": gettext_lazy("%(who)s closed the user “%(name)s”"),
    "change state=active": gettext_lazy("%(who)s reopened the user “%(name)s”"),
    "change": gettext_lazy("%(who)s changed %(what)s"),
    "delete bonusserver": gettext_lazy("%(who)s undocked %(what)s"),
    "delete apikey": gettext_lazy("%(who)s revoked %(what)s"),
    "delete plannedwork": gettext_lazy("%(who)s ended planned work: “%(name)s”"),
    "delete": gettext_lazy("%(who)s removed %(what)s"),
    "load input_method=hand": gettext_lazy("%(who)s made a change by hand: “%(name)s”"),
    "load input_method=undo": gettext_lazy("%(who)s took a load back: “%(name)s”"),
    "load": gettext_lazy("%(who)s loaded rows: “%(name)s”"),
    "resend resent_row": gettext_lazy("%(who)s sent a rejected row again: “%(name)s”"),
    "resend": gettext_lazy("%(who)s sent rejected rows again: “%(name)s”"),
    "discard state=discarded": gettext_lazy("%(who)s discarded a rejected row: “%(name)s”"),
    "discard": gettext_lazy("%(who)s discarded rejected rows: “%(name)s”"),
    "changed decision=send": gettext_lazy("%(who)s sent changed rows again: “%(name)s”"),
    "changed": gettext_lazy("%(who)s left changed rows as they are: “%(name)s”"),
    "password": gettext_lazy("%(who)s set a new password for “%(name)s”"),
    "factor added": gettext_lazy("%(who)s set up a second factor"),
    "factor removed": gettext_lazy("%(who)s removed a second factor"),
    "factor renewed": gettext_lazy("%(who)s made new recovery codes"),
    "factor reset": gettext_lazy("%(who)s reset the second factor of “%(name)s”"),
    "factor": gettext_lazy("%(who)s changed a second factor"),
    "test": gettext_lazy("%(who)s tested the connection to “%(name)s”"),
    "login emergency": gettext_lazy("%(who)s logged in by password, for an emergency"),
    "login": gettext_lazy("%(who)s logged in"),
    "refuse factor": gettext_lazy("%(who)s: log-in refused, the code was wrong"),
    "refuse": gettext_lazy("%(who)s: log-in refused"),
    "lock": gettext_lazy("%(who)s: log-in locked after too many attempts"),
    "unlock": gettext_lazy("%(who)s lifted the locks of log-ins"),
    "position answer=without": gettext_lazy("%(who)s let “%(name)s” go on without purged rows"),
    "position answer=unasked": gettext_lazy("%(who)s began “%(name)s”; no question was open"),
    "position": gettext_lazy("%(who)s said what “%(name)s” has received"),
    "confirm": gettext_lazy("%(who)s confirmed the restored shop All"),
    "forget": gettext_lazy("%(who)s gave up rows that were deleted from shop All by hand"),
    "backup bytes": gettext_lazy("%(who)s made a backup of our own database"),
    "backup": gettext_lazy("%(who)s began a backup of our own database"),
    "restore": gettext_lazy("%(who)s restored our own database from a backup"),
    "calls": gettext_lazy("%(who)s called the API"),
    "secrets": gettext_lazy("%(who)s encrypted all stored secrets with the present SECRET_KEY"),
    "staging": gettext_lazy("%(who)s set up the staging tables of shop All"),
    "approval state=approved": gettext_lazy("%(who)s approved a load: “%(name)s”"),
    "approval state=refused": gettext_lazy("%(who)s refused a load: “%(name)s”"),
    "approval state=expired": gettext_lazy("nobody approved a load in time: “%(name)s”"),
    "approval state=void": gettext_lazy("a load was approved, and could not be loaded: “%(name)s”"),
    "approval state=withdrawn": gettext_lazy("%(who)s withdrew a load: “%(name)s”"),
    "take by_link": gettext_lazy("%(who)s: the problem “%(name)s” was taken by a link"),
    "take": gettext_lazy("%(who)s took the problem “%(name)s”"),
    "give_back": gettext_lazy("%(who)s gave the problem “%(name)s” back"),
    "mute": gettext_lazy("%(who)s muted the problem “%(name)s”"),
    "unmute worse=True": gettext_lazy("a muted problem got worse, so it is not muted: “%(name)s”"),
    "unmute": gettext_lazy("%(who)s let messages go on about “%(name)s”"),
    "statement": gettext_lazy("%(who)s made the statement “%(name)s”"),
    "approval": gettext_lazy("%(who)s entered what needs a second person: “%(name)s”"),
}


def sentence(entry: AuditEntry) -> str:
    """ "olga switched off the task “PIN codes → Bonus server 8”"."""
    return str(SENTENCES[_key(entry)]) % _names(entry)


def latest(subject: Any, most: int = 10) -> list[tuple[AuditEntry, Html]]:
    """The latest changes of one thing, for audit/about.html."""
    entries = AuditEntry.objects.about(subject).changes()[:most]
    return [(entry, with_changes(entry, None)) for entry in entries]


def with_changes(entry: AuditEntry, url: str | None) -> Html:
    """The sentence, what was changed, and why. With a `url` the thing is a link."""
    drawn = audit_sentence(SENTENCES[_key(entry)], _names(entry), url)
    return audit_entry(drawn, details(entry), entry.reason)


def details(entry: AuditEntry) -> list[audit_words.Change]:
    """The changes that the sentence does not say."""
    _action, _space, fact = _key(entry).partition(" ")
    return audit_words.changes(entry, but=fact.partition("=")[0] if "=" in fact else "")


def _names(entry: AuditEntry) -> dict[str, str]:
    name = entry.subject_params.get("name") or audit_words.subject(entry)
    what = OBJECTS.get(entry.subject_type, "%(name)s") % {"name": name}
    return {"who": entry.who or audit_words.NOBODY, "name": name, "what": what}


def _key(entry: AuditEntry) -> str:
    facts = [f"{name}={value}" for name, value in entry.new.items()]
    wanted = [*facts, *entry.new, entry.subject_type]
    keys = (f"{entry.action} {fact}" for fact in wanted)
    return next((key for key in keys if key in SENTENCES), entry.action)


def addresses(entries: Iterable[AuditEntry]) -> dict[int, str]:
    """The address of each entry's subject, by the entry's key. A deleted subject has none."""
    wanted: dict[Any, list[AuditEntry]] = defaultdict(list)
    urls: dict[int, str] = {}
    for entry in entries:
        model = apps.all_models["transfer"].get(entry.subject_type)  # none of another version
        if entry.subject_id and model:
            wanted[model].append(entry)
    for model, some in wanted.items():
        there = model._default_manager.in_bulk({entry.subject_id for entry in some})
        of_subject = {pk: _address(subject) for pk, subject in there.items()}
        urls |= {
            entry.pk: of_subject[entry.subject_id] for entry in some if entry.subject_id in there
        }
    return urls


def _address(one: Any) -> str:
    if isinstance(one, ScheduledTask):
        return links.of_task(one)
    if isinstance(one, RegisterAccount):
        return reverse("register", args=[one.register_id])
    if hasattr(one, "get_absolute_url"):
        return str(one.get_absolute_url())
    name, needs_number = PAGES[str(one._meta.model_name)]
    return reverse(name, args=[one.pk] if needs_number else [])
