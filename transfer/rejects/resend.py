"""Corrects rejected rows and stages them again, or discards them. Audited.

The order: the rejects are locked, the new rows are staged together with a note of it
in the staging database, the rejects are closed, and the two databases commit one after the other.
A crash in between leaves rejects open whose rows were sent: the next tick finds the notes and
closes them, and so does the next user who presses the button.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from transfer.engine.checks import NOT_FOR_THIS_SERVER, Repair
from transfer.engine.kind import MASK, Kind
from transfer.engine.shop_all.copy_text import as_array, copied
from transfer.engine.shop_all.corrected_lines import REPAIRED
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import StagingImport
from transfer.errors import TransferError
from transfer.models import Actor, AuditEntry, RejectedRow
from transfer.models.rejects import RejectedRowQuerySet
from transfer.rejects.closing import AT_ONCE, batches, close_noted, close_staged

Values = dict[str, str | None]
State = RejectedRow.State


@dataclass
class Outcome:
    """The outcome for the rejected rows that a user wanted to send again."""

    sent: int = 0
    sent_before: int = 0  # only closed: an earlier attempt had staged the row
    faults: Counter[str] = field(default_factory=Counter)  # failed check → rows

    @property
    def rows(self) -> int:
        return self.sent + self.sent_before

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.sent + other.sent,
            self.sent_before + other.sent_before,
            self.faults + other.faults,
        )


class Discarded(NamedTuple):
    """How many rejects are discarded, and how many turned out to be sent before."""

    rows: int
    sent_before: int


def resend(
    chosen: RejectedRowQuerySet, values: Values, actor: Actor, *, repair: Repair | None = None
) -> Outcome:
    """Sends the open ones of these rejects again, those that pass the checks.

    `values` are those that people have typed. All others are those of the row in shop All, since
    a bonus server may forge what it has recorded of the row; `repair` corrects them. A row that is
    gone from shop All must have all of its values typed. A row that several servers have rejected
    is sent once, and all of its rejects are closed. Of the servers that are not certain, those get
    it whose rejects are chosen; at the others it becomes a reject once more. Raises TransferError.
    """
    outcome = Outcome()
    for kind, rejects in _by_kind(chosen):
        outcome += _resend(_Rows(rejects, kind, values), actor, repair)
    return outcome


def _by_kind(chosen: RejectedRowQuerySet) -> Iterator[tuple[Kind, RejectedRowQuerySet]]:
    """The kinds of the open ones, and those of each."""
    for name in chosen.open().order_by("kind").values_list("kind", flat=True).distinct():
        yield settings.KINDS[name], chosen.filter(kind=name)


def _resend(rows: "_Rows", actor: Actor, repair: Repair | None) -> Outcome:
    dsn, secret = settings.SHOP_ALL_DATABASE_URL, bool(rows.kind.secrets)
    with ShopAll(dsn, "resend", secret=secret) as shop_all:
        staged = StagingImport(shop_all, rows.kind)
        with transaction.atomic(), staged.database.transaction(commit=False):
            shop_all.corrections.require()
            staged.receive(rows.lines(), repair=repair)
            sent = staged.stage(actor.name)
            outcome = Outcome(sent, staged.count_sent() - sent, Counter(staged.faults()))
            close_staged(staged)
            as_staged = staged.payload(rows.count) if rows.count == 1 else {}
            staged.database.commit()
            if outcome.rows:
                _note_resent(rows, as_staged, outcome, actor)
        finish(staged)
    return outcome


def finish(staged: StagingImport) -> None:
    """Tells the staging database that the rejects are closed; failing that, the next tick does."""
    if staged.xid is not None:
        with suppress(TransferError), staged.database.transaction():
            staged.shop_all.corrections.finish(staged.xid)


@dataclass
class _Rows:
    """The rows of open rejects as they shall be staged; walking over them locks the rejects."""

    chosen: RejectedRowQuerySet
    kind: Kind
    values: Values
    count: int = 0
    latest: int = 0  # number of a reject of the latest row

    def lines(self) -> Iterator[str]:
        columns = ("is_chosen", "pk", "origin", "staging_id", "xid", "code", "token")
        locked = _locked(self.chosen, self.kind).annotate(is_chosen=_is_among(self.chosen))
        rows = locked.values_list(*columns, named=True).iterator(AT_ONCE)
        for (origin, old_id), same in groupby(rows, key=attrgetter("origin", "staging_id")):
            chosen = [one for one in same if one.is_chosen]
            if chosen:  # another process may have closed them meanwhile
                self.count += 1
                self.latest = chosen[0].pk
                uncertain = [str(one.token) for one in chosen if one.code == NOT_FOR_THIS_SERVER]
                yield self._line(str(origin), old_id, chosen[0].xid, uncertain)

    def _line(self, origin: str, old_id: int, xid: int | None, uncertain: list[str]) -> str:
        values = [self.values.get(name) for name in self.kind.names]
        kept = [name for name in self.kind.names if name not in self.values]
        row = [origin, str(old_id), None if xid is None else str(xid)]
        beside = [as_array(kept), as_array(uncertain)]
        return copied(str(self.count), *values, *[None] * 5, *row, *beside)


def _is_among(chosen: RejectedRowQuerySet) -> Exists:
    """Whether a reject is an open one of these."""
    return Exists(chosen.open().filter(pk=OuterRef("pk")))


def _locked(chosen: RejectedRowQuerySet, kind: Kind) -> RejectedRowQuerySet:
    """The open ones, with those of the same rows at other servers, which are closed as well."""
    of_rows = RejectedRow.objects.open().of_rows(chosen.open()).filter(kind=kind.name)
    return of_rows.in_locking_order().select_for_update()


def _note_resent(rows: _Rows, as_staged: Values, outcome: Outcome, actor: Actor) -> None:
    hidden = rows.kind.secrets
    shown = {name: MASK if name in hidden else value for name, value in rows.values.items()}
    if rows.count > 1:
        _note_many(AuditEntry.Action.RESEND, rows.kind, outcome.rows, actor, new=shown)
        return
    reject = RejectedRow.objects.get(pk=rows.latest)
    shown = {name: as_staged[name] for name in REPAIRED if name in as_staged} | shown
    changed = [name for name, value in shown.items() if value != reject.payload.get(name)]
    old = {name: reject.payload.get(name) for name in changed}
    new = {**{name: shown[name] for name in changed}, "resent_id": reject.resent_id}
    AuditEntry.record(actor, AuditEntry.Action.RESEND, reject, old=old, new=new)


def _note_many(
    action: AuditEntry.Action,
    kind: Kind,
    rows: int,
    actor: Actor,
    *,
    new: Values | None = None,
    reason: str = "",
) -> None:
    """Writes one audit entry for all; each row says itself who closed it, and when."""
    if rows:
        subject = RejectedRow(kind=kind.name)
        AuditEntry.record(actor, action, subject, new={**(new or {}), "rows": rows}, reason=reason)


@transaction.atomic
def discard(chosen: RejectedRowQuerySet, reason: str, actor: Actor) -> Discarded:
    """Closes the open ones of these rejects with a reason: their rows are never sent.

    So are those of the same rows at other servers, without those that are not certain.
    One whose row was sent by somebody who died before closing it is closed as sent. Raises
    TransferError when the staging database can't be asked.
    """
    total = Discarded(0, 0)
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "discard", secret=True) as shop_all:
        for kind, rejects in _by_kind(chosen):
            done = _discard(rejects, kind, reason, actor, shop_all)
            _note_many(AuditEntry.Action.RESEND, kind, done.sent_before, actor)
            total = Discarded(total.rows + done.rows, total.sent_before + done.sent_before)
    return total


def _discard(
    chosen: RejectedRowQuerySet, kind: Kind, reason: str, actor: Actor, shop_all: ShopAll
) -> Discarded:
    is_certain = ~Q(code=NOT_FOR_THIS_SERVER)
    discarded = _locked(chosen, kind).filter(is_certain | _is_among(chosen))
    locked = discarded.values_list("origin", "staging_id", "pk")
    gone: set[tuple[str, int]] = set()
    seen: set[tuple[str, int]] = set()
    latest = 0
    for origin, batch in batches(locked.iterator(AT_ONCE)):
        ids = [number for _, number, _ in batch]
        seen.update((origin, number) for number in ids)
        close_noted(shop_all, kind, origin, ids)
        mine = RejectedRow.objects.open().filter(pk__in=[pk for _, _, pk in batch])
        gone.update((origin, number) for number in mine.values_list("staging_id", flat=True))
        mine.discard(reason, actor.name)
        latest = batch[-1][2]
    if len(gone) == len(seen) == 1:
        change = {"new": {"state": State.DISCARDED}, "old": {"state": State.OPEN}}
        reject = RejectedRow.objects.get(pk=latest)
        AuditEntry.record(actor, AuditEntry.Action.DISCARD, reject, reason=reason, **change)
    else:
        _note_many(AuditEntry.Action.DISCARD, kind, len(gone), actor, reason=reason)
    return Discarded(len(gone), len(seen) - len(gone))
