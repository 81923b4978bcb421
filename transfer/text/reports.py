"""What a maintenance run has done, in words."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from transfer.causes.ledger import PURGE_WAITS
from transfer.errors import PurgeWaits
from transfer.installed import installed_kinds
from transfer.parties import gettext_noop
from transfer.text import formats
from transfer.text.explain import explain

REMOVED = {
    "runs": gettext_noop("Runs of transfers removed"),
    "maintenance": gettext_noop("Runs of maintenance removed"),
    "sessions": gettext_noop("Log-ins that had run out removed"),
    "rejects": gettext_noop("Closed rejected rows removed"),
    "entries": gettext_noop("Entries of the page “By hand” removed"),
    "loads": gettext_noop("Entries of the list of loads removed"),
    "audit": gettext_noop("Entries of the audit removed"),
    "incidents": gettext_noop("Past problems removed"),
    "checks": gettext_noop("Checks of connections removed"),
    "seen_days": gettext_noop("Days in which registers were seen removed"),
}
CHECKED = {
    "servers": gettext_noop("Bonus servers asked"),
    "no_token": gettext_noop("Of them without an API token, so only the service port is checked"),
    "failing": gettext_noop("Of them not available"),
    "registers": gettext_noop("Accounts of registers read"),
    "reconciled": gettext_noop("Transfers compared, without a difference"),
    "log_days": gettext_noop("Days whose sums were kept"),
    "statement": gettext_noop("Statement made, number"),
}
ONLY_IF_ANY = ("no_token", "failing")
NO_KEY = "no_statement_key"
UNKNOWN = "not_reconciled"
# Tasks that a purge could not ask.
ABOUT_SERVERS = {
    "unread": gettext_noop(
        "%(table)s: what %(server)s needs is kept, by what was last known of it (%(kind)s)"
    ),
    "left_behind": gettext_noop("%(table)s: %(server)s was left behind (%(kind)s)"),
}
TABLES = [kind.staging for kind in installed_kinds().values()]


def report_lines(report: dict[str, Any], *, dry_run: bool = False) -> Iterator[str]:
    """What a maintenance run did: "Runs of transfers removed: 1 204"."""
    # Kept as JSON, it has lost its order.
    lines = [
        line
        for name in [*CHECKED, *REMOVED, *TABLES, UNKNOWN, NO_KEY]
        if name in report
        for line in _report_lines(name, report[name])
    ]
    if report and not lines:
        yield _("Nothing was old enough to be removed.")
    elif dry_run and report:
        yield _("A dry run, which removes nothing. A real one would say:")
    yield from lines


def run_report(run: Any) -> list[str]:
    """The report of a maintenance run."""
    return list(report_lines(run.report, dry_run=run.dry_run))


def _report_lines(name: str, value: Any) -> Iterator[str]:
    if name in CHECKED and (value or name not in ONLY_IF_ANY):
        yield f"{_(CHECKED[name])}: {formats.number(value)}"
    elif name in REMOVED and value:
        yield f"{_(REMOVED[name])}: {formats.number(value)}"
    elif name == NO_KEY:
        yield _("No statement is made: STATEMENT_KEY names no key that signs it.")
    elif name == UNKNOWN:
        for task in value:
            line = _("%(server)s: not compared, since it can’t be asked (%(kind)s)")
            yield line % {
                "server": task["server"],
                "kind": _(installed_kinds()[task["kind"]].title),
            }
    elif name in TABLES:
        if server := value.get("waits_for"):
            reason = explain(PurgeWaits(PURGE_WAITS, server=server)).sentence
            yield _("%(table)s: all rows are kept: %(reason)s") % {"table": name, "reason": reason}
        for key, words in ABOUT_SERVERS.items():
            for task in value.get(key, []):
                kind = _(installed_kinds()[task["kind"]].title)
                yield _(words) % {"table": name, "server": task["server"], "kind": kind}
        if value.get("rows"):
            rows = {"table": name, "n": formats.number(value["rows"])}
            yield _("%(table)s: rows removed: %(n)s") % rows
        if value.get("lines"):
            lines = {"table": name, "n": formats.number(value["lines"])}
            yield _("%(table)s: lines of the log removed: %(n)s") % lines
