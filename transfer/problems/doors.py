"""A bonus server's three doors: administration port, service port, database.

Reads the results of the last checks, which run every minute; asks no server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from transfer.errors import TransferError
from transfer.models import BonusServer
from transfer.parties import SHOP_ALL
from transfer.problems import outage_words
from transfer.problems.kinds import Code
from transfer.problems.problem import Problem
from transfer.runs.backlog import Backlog
from transfer.text import formats
from transfer.text.explain import Explanation, explain


@dataclass(frozen=True)
class Door:
    """One of them, as the last check found it."""

    name: str  # admin, service or database
    label: str
    address: str
    checked_at: datetime | None
    error: TransferError | None = None
    since: datetime | None = None  # it fails
    technical: str = ""
    note: str = ""  # what an answer brought, or what the failure means
    is_asked: bool = True

    @property
    def state(self) -> str:
        """One of unasked, unknown, failing, ok."""
        if not self.is_asked:
            return "unasked"
        if self.checked_at is None:
            return "unknown"
        return "failing" if self.error else "ok"

    @property
    def cause(self) -> Explanation | None:
        return explain(self.error) if self.error else None


def doors(server: BonusServer, heard: Sequence[Backlog], outage: Problem | None) -> list[Door]:
    """The doors of the server. `heard`: the stored backlogs of its tasks; `outage`: its own."""
    return [_admin(server, outage), _service(server, outage), _database(server, heard, outage)]


def _since(outage: Problem | None, code: Code) -> datetime | None:
    """Since when the door fails whose problem has this code."""
    causes = outage.causes if outage else ()
    return next((cause.since for cause in causes if cause.code == code), None)


def state(doors: Sequence[Door]) -> str:
    """What is true of all three, as a state of `BonusServer`."""
    states = {door.state for door in doors}
    if "failing" in states:
        return BonusServer.State.FAILING
    if "ok" not in states:
        return BonusServer.State.UNCHECKED
    is_managed = "unasked" not in states
    return BonusServer.State.AVAILABLE if is_managed else BonusServer.State.UNMANAGED


def _admin(server: BonusServer, outage: Problem | None) -> Door:
    label = _("Administration port")
    if server.state == BonusServer.State.UNMANAGED:
        note = _("since it has no API token; accounts of registers are not managed here")
        return Door("admin", label, str(server.admin_port), None, note=note, is_asked=False)
    fails = server.state == BonusServer.State.FAILING
    note = ""
    if fails and outage is not None and outage_words.leaves_transfers_alone(outage.params):
        note = _("Transfers are not affected.")
    elif not fails and server.latency is not None:
        latency = _("in %(latency)s") % {"latency": formats.duration(server.latency)}
        version = _("version %(version)s") % {"version": server.version} if server.version else ""
        note = " · ".join(filter(None, [latency, version]))
    return Door(
        "admin",
        label,
        str(server.admin_port),
        server.checked_at,
        server.error if fails else None,
        _since(outage, Code.SERVER),
        server.error_technical,
        note,
    )


def _service(server: BonusServer, outage: Problem | None) -> Door:
    error = server.service_error
    return Door(
        "service",
        _("Service port"),
        str(server.work_port),
        server.service_checked_at,
        error,
        _since(outage, Code.SERVICE_PORT),
        note=_("Registers can't work with this server.") if error else "",
    )


def _database(server: BonusServer, heard: Sequence[Backlog], outage: Problem | None) -> Door:
    """Where shop All does not answer, the server's database was not asked."""
    asked = [one for one in heard if one.error is None or one.error.party != SHOP_ALL]
    error = next((one.error for one in asked if one.error), None)
    waits = outage_words.waits(outage.params) if error and outage else ""
    return Door(
        "database",
        _("Database"),
        server.db_name,
        max((one.asked_at for one in asked), default=None),
        error,
        _since(outage, Code.DATABASE),
        error.technical if error else "",
        formats.sentence(waits) if waits else "",
    )
