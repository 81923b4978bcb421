"""Corrects rejected rows and stages them again, or discards them. Audited.

The order: the log of shop All is held, the rejects are locked, the gate is asked (`approvals`), the
new rows are staged, the rejects are closed, and the two databases commit one after the other.

Ours comes first, so that no row is staged of which "By hand" and the audit say nothing. If shop All
does not confirm its commit, its log is asked, and the rejects are opened again unless it has the
rows. A crash in between leaves rejects closed here whose rows were not sent: the log lacks the rows
in their place, so the next run or look at the server opens them again (`mirror`).

Of what a second person has approved, shop All comes first, since its upload is tried again. A crash
in between leaves rejects open here whose rows were sent: they are closed when the corrected row
arrives. To send such a row again meanwhile does no harm: on each server one of the two applies,
where the reject is open.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from transfer.approvals.gate import NeedsSecondPerson, entering
from transfer.approvals.parked import actor_of, name_of, note_staged_before, park, request_of
from transfer.approvals.rows import of_lines
from transfer.causes.loads import CORRECTION_UNCONFIRMED
from transfer.engine.checks import Repair
from transfer.engine.kind import MASK, Kind
from transfer.engine.shop_all.copy_text import as_array, copied
from transfer.engine.shop_all.correction import REPAIRED
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import StagingImport
from transfer.errors import ConnectionLost, TransferError
from transfer.installed import installed_kinds
from transfer.models import Actor, AuditEntry, RejectedRow, Upload
from transfer.models.rejects import RejectedRowQuerySet
from transfer.parties import SHOP_ALL
from transfer.rejects.closing import AT_ONCE, close_staged
from transfer.rejects.mirror import open_unsent

Values = dict[str, str | None]
State, Way = RejectedRow.State, Upload.InputMethod


@dataclass
class Outcome:
    """The outcome for the rejected rows that a user wanted to send again."""

    sent: int = 0
    faults: Counter[str] = field(default_factory=Counter)  # failed check → rows
    waiting: int = 0  # rows that need a second person: nothing of them is staged

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.sent + other.sent,
            self.faults + other.faults,
            self.waiting + other.waiting,
        )


def resend(
    chosen: RejectedRowQuerySet, values: Values, actor: Actor, *, repair: Repair | None = None
) -> Outcome:
    """Sends the open ones of these rejects again, those that pass the checks.

    `values` are those that people have typed. All others are those of the row in shop All, since
    a bonus server may forge what it has recorded of the row; `repair` corrects them. A row that is
    gone from shop All must have all of its values typed. A row that several servers have rejected
    is sent once, and all of its rejects are closed. Rows that need a second person wait, and their
    rejects stay open. Raises TransferError.
    """
    outcome = Outcome()
    for kind, rejects in _by_kind(chosen):
        try:
            outcome += _resend(_Rows(rejects, kind, values), actor, repair)
        except NeedsSecondPerson as needed:
            numbers = [*rejects.open().values_list("pk", flat=True)]
            request = {"rejects": numbers, "values": values, "repair": repair}
            park(kind, Way.CORRECTION, actor, request, needed)
            outcome += Outcome(waiting=needed.rows.count)
    return outcome


@dataclass(frozen=True)
class Checked:
    """What a correction would send: the checks that it fails, and its row, secrets masked."""

    faults: Counter[str]
    row: Values


def check(chosen: RejectedRowQuerySet, values: Values) -> Checked | None:
    """Check the correction of one reject as `resend` does, and send nothing.

    Return None if it is not open any more. Raises TransferError.
    """
    for kind, rejects in _by_kind(chosen):
        rows = _Rows(rejects, kind, values)
        with _shop_all(kind) as shop_all, _received(shop_all, rows, None) as staged:
            if rows.count:
                return Checked(Counter(staged.faults()), staged.payload(rows.count))
    return None


def resend_approved(upload: Upload) -> None:
    """Send what a second person has approved, once. Raises ApprovalVoid, TransferError."""
    request, kind = request_of(upload), upload.kind_spec
    repair = Repair(request["repair"]) if request["repair"] else None
    chosen = RejectedRow.objects.filter(pk__in=request["rejects"], kind=kind.name)
    _resend(_Rows(chosen, kind, request["values"]), actor_of(upload), repair, upload)


def _by_kind(chosen: RejectedRowQuerySet) -> Iterator[tuple[Kind, RejectedRowQuerySet]]:
    """The kinds of the open ones, and those of each."""
    for name in chosen.open().order_by("kind").values_list("kind", flat=True).distinct():
        yield installed_kinds()[name], chosen.filter(kind=name)


def _resend(
    rows: "_Rows", actor: Actor, repair: Repair | None, approved: Upload | None = None
) -> Outcome:
    """Stage the rows and close their rejects; `approved`: the upload in which they have waited.

    Raises NeedsSecondPerson, and TransferError.
    """
    name = None
    with _shop_all(rows.kind) as shop_all:
        if approved is not None:
            if note_staged_before(approved, shop_all):
                return Outcome(approved.good)
            name = name_of(approved, shop_all)
        with _received(shop_all, rows, repair) as staged:
            faults = Counter(staged.faults())
            with entering(actor.name, Way.CORRECTION, of_lines(staged), approved):
                outcome = Outcome(staged.stage(actor.name, name), faults)
                close_staged(staged, actor.name)
                as_staged = staged.payload(rows.count) if rows.count == 1 else {}
                if outcome.sent:
                    _note_resent(rows, as_staged, outcome, actor)
                if approved is not None and name is not None:
                    staged.database.commit()
                    approved.note_loaded(outcome.sent, name)
    return outcome


def _shop_all(kind: Kind) -> ShopAll:
    return ShopAll(settings.SHOP_ALL_DATABASE_URL, "resend", secret=bool(kind.secrets))


@contextmanager
def _received(shop_all: ShopAll, rows: "_Rows", repair: Repair | None) -> Iterator[StagingImport]:
    """Give the rows, checked, in a transaction of both databases, which stages nothing by itself.

    It holds the log of shop All, and locks the rejects. Our own database commits first.
    """
    staged = StagingImport(shop_all, rows.kind)
    with staged.database.transaction(commit=False):
        with transaction.atomic():
            staged.hold()
            staged.receive(rows.lines(), repair=repair)
            yield staged
        if staged.changeset is not None:
            _commit(staged, staged.changeset)


def _commit(staged: StagingImport, changeset: str) -> None:
    """Commit in shop All what our own database has noted as sent.

    If that fails, opens the rejects again, and raises the error. If only the answer is lost, the
    log tells whether it has failed; if that can't be known now, raises CORRECTION_UNCONFIRMED. A
    row that was staged all the same closes its rejects when it arrives.
    """
    try:
        staged.database.commit()
    except TransferError as error:
        staged.database.close()
        raised = error
        try:
            if staged.is_in_log(changeset):
                return
        except TransferError as failure:
            technical = failure.technical
            raised = ConnectionLost(CORRECTION_UNCONFIRMED, technical, party=SHOP_ALL)
        open_unsent(staged.kind, changeset)
        raise raised from None


@dataclass
class _Rows:
    """The rows of open rejects as they shall be staged; walking over them locks the rejects."""

    chosen: RejectedRowQuerySet
    kind: Kind
    values: Values
    count: int = 0
    latest: int = 0  # number of a reject of the latest row

    def lines(self) -> Iterator[str]:
        columns = ("is_chosen", "pk", "changeset", "row")
        is_chosen = Exists(self.chosen.open().filter(pk=OuterRef("pk")))
        locked = _locked(self.chosen, self.kind).annotate(is_chosen=is_chosen)
        rows = locked.values_list(*columns, named=True).iterator(AT_ONCE)
        values = [self.values.get(name) for name in self.kind.names]
        kept = [name for name in self.kind.names if name not in self.values]
        for (changeset, row), same in groupby(rows, key=attrgetter("changeset", "row")):
            chosen = [one for one in same if one.is_chosen]
            if chosen:  # another process may have closed them meanwhile
                self.count += 1
                self.latest = chosen[0].pk
                beside = [*[None] * 5, str(changeset), str(row), as_array(kept)]
                yield copied(str(self.count), *values, *beside)


def _locked(chosen: RejectedRowQuerySet, kind: Kind) -> RejectedRowQuerySet:
    """The open ones, with those of the same rows at other servers, which are closed as well."""
    of_rows = RejectedRow.objects.open().of_rows(chosen.open()).filter(kind=kind.name)
    return of_rows.in_locking_order().select_for_update()


def _note_resent(rows: _Rows, as_staged: Values, outcome: Outcome, actor: Actor) -> None:
    hidden = rows.kind.secrets
    shown = {name: MASK if name in hidden else value for name, value in rows.values.items()}
    if rows.count > 1:
        _note_many(AuditEntry.Action.RESEND, rows.kind, outcome.sent, actor, new=shown)
        return
    reject = RejectedRow.objects.get(pk=rows.latest)
    shown = {name: as_staged[name] for name in REPAIRED if name in as_staged} | shown
    changed = [name for name, value in shown.items() if value != reject.payload.get(name)]
    old = {name: reject.payload.get(name) for name in changed}
    new = {**{name: shown[name] for name in changed}, "resent_row": reject.resent_row}
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
def discard(chosen: RejectedRowQuerySet, reason: str, actor: Actor) -> int:
    """Close the open ones of these rejects with a reason; return the number of their rows.

    So are those of the same rows at other servers. Their rows are never applied: the next run of
    each server records that there.
    """
    total = 0
    for kind, rejects in _by_kind(chosen):
        locked = [*_locked(rejects, kind).values_list("pk", "changeset", "row")]
        rows = {(changeset, row) for _pk, changeset, row in locked}
        mine = RejectedRow.objects.open().filter(pk__in=[pk for pk, *_name in locked])
        mine.discard(reason, actor.name)
        total += len(rows)
        if len(rows) == 1:
            change = {"new": {"state": State.DISCARDED}, "old": {"state": State.OPEN}}
            reject = RejectedRow.objects.get(pk=locked[-1][0])
            AuditEntry.record(actor, AuditEntry.Action.DISCARD, reject, reason=reason, **change)
        else:
            _note_many(AuditEntry.Action.DISCARD, kind, len(rows), actor, reason=reason)
    return total
