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
from transfer.engine.received import Position, Recorded, is_uuid
from transfer.engine.shop_all.counts import Count
from transfer.engine.shop_all.kept import Copy, Kept, What
from transfer.engine.shop_all.log_sums import EFFECTS
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import Actor, AuditEntry, BonusServer, LogDay, ServerDay, Settings, Statement
from transfer.statements.document import Document, as_text, proven_by
from transfer.statements.log_days import FIELDS as OF_LOG

logger = logging.getLogger(__name__)

RECENT = timedelta(40)
"""Days of servers that are written each time: at least once in so many days."""
INVALID = (ValueError, TypeError, KeyError, AttributeError, InvalidOperation, ValidationError)
"""What a copy raises that somebody else has written."""
MOST_DIGITS = 1000
"""More digits than any sum has before its point."""
AMOUNTS = ("amount_applied", "amount_rejected", "amount_lost", "amount_skipped")
SUMS = (*AMOUNTS, "applied", "unchanged", "rejected", "lost", "skipped")
OF_SERVER = ("server_name", *SUMS, "position", "noted_at")
OF_NAME = ("origin", "server_uid", "kind", "day", "server_pk")


def kept_in(source: ShopAll) -> Kept:
    return Kept(source.database, str(Settings.load().installation))


# Days of servers


def take_back_server(source: ShopAll, server: BonusServer, position: Position) -> None:
    """Take back the days of a position that our own database has lost, or never had.

    Asks shop All only if our own database does not know the position: so as a rule it costs one
    query of our own. Days of a position of which we know nothing are those that another
    installation has counted, now as days of this server. After this, `ServerDay.objects.note`
    counts what is left on today. Where shop All does not give its copies, that is all of it: no
    transfer stops because of them.
    """
    of = (position.kind, position.server, position.origin)
    last = ServerDay.objects.last_of(position.origin, position.server, position.kind)
    if last is not None and last.recorded.version == position.version:
        return
    try:
        with source.database.transaction(commit=False):
            kept = kept_in(source)
            if not _take_back_days(kept, *of) and last is None:
                _take_over_days(kept, server, *of)
    except TransferError as error:
        logger.warning("the days of a server can’t be taken back from shop All: %s", error.code)


def _take_back_all_servers(kept: Kept) -> None:
    """Take back the days of all servers, of undocked ones too."""
    names = (name.split(" ") for name in kept.names(What.SERVER_DAY))
    for kind, server_uid, origin in dict.fromkeys(tuple(name[:3]) for name in names if name[2:]):
        if is_uuid(server_uid) and is_uuid(origin):
            _take_back_days(kept, kind, server_uid, origin)


def _take_back_days(kept: Kept, kind: str, server_uid: str, origin: str) -> bool:
    """Take back the days of a position from its last one on, where the copy has counted more.

    Returns whether shop All has copies of its days that this installation has written.
    """
    last = ServerDay.objects.last_of(origin, server_uid, kind)
    after = f"{_name_of(kind, server_uid, origin)}{last.day}" if last else ""
    copies = kept.read(What.SERVER_DAY, _name_of(kind, server_uid, origin), after)
    days = [one for copy in copies if (one := _server_day(copy))]
    own = ServerDay.objects.filter(kind=kind, server_uid=server_uid, origin=origin)
    of_last = own.filter(day=last.day) if last else []
    counted = {(one.day, one.server_pk): one.counted for one in of_last}
    newer = [one for one in days if one.counted > counted.get((one.day, one.server_pk), -1)]
    ServerDay.objects.bulk_create(
        newer,
        update_conflicts=True,
        unique_fields=OF_NAME,
        update_fields=OF_SERVER,
    )
    return bool(days)


def _take_over_days(
    kept: Kept, server: BonusServer, kind: str, server_uid: str, origin: str
) -> None:
    """Take over the days of a position from the installation that has noted it last."""
    copies = [*kept.of_others(What.SERVER_DAY, _name_of(kind, server_uid, origin))]
    of_last = (one for one in copies if one.installation == copies[-1].installation)
    noted = [one for copy in of_last if (one := _server_day(copy))]
    days: dict[date, ServerDay] = {}
    for one in sorted(noted, key=lambda day: day.noted_at):
        if one.day in days:  # it was docked again on that day
            for name in SUMS:
                setattr(one, name, getattr(one, name) + getattr(days[one.day], name))
        one.server_pk, one.server_name = server.pk, server.name
        days[one.day] = one
    ServerDay.objects.bulk_create(days.values())


def write_server_days(source: ShopAll, days: Iterable[ServerDay]) -> None:
    """Write the copies of some days; the caller commits."""
    copies = [
        Copy(
            f"{_name_of(one.kind, str(one.server_uid), str(one.origin))}{one.day} {one.server_pk}",
            _as_json(one, OF_SERVER),
        )
        for one in days
    ]
    kept_in(source).write(What.SERVER_DAY, copies)


def _name_of(kind: str, server_uid: str, origin: str) -> str:
    """Return how the names of the copies of days of a position begin."""
    return f"{kind} {server_uid} {origin} "


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
        kind, server_uid, origin, day, number = copy.name.split(" ")
        values = _values(ServerDay, OF_SERVER, copy)
        one = ServerDay(
            kind=kind,
            server_uid=server_uid,
            origin=origin,
            day=date.fromisoformat(day),
            server_pk=int(number),
            **values,
        )
        one.clean_fields(exclude=AMOUNTS)  # they may have more digits than a form allows
        Recorded.from_json(one.position)
    except INVALID:
        _refuse(copy)
        return None
    return one


def _values(model: Any, fields: Iterable[str], copy: Copy) -> dict[str, Any]:
    """Return the values of a copy, as those of the fields. Raises one of INVALID."""
    stored = json.loads(copy.content)
    values = {name: model._meta.get_field(name).to_python(stored[name]) for name in fields}
    amounts = [one for one in values.values() if isinstance(one, Decimal)]
    if not all(one.is_finite() and one.adjusted() < MOST_DIGITS for one in amounts):
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
    missing: list[tuple[str, str, Document | None]] = []
    for name in kept.names(What.STATEMENT):
        number, digest = _of_name(name)
        if number and own.get(number) != digest:
            text = next((copy.content for copy in kept.read(What.STATEMENT, name)), "")
            missing.append((name, text, Document.read(text.encode())))
    proven = proven_by(key, [document for _name, _text, document in missing if document])
    others = []
    for name, text, document in missing:
        if document and document in proven and _fits(document, own, kept.installation):
            _restore(document, text)
            own[document.number] = document.digest
        else:
            others.append(Other(kept.installation, *_of_name(name)))
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
