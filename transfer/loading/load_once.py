"""Rows of a program, loaded once for each Idempotency-Key, all of them or none.

Why a call that is repeated stages no second row:

1. What shop All calls the load is made of the Idempotency-Key and the rows alone (`engine/shop_all/
   names`). It depends on no secret and on none of our ids: another SECRET_KEY, another API key or a
   lost own database lead to the same name.
2. Shop All notes the name, and the key, in the transaction that stages the rows. A second
   transaction with this key can't commit.
3. A repeated call asks shop All before it loads. What has committed is answered from that note,
   even if our own database was lost; also if the load was taken back since.
4. A key that was used for other rows is refused.

A restore of shop All to before the load takes rows and note together. Then the call loads its rows
once more, under the same name: bonus servers that have received them do not get them again. If the
load had been taken back, the call is refused: it would bring back what somebody has taken back.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from django.utils import timezone

from transfer.causes.approvals import CALL_NOT_APPROVED
from transfer.causes.files import (
    BUSY_WITH_THE_SAME,
    CALL_TAKEN_BACK,
    FILE_TOO_LARGE,
    LARGE_CALL_OPEN,
    OTHER_CONTENT,
    TOO_LARGE_FOR_A_CALL,
)
from transfer.causes.runs import UNEXPECTED
from transfer.engine.kind import Kind
from transfer.errors import AlreadyRunning, BadRows, FileRefused, TransferError
from transfer.loading import json_rows, undo_load, upload_job
from transfer.loading.body import Encrypted
from transfer.loading.lost import note_lost, with_undos
from transfer.loading.receive import LARGEST, receive
from transfer.loading.upload_job import SMALL, loading
from transfer.models import Actor, ApiKey, Upload
from transfer.models.uploads import content_digests
from transfer.queue.locks import Space, lock

# The namespace of the tokens that derive from Idempotency-Keys.
NAMESPACE = uuid.UUID("6f2b8a52-3c1d-4c39-9a0e-5f4f1c7d2e10")
LOCK_NUMBERS = 1 << 31
FORMATS = {"csv": LARGEST, json_rows.FORMAT: json_rows.LARGEST}  # and the bytes of a body at most
BYTES_IN_CALL, ROWS_IN_CALL = 4 << 20, 100_000  # above that, a worker loads the rows
LARGE = SMALL  # bytes: a key has one call above that at a time

SHOP_ALL = "shop All"  # in the audit: who says that a load was taken back

State = Upload.State
CLOSED = (State.DISCARDED, State.DECLINED, State.EXPIRED)

BAD_ROWS_NAMED = 100


class Outcome(NamedTuple):
    """What a call has loaded, or had loaded before."""

    token: uuid.UUID
    rows: int | None  # None: a worker will load them, or they need a second person
    is_repeated: bool
    is_waiting: bool = False  # for a second person


def load_once(
    kind: Kind,
    body: Encrypted,
    key: ApiKey,
    actor: Actor,
    *,
    idempotency_key: str,
    form: str,
    encoding: str = "",
    may_wait: bool = False,
) -> Outcome:
    """Loads the rows of a body, a JSON list or a CSV as `form` says; once, if it is repeated.

    Without an `encoding`, that of a CSV is detected. Many rows are loaded by a worker if the caller
    may wait for them, and refused otherwise.

    1. Keeps other calls with the same Idempotency-Key away.
    2. Finishes or removes what an earlier call has left unfinished.
    3. If the Idempotency-Key was used: compares the rows, and answers as before.
    4. Refuses the call if it is large while another large call of the API key is open.
    5. Else checks the rows as a file, and loads all of them if all are good. Rows that need a
       second person wait; the call that is repeated then says how that ended.
    Raises TransferError: FileRefused if the rows, or the Idempotency-Key, can't be taken.
    """
    token = uuid.uuid5(NAMESPACE, idempotency_key)
    try:
        with lock(Space.IDEMPOTENCY, token.int % LOCK_NUMBERS):
            earlier = _earlier(token)
            if earlier is not None:
                _check_same(earlier, kind, body.chunks(), most=FORMATS[form])
            if earlier is not None and earlier.state == State.WAITING:
                return Outcome(token, None, True, is_waiting=True)
            if earlier is not None and earlier.state in CLOSED:
                raise FileRefused(CALL_NOT_APPROVED)
            if earlier is not None and not _is_lost(earlier):
                if not earlier.is_working:
                    return Outcome(token, earlier.good, True)
                if may_wait:
                    return Outcome(token, None, True)
                raise FileRefused(BUSY_WITH_THE_SAME)
            is_for_worker = not _fits_in_call(body, form)
            if is_for_worker and not may_wait:
                raise FileRefused(TOO_LARGE_FOR_A_CALL, rows=ROWS_IN_CALL, most=BYTES_IN_CALL >> 20)
            ordered: dict[str, Any] = {}
            if is_for_worker:
                ordered = {"confirmed_by": actor.name, "confirmed_at": timezone.now()}
            with _one_large_call(body, key, actor):
                upload = receive(
                    kind,
                    body.chunks(),
                    actor,
                    name=idempotency_key,
                    input_method=Upload.InputMethod.API,
                    most=FORMATS[form],
                    token=token,
                    chosen={"format": form, "encoding": encoding},
                    **ordered,
                )
            with upload.lock():
                outcome = _load(upload, actor)
            if outcome.rows is None and not outcome.is_waiting:
                upload.enqueue()
            return outcome
    except AlreadyRunning:
        raise FileRefused(BUSY_WITH_THE_SAME) from None


def _is_lost(upload: Upload) -> bool:
    """Return whether shop All has lost the load of an earlier call by a restore.

    Then our own record of it is shown as lost, and never answers for it. Raises CALL_TAKEN_BACK
    where it had been taken back.
    """
    note_lost(with_undos([upload]))
    if upload.state != State.LOST:
        return False
    if upload.was_ever_undone:
        raise FileRefused(CALL_TAKEN_BACK)
    upload.saved.update(token=uuid.uuid4())  # stays in the list of loads
    return True


def _fits_in_call(body: Encrypted, form: str) -> bool:
    """Whether the web server itself may load so many rows, which are counted at most."""
    if body.size > BYTES_IN_CALL:
        return False
    if form == json_rows.FORMAT:
        # Each row begins with a brace.
        return sum(piece.count(b"{") for piece in body.chunks()) <= ROWS_IN_CALL
    ends = [(piece.count(b"\n"), piece.count(b"\r")) for piece in body.chunks()]
    return max(map(sum, zip(*ends, strict=True)), default=0) <= ROWS_IN_CALL + 1  # the headings


@contextmanager
def _one_large_call(body: Encrypted, key: ApiKey, actor: Actor) -> Iterator[None]:
    """Lets one large call of a key store its rows while no other is open.

    Raises LARGE_CALL_OPEN.
    """
    if body.size <= LARGE:
        yield
        return
    is_open = Upload.objects.pending().filter(
        input_method=Upload.InputMethod.API, created_by=actor.name, size__gt=LARGE
    )
    try:
        with lock(Space.LARGE_CALL, key.pk % LOCK_NUMBERS):
            if is_open.exists():
                raise FileRefused(LARGE_CALL_OPEN)
            yield
    except AlreadyRunning:
        raise FileRefused(LARGE_CALL_OPEN) from None


def _earlier(token: uuid.UUID) -> Upload | None:
    """The load of an earlier call, as far as our own database knows it.

    One that was cut off is finished, or removed if it was not confirmed. One that waits for a
    worker is left to it; one that has waited for a second person answers for itself, however that
    ended. Raises AlreadyRunning.
    """
    upload = Upload.objects.filter(token=token).first()
    if upload is None or (upload.is_ordered and upload.state == State.RECEIVED):
        return upload
    with upload.lock():
        upload.refresh_from_db()
        if upload.state == State.CONFIRMED:
            upload_job.go_on(upload)
        if upload.is_recorded or hasattr(upload, "approval"):
            return upload
        if upload.state in CLOSED:  # stays in the list of loads
            upload.saved.update(token=uuid.uuid4())
        else:
            upload.delete()
    return None


def _load(upload: Upload, actor: Actor) -> Outcome:
    """Check and load the rows; where shop All has them already, note that, and say so.

    Rows that were ordered are left to a worker, once shop All has answered.
    """
    try:
        if upload.is_ordered:
            return Outcome(upload.token, None, _is_known(upload))
        upload_job.go_on(upload)
        upload_job.require_good(upload)
        is_repeated = _is_known(upload)
    except BadRows as refused:
        refused.lines = [*upload.bad_lines.all()[:BAD_ROWS_NAMED]]
        upload.delete()
        raise
    except Exception:
        upload.delete()
        raise
    upload.confirm(actor)
    upload_job.go_on(upload)
    if upload.state == State.WAITING:
        return Outcome(upload.token, None, is_repeated=False, is_waiting=True)
    if upload.state != State.LOADED:
        error = upload.error or TransferError(UNEXPECTED)
        upload.delete()
        raise error
    if is_repeated and undo_load.is_noted(upload):  # our own database has lost that, too
        upload_job.go_on(undo_load.order(upload, Actor(SHOP_ALL)))
    return Outcome(upload.token, upload.good, is_repeated)


def _is_known(upload: Upload) -> bool:
    """Return whether shop All knows the call, whose load is then noted here as well."""
    with loading(upload) as loader:
        names = loader.staged.shop_all.names
        return loader.staged.shop_all.loads.of_call(names.call(str(upload.token))) is not None


def _check_same(upload: Upload, kind: Kind, chunks: Iterable[bytes], *, most: int) -> None:
    """Raise OTHER_CONTENT unless the upload has this kind and content.

    Raise FILE_TOO_LARGE where the content has more than `most` bytes.
    """
    digest, size = sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise FileRefused(FILE_TOO_LARGE, most=most >> 20)
        digest.update(chunk)
    if upload.kind != kind.name or upload.digest not in content_digests(digest.hexdigest()):
        raise FileRefused(OTHER_CONTENT)
