"""Copies of daily sums and statements in shop All, so that no restore loses them.

Our own database gives shop All what it has, and takes back what it lacks since it was restored. Of
daily sums the later state of a day is right. Of statements only those come back that our key has
signed and that fit into the chain. All others are named by the next statement.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from transfer.engine.kind import Kind
from transfer.engine.received import Position, Recorded
from transfer.engine.shop_all.counts import Count
from transfer.engine.shop_all.kept import Copy, Kept, What
from transfer.engine.shop_all.log_sums import EFFECTS
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import Actor, AuditEntry, BonusServer, LogDay, ServerDay, Settings, Statement
from transfer.statements.document import Document, as_text
from transfer.statements.log_days import FIELDS as OF_LOG

logger = logging.getLogger(__name__)

RECENT = timedelta(40)
"""Days of servers that are written each time: at least once in so many days."""
INVALID = (ValueError, TypeError, KeyError, AttributeError, InvalidOperation, ValidationError)
"""What a copy raises that somebody else has written."""
OF_SERVER = (
    *("server_name", "applied", "unchanged", "rejected", "amount_applied", "amount_rejected"),
    *("lost", "amount_lost", "skipped", "amount_skipped", "position"),
)


def kept_in(source: ShopAll) -> Kept:
    return Kept(source.database, str(Settings.load().installation))


# Days of servers


def take_back_server(source: ShopAll, server: BonusServer, position: Position) -> None:
    """Take back the days of a server and kind that our own database has lost.

    Asks shop All only if our own database does not know the position: so as a rule it costs one
    query of our own. After this, `ServerDay.objects.note` counts what is left on today. Where shop
    All does not give its copies, that is all of it: no transfer stops because of them.
    """
    last = ServerDay.objects.last_of(server.pk, position.kind)
    if last is not None and last.recorded.version == position.version:
        return
    try:
        with source.database.transaction(commit=False):
            _take_back_days(kept_in(source), position.kind, server.pk, position.server)
    except TransferError as error:
        logger.warning("the days of a server can’t be taken back from shop All: %s", error.code)


def _take_back_all_servers(kept: Kept) -> None:
    """Take back the days of all servers, of undocked ones too."""
    uids = {pk: str(uid) for pk, uid in BonusServer.objects.values_list("pk", "uid")}
    pairs = dict.fromkeys(tuple(name.split(" ")[:2]) for name in kept.names(What.SERVER_DAY))
    for kind, number in pairs:
        if number.isdecimal():
            _take_back_days(kept, kind, int(number), uids.get(int(number)))


def _take_back_days(kept: Kept, kind: str, server_pk: int, uid: str | None) -> None:
    """Take back the days after our last one, and that one if its copy has counted more.

    None of them if the last one is of a server with another name than `uid`.
    """
    last = ServerDay.objects.last_of(server_pk, kind)
    of = f"{kind} {server_pk} "
    after = f"{of}{last.day - timedelta(1)}" if last else ""
    days = [one for copy in kept.read(What.SERVER_DAY, of, after) if (one := _server_day(copy))]
    if not days or uid not in (None, days[-1].recorded.server):
        return
    if last is not None and days[0].day == last.day and days[0].counted <= last.counted:
        days = days[1:]
    ServerDay.objects.bulk_create(
        days,
        update_conflicts=True,
        unique_fields=["server_pk", "kind", "day"],
        update_fields=OF_SERVER,
    )


def write_server_days(source: ShopAll, days: Iterable[ServerDay]) -> None:
    """Write the copies of some days; the caller commits."""
    copies = [
        Copy(f"{one.kind} {one.server_pk} {one.day}", _as_json(one, OF_SERVER)) for one in days
    ]
    kept_in(source).write(What.SERVER_DAY, copies)


def copy_first_day(source: ShopAll, server: BonusServer, kind: Kind) -> None:
    """Write a copy of the first day of a server and kind at once, before rows are moved.

    A restore of our own database to before the first run would otherwise lose where counting began,
    until a job has written the copies of all days: that comes every quarter of an hour. If shop All
    does not take this copy, the job writes it.
    """
    days = ServerDay.objects.filter(server_pk=server.pk, kind=kind.name)
    try:
        with source.database.transaction():
            write_server_days(source, days)
    except TransferError as error:
        logger.warning("the first day of a server can’t be copied to shop All: %s", error.code)


def _as_json(one: Any, fields: Iterable[str]) -> str:
    values = {name: getattr(one, name) for name in fields}
    texts = {
        name: value if isinstance(value, int | str | dict) else str(value)
        for name, value in values.items()
    }
    return as_text(texts)


def _server_day(copy: Copy) -> ServerDay | None:
    """Return the day of a copy; None, with a line in the log, if another program wrote it."""
    try:
        kind, number, day = copy.name.split(" ")
        values = _values(ServerDay, OF_SERVER, copy)
        one = ServerDay(kind=kind, server_pk=int(number), day=date.fromisoformat(day), **values)
        Recorded.from_json(one.position)
    except INVALID:
        _refuse(copy)
        return None
    return one


def _values(model: Any, fields: Iterable[str], copy: Copy) -> dict[str, Any]:
    """Return the values of a copy, as those of the fields. Raises one of INVALID."""
    stored = json.loads(copy.content)
    values = {name: model._meta.get_field(name).to_python(stored[name]) for name in fields}
    if any(isinstance(one, Decimal) and not one.is_finite() for one in values.values()):
        raise ValueError(copy.name)
    return values


# Days of the log


def take_back_log_days(source: ShopAll, kind: Kind) -> None:
    """Take back the sums of days of which lines have gone: those of our own copies are the latest.

    Of a day that no copy of ours has, the copy of another installation: a log has one past.
    """
    removed = source.log.removed(kind)
    if not removed:
        return
    kept = kept_in(source)
    own = {one.day: one for one in _log_days(kept.read(What.LOG_DAY, f"{kind.name} "))}
    lacking = {one.day: one for one in own.values() if one.first < removed}
    known = {*own, *LogDay.objects.filter(kind=kind.name).values_list("day", flat=True)}
    for one in _log_days(kept.of_others(What.LOG_DAY)):
        if one.kind == kind.name and one.day not in known and one.first < removed:
            lacking[one.day] = one
    LogDay.objects.bulk_create(
        lacking.values(),
        update_conflicts=True,
        unique_fields=["kind", "day"],
        update_fields=OF_LOG,
    )


def write_log_days(source: ShopAll) -> None:
    """Write the copies of all days of logs; the caller commits."""
    copies = [Copy(f"{one.kind} {one.day}", _as_json(one, OF_LOG)) for one in LogDay.objects.all()]
    kept_in(source).write(What.LOG_DAY, copies)


def _log_days(copies: Iterable[Copy]) -> Iterable[LogDay]:
    for copy in copies:
        try:
            kind, day = copy.name.split(" ")
            values = _values(LogDay, OF_LOG, copy)
            one = LogDay(kind=kind, day=date.fromisoformat(day), **values)
            for name in EFFECTS:
                Count(int(one.effects[name]["rows"]), Decimal(one.effects[name]["amount"]))
        except INVALID:
            _refuse(copy)
        else:
            yield one


def _refuse(copy: Copy) -> None:
    logger.warning("datatransfer.kept has a row that another program wrote: %r", copy.name[:100])


# Statements


@dataclass(frozen=True)
class Other:
    """A statement that shop All knows and our chain does not contain."""

    installation: str
    number: int
    digest: str

    def as_json(self) -> dict[str, Any]:
        return {"installation": self.installation, "number": self.number, "digest": self.digest}


def take_back_statements(kept: Kept, key: Ed25519PublicKey) -> list[Other]:
    """Take back the statements that our own database has lost. Audited.

    Returns what is not in our chain: statements of this installation that do not fit, since two
    databases have gone on from one, and the last one of each other installation. The caller has
    locked the copies, and is in a transaction of our own database.
    """
    own = dict(Statement.objects.values_list("number", "digest"))
    others = []
    for name in kept.names(What.STATEMENT):
        number, digest = _of_name(name)
        if not number or own.get(number) == digest:
            continue
        copy = next(iter(kept.read(What.STATEMENT, name)), None)
        document = copy and Document.read(copy.content.encode(), key)
        if copy and document and _fits(document, own, kept.installation):
            _restore(document, copy.content)
            own[document.number] = document.digest
        else:
            others.append(Other(kept.installation, number, digest))
    for copy in kept.last_of_others(What.STATEMENT):
        number, digest = _of_name(copy.name)
        if number:
            others.append(Other(copy.installation, number, digest))
    return others


def not_in_chain(kept: Kept) -> list[Other]:
    """Return the statements of this installation that shop All has, and our own database not so."""
    own = {(one, digest) for one, digest in Statement.objects.values_list("number", "digest")}
    found = [_of_name(name) for name in kept.names(What.STATEMENT)]
    return [Other(kept.installation, *one) for one in found if one[0] and one not in own]


def write_statements(kept: Kept) -> None:
    """Write the copies of the statements that shop All lacks; the caller commits."""
    known = {*kept.names(What.STATEMENT)}
    for one in Statement.objects.defer("document").order_by("number"):
        name = f"{one.number:012d} {one.digest}"
        if name not in known:
            kept.write(What.STATEMENT, [Copy(name, one.document)])


def _of_name(name: str) -> tuple[int, str]:
    """Return number and digest of a copy; the number is 0 if another program wrote it."""
    number, _, digest = name.partition(" ")
    return (int(number) if number.isdecimal() and digest.isalnum() else 0, digest[:64])


def _fits(document: Document, own: dict[int, str], installation: str) -> bool:
    """Whether a statement has the place in the chain that is free."""
    number, content = document.number, document.content
    if number in own or content.get("installation") != installation:
        return False
    if number > 1 and own.get(number - 1) != content["previous"]:
        return False
    after = Statement.objects.filter(number=number + 1).first()
    named = after and json.loads(after.document)["statement"]["previous"]
    return named in (None, document.digest)


def _restore(document: Document, text: str) -> None:
    content = document.content
    server = content["server"] or {"id": None, "name": ""}
    statement = Statement.objects.create(
        number=document.number,
        made_at=datetime.fromisoformat(content["made_at"]),
        made_by=content["made_by"],
        first=date.fromisoformat(content["period"]["from"]),
        last=date.fromisoformat(content["period"]["to"]),
        server_pk=server["id"],
        server_name=server["name"],
        digest=document.digest,
        document=text,
    )
    new = {"digest": document.digest, "came_back": True}
    AuditEntry.record(Actor(""), AuditEntry.Action.STATEMENT, statement, new=new)


# All of it


def exchange_days(source: ShopAll) -> None:
    """Take back the days that our own database has lost, and write all that it has; commits."""
    with source.database.transaction(), transaction.atomic():
        _take_time(source)
        for kind in installed_kinds().values():
            take_back_log_days(source, kind)
        _take_back_all_servers(kept_in(source))
    write_days(source)


def write_days(source: ShopAll) -> None:
    """Write the copies of all days, of recent ones as they are now; commits."""
    kept = kept_in(source)
    with source.database.transaction():
        _take_time(source)
        write_log_days(source)
        recent = timezone.now().date() - RECENT
        write_server_days(source, ServerDay.objects.filter(day__gte=recent))
        if kept.count(What.SERVER_DAY) < ServerDay.objects.count():  # shop All was restored
            write_server_days(source, ServerDay.objects.order_by("pk").iterator())


def _take_time(source: ShopAll) -> None:
    """Let statements take any time, unless somebody waits."""
    if not source.database.is_waited_for:
        source.database.limit_statements(None)
