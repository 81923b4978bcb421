"""What becomes of rejected rows: corrected and staged anew, or discarded. Audited.

The order (DESIGN §3): the rejects are locked, the new rows are staged and committed together with
a note of it in the staging database, and the rejects are closed. Whoever dies before the end
leaves rejects open whose rows were sent; the next attempt finds the note and only closes them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from psycopg2 import sql

from transfer.kinds import KINDS, MASK, Kind
from transfer.models import Actor, AuditEntry, RejectedRow, TransferRun
from transfer.position import Position, moved
from transfer.resend_db import Correction, ResendDoor, Sent

Correct = Callable[[RejectedRow], Correction]
State = RejectedRow.State

AT_ONCE = 500  # rejects that are locked together
RUNS_AT_ONCE = 100


@dataclass
class Outcome:
    """What became of the rejects that somebody wanted to send again."""

    sent: int = 0
    sent_before: int = 0  # only closed: an earlier attempt had staged the row
    faults: dict[int, str] = field(default_factory=dict)  # number of the reject → failed check

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.sent + other.sent,
            self.sent_before + other.sent_before,
            self.faults | other.faults,
        )


def secrets(kind: Kind) -> frozenset[str]:
    return frozenset(column.name for column in kind.columns if column.secret)


def as_it_came(reject: RejectedRow) -> Correction:
    """The row unchanged, its PIN code taken from the old row."""
    kept = secrets(reject.moves)
    values = {name: text for name, text in reject.payload.items() if name not in kept}
    return Correction(str(reject.origin), reject.staging_id, values, kept)


def changed(reject: RejectedRow, values: dict[str, str | None]) -> Correction:
    """The row with these values in place of its own; a secret that is not among them is kept."""
    old = as_it_came(reject)
    return Correction(old.origin, old.old_id, old.values | values, old.kept - values.keys())


def resend(numbers: Iterable[int], correct: Correct, actor: Actor) -> Outcome:
    """Sends open rejects again, those that pass the checks. Raises TransferError.

    A row that several servers have rejected is sent once, and all of its rejects are closed.
    """
    wanted, outcome = sorted(numbers), Outcome()
    for start in range(0, len(wanted), AT_ONCE):
        batch = RejectedRow.objects.filter(pk__in=wanted[start : start + AT_ONCE])
        for name in batch.open().order_by().values_list("kind", flat=True).distinct():
            outcome += _resend(batch.filter(kind=name), KINDS[name], correct, actor)
    return outcome


@transaction.atomic
def _resend(chosen: Any, kind: Kind, correct: Correct, actor: Actor) -> Outcome:
    # With those of the same rows at other servers, and in one order, or two would lock each other.
    same_row = chosen.open().filter(origin=OuterRef("origin"), staging_id=OuterRef("staging_id"))
    locked = (
        RejectedRow.objects.open()
        .filter(Exists(same_row), kind=kind.name)
        .select_for_update(of=("self",))
        .order_by("pk")
    )
    wanted = set(chosen.values_list("pk", flat=True))
    rejects = [one for one in locked if one.pk in wanted]
    by_row = {(str(one.origin), one.staging_id): one for one in rejects}
    corrections = {key: correct(one) for key, one in by_row.items()}
    outcome, closed = Outcome(), 0
    with ResendDoor(settings.SHOP_ALL_DATABASE_URL, kind) as door:
        for origin in sorted({key[0] for key in by_row}):
            mine = [one for one in corrections.values() if one.origin == origin]
            with door.transaction():
                door.require_table()
                now_in = door.origin()
                mine = [_within(one, now_in) for one in mine]
                earlier = door.sent_before(origin, [one.old_id for one in mine])
                faults = door.faults(mine)
                sent = door.send(
                    one for one in mine if one.old_id not in faults or one.old_id in earlier
                )
            for old_id, new in sent.items():
                _close_sent(by_row[origin, old_id], new, now_in, actor)
                closed += 1
            outcome.sent += sum(new.fresh for new in sent.values())
            outcome.sent_before += sum(not new.fresh for new in sent.values())
            outcome.faults |= {
                by_row[origin, old_id].pk: code
                for old_id, code in faults.items()
                if old_id not in sent
            }
    if closed:
        _note_resent(rejects, corrections, closed, actor)
    return outcome


def _within(one: Correction, origin: str) -> Correction:
    """A secret can be kept only in the database that holds the old row."""
    if one.origin == origin:
        return one
    return Correction(one.origin, one.old_id, one.values)


def _close_sent(reject: RejectedRow, sent: Sent, origin: str, actor: Actor) -> None:
    RejectedRow.objects.of_row(reject).open().update(
        state=State.RESENT,
        closed_at=timezone.now(),
        closed_by=actor.name,
        resent_id=sent.new_id,
        resent_xid=sent.new_xid,
        resent_origin=origin,
    )


def _note_resent(
    rejects: list[RejectedRow], corrections: dict[Any, Correction], closed: int, actor: Actor
) -> None:
    if len(rejects) > 1:
        _note_many(AuditEntry.Action.RESEND, rejects[0], closed, actor)
        return
    (reject,), (correction,) = rejects, corrections.values()
    hidden = secrets(reject.moves)
    new: dict[str, Any] = {
        name: MASK if name in hidden else value
        for name, value in correction.values.items()
        if name not in correction.kept and value != reject.payload.get(name)
    }
    old = {name: reject.payload.get(name) for name in new}
    reject.refresh_from_db()
    new["resent_id"] = reject.resent_id
    AuditEntry.record(actor, AuditEntry.Action.RESEND, reject, old=old, new=new)


def _note_many(
    action: AuditEntry.Action, one: RejectedRow, rows: int, actor: Actor, reason: str = ""
) -> None:
    """One entry for all; each row says itself who closed it, and when."""
    subject = RejectedRow(kind=one.kind)
    AuditEntry.record(actor, action, subject, new={"rows": rows}, reason=reason)


@transaction.atomic
def discard(numbers: Iterable[int], reason: str, actor: Actor) -> int:
    """Closes open rejects with a reason: they are never sent. Returns how many."""
    chosen = RejectedRow.objects.filter(pk__in=list(numbers)).open()
    rejects = list(chosen.select_for_update(of=("self",)).order_by("pk"))
    if not rejects:
        return 0
    RejectedRow.objects.filter(pk__in=[one.pk for one in rejects]).update(
        state=State.DISCARDED, closed_at=timezone.now(), closed_by=actor.name, close_reason=reason
    )
    if len(rejects) == 1:
        told = {"new": {"state": State.DISCARDED}, "old": {"state": State.OPEN}}
        AuditEntry.record(actor, AuditEntry.Action.DISCARD, rejects[0], reason=reason, **told)
    else:
        for kind in sorted({one.kind for one in rejects}):
            mine = [one for one in rejects if one.kind == kind]
            _note_many(AuditEntry.Action.DISCARD, mine[0], len(mine), actor, reason)
    return len(rejects)


def moving_run(reject: RejectedRow) -> TransferRun | None:
    """The run that moved the row which was sent in the reject's place to its server."""
    if reject.resent_id is None or reject.server_id is None:
        return None
    runs = (
        TransferRun.objects.begun()
        .filter(server=reject.server_id, kind=reject.kind)
        .filter(position_to__origin=str(reject.resent_origin))
        .filter(Q(finished_at=None) | Q(finished_at__gte=reject.closed_at))
        .order_by("pk")
    )
    for start in range(0, runs.count(), RUNS_AT_ONCE):
        some = list(runs[start : start + RUNS_AT_ONCE])
        for run, has_moved in zip(some, _moved(reject, some), strict=True):
            if has_moved:
                return run
    return None


def _moved(reject: RejectedRow, runs: list[TransferRun]) -> list[bool]:
    """Whether the row was moved by the end of each run, by the position's own rule."""
    conditions = sql.SQL(", ").join(
        moved(Position.from_json(run.position_to or {})) for run in runs
    )
    query = sql.SQL(
        "select array[{}] from (select {}::xid8 as xid, {}::bigint as id) as row"
    ).format(conditions, sql.Literal(str(reject.resent_xid)), sql.Literal(reject.resent_id))
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchone()[0])
