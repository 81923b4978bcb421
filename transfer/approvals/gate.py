"""The one place that every way of entering rows passes: a file, a page, a call of the API, a
command, a correction, an undo, a decision about changed rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from transfer.approvals.limits import Reason, reasons
from transfer.approvals.rows import Rows
from transfer.causes.approvals import (
    APPROVED_ROWS_DIFFER,
    LOADER_MAY_NOT,
    SECOND_PERSON_NEEDS_NAME,
)
from transfer.errors import ApprovalVoid, TransferError
from transfer.installed import installed_kinds
from transfer.models import Approval, Entry, Person, Upload


class NeedsSecondPerson(Exception):
    """The rows are not staged: they wait for a second person. See `ask`."""

    def __init__(self, person: Person, rows: Rows, found: list[Reason]) -> None:
        self.person, self.rows, self.reasons = person, rows, found
        self.digest = rows.digest()
        super().__init__(", ".join(one["code"] for one in found))

    def ask(self, upload: Upload) -> Approval:
        """Have the upload wait."""
        return Approval.ask(
            upload,
            self.person,
            listed=self.rows.listed,
            reasons=self.reasons,
            rows=self.rows.count,
            largest=self.rows.largest,
            total=self.rows.total,
            digest=self.digest,
        )


@contextmanager
def entering(who: str, way: str, rows: Rows, upload: Upload | None = None) -> Iterator[None]:
    """Let the block stage the rows, and note that they were entered.

    `who` is the name of the user or key (see `Person`), `upload` what waits if they may not pass.

    1. Rows that were approved pass if they are still the same, and the loader may still load.
    2. Others pass if no limit is exceeded, and no number of a user is named.
    3. The entry is noted before the block stages: if that fails, nothing is staged.

    Block and note are one transaction of our own database. With an upload, shop All commits within
    the block: after a process that died in between, the upload is tried again. Without one, nothing
    is tried again. So the caller has a transaction of our own database around all this, and shop
    All commits after it: the note may name rows that were not staged, and is never missing.

    Raises NeedsSecondPerson; SECOND_PERSON_NEEDS_NAME where nobody is named; ApprovalVoid;
    PERSON_BUSY.
    """
    with transaction.atomic():
        _pass(who, rows, upload)
        note(who, way, rows, upload)
        yield


def _pass(who: str, rows: Rows, upload: Upload | None) -> None:
    """Raise where the rows may not be staged: see `entering`."""
    person = Person.named(who)
    approved = Approval.objects.filter(upload=upload, state=Approval.State.APPROVED)
    if upload is not None and (approval := approved.first()) is not None:
        _check(approval, person, rows)
    elif found := reasons(person, rows):
        if not person.is_known:
            raise TransferError(SECOND_PERSON_NEEDS_NAME)
        raise NeedsSecondPerson(person, rows, found)


def note(who: str, way: str, rows: Rows, upload: Upload | None) -> None:
    """Note what was entered, once, also of a load that a process that died has staged."""
    if not installed_kinds()[rows.kind].appends or not rows.count:
        return
    listed = [(one, amount) for one, _other, amount in rows.listed if amount is not None]
    Entry.note(
        upload,
        listed,
        who=who,
        way=way,
        rows=rows.count,
        total=rows.total,
        amount=rows.amount,
        approved_by="" if upload is None else upload.approved_by,
    )


def _check(approval: Approval, person: Person, rows: Rows) -> None:
    """Raise ApprovalVoid where the rows are others by now, or the loader may not load any more."""
    approved = (approval.digest, approval.rows, approval.total)
    if approved != (rows.digest(), rows.count, rows.total):
        raise ApprovalVoid(APPROVED_ROWS_DIFFER)
    if not person.may_load(rows.kind):
        raise ApprovalVoid(LOADER_MAY_NOT, who=person.name)
    named = {one for reason in approval.reasons for one in reason.get("numbers", [])}
    if not set(rows.own) <= named:
        raise ApprovalVoid(APPROVED_ROWS_DIFFER)
