"""Rows of a program, loaded once for each Idempotency-Key, all of them or none.

Why a call that is repeated stages no second row:
1. The load's token is made of the Idempotency-Key alone. It depends on no secret and on none
   of our ids: another SECRET_KEY, another API key or a lost own database lead to the same token.
2. Shop All notes the token, the primary key of `datatransfer.loaded`, in the transaction that
   stages the rows. A second transaction with this token can't commit.
3. A repeated call asks shop All for the token before it loads. What has committed is answered from
   that note, even if our own database was lost; also if the load was taken back since.
4. Beside the token is a digest of the rows, keyed, since they may hold PIN codes. A key that was
   used for other rows is refused; so is one whose digest was made with a SECRET_KEY that is lost.

The notes are never removed, so they stay at least as long as the rows. A restore of shop All to
before the load takes rows and note together. Our own database still has the load: it counts as
loaded until `rebase_shop_all` has found that no server received its rows.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from django.utils import timezone

from transfer.engine.kind import Kind
from transfer.errors import AlreadyRunning, TransferError
from transfer.loading import json_rows, undo, upload_job
from transfer.loading.body import Encrypted
from transfer.loading.faults import (
    BadRows,
    BusyWithTheSame,
    FileTooLarge,
    LargeCallOpen,
    OtherContent,
    TooLargeForACall,
)
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
CLOSED = (State.DISCARDED, State.EXPIRED, State.LOST)

BAD_ROWS_NAMED = 100


class Outcome(NamedTuple):
    """What a call has loaded, or had loaded before."""

    token: uuid.UUID
    rows: int | None  # None: a worker will load them
    is_repeated: bool


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
    5. Else checks the rows as a file, and loads all of them if all are good.
    Raises TransferError: FileRefused if the rows, or the Idempotency-Key, can't be taken.
    """
    token = uuid.uuid5(NAMESPACE, idempotency_key)
    try:
        with lock(Space.IDEMPOTENCY, token.int % LOCK_NUMBERS):
            earlier = _earlier(token)
            if earlier is not None:
                earlier.digests = content_digests(_sha256(body.chunks(), FORMATS[form]))
                _check_same(earlier, kind.name, earlier.digest)
                if not earlier.is_working:
                    return Outcome(token, earlier.good, True)
                if may_wait:
                    return Outcome(token, None, True)
                raise BusyWithTheSame
            is_for_worker = not _fits_in_call(body, form)
            if is_for_worker and not may_wait:
                raise TooLargeForACall(rows=ROWS_IN_CALL, most=BYTES_IN_CALL >> 20)
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
            if outcome.rows is None:
                upload.enqueue()
            return outcome
    except AlreadyRunning:
        raise BusyWithTheSame from None


def _fits_in_call(body: Encrypted, form: str) -> bool:
    """Whether the web server itself may load so many rows, which are counted at most."""
    if body.size > BYTES_IN_CALL:
        return False
    if form == json_rows.FORMAT:
        return json_rows.most_rows(body.chunks()) <= ROWS_IN_CALL
    ends = [(piece.count(b"\n"), piece.count(b"\r")) for piece in body.chunks()]
    return max(map(sum, zip(*ends, strict=True)), default=0) <= ROWS_IN_CALL + 1  # the headings


@contextmanager
def _one_large_call(body: Encrypted, key: ApiKey, actor: Actor) -> Iterator[None]:
    """Lets one large call of a key store its rows while no other is open. Raises LargeCallOpen."""
    if body.size <= LARGE:
        yield
        return
    is_open = Upload.objects.pending().filter(
        input_method=Upload.InputMethod.API, created_by=actor.name, size__gt=LARGE
    )
    try:
        with lock(Space.LARGE_CALL, key.pk % LOCK_NUMBERS):
            if is_open.exists():
                raise LargeCallOpen
            yield
    except AlreadyRunning:
        raise LargeCallOpen from None


def _earlier(token: uuid.UUID) -> Upload | None:
    """The load of an earlier call, as far as our own database knows it.

    One that was cut off is finished, or removed if it was not confirmed. One that waits for a
    worker is left to it. Raises AlreadyRunning.
    """
    upload = Upload.objects.filter(token=token).first()
    if upload is None or (upload.is_ordered and upload.state == State.RECEIVED):
        return upload
    with upload.lock():
        upload.refresh_from_db()
        if upload.state == State.CONFIRMED:
            upload_job.go_on(upload)
        if upload.state == State.LOADED:
            return upload
        if upload.state in CLOSED:  # stays in the list of loads
            upload.saved.update(token=uuid.uuid4())
        else:
            upload.delete()
    return None


def _load(upload: Upload, actor: Actor) -> Outcome:
    """Checks and loads the rows, unless shop All has noted that they are loaded.

    Rows that were ordered are left to a worker.
    """
    try:
        if _is_noted(upload, actor):
            return Outcome(upload.token, upload.good, True)
        if upload.is_ordered:
            return Outcome(upload.token, None, False)
        upload_job.go_on(upload)
        upload_job.require_good(upload)
    except BadRows as refused:
        refused.lines = [*upload.bad_lines.all()[:BAD_ROWS_NAMED]]
        upload.delete()
        raise
    except Exception:
        upload.delete()
        raise
    upload.confirm(actor)
    upload_job.go_on(upload)
    if upload.state != State.LOADED:
        raise upload.error or TransferError()
    return Outcome(upload.token, upload.good, False)


def _is_noted(upload: Upload, actor: Actor) -> bool:
    """Whether shop All knows the load, which is then noted here as well. Raises OtherContent."""
    with loading(upload) as loader:
        noted, loaded = loader.content_of(upload.token), loader.already_loaded(upload.token)
    if noted is None or loaded is None:
        return False
    kind, digest = noted
    _check_same(upload, kind, digest)
    upload.confirmed_by = actor.name
    upload.note_loaded(*loaded)
    if undo.is_noted(upload):  # our own database has lost that, too
        upload_job.go_on(undo.order(upload, Actor(SHOP_ALL)))
    return True


def _check_same(upload: Upload, kind: str, digest: str | None) -> None:
    """Raises OtherContent unless the upload has this kind, and content with this digest."""
    if upload.kind != kind or digest not in upload.digests:
        raise OtherContent


def _sha256(chunks: Iterable[bytes], most: int) -> str:
    """The digest of the whole body. Raises FileTooLarge."""
    digest, size = sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise FileTooLarge(most=most >> 20)
        digest.update(chunk)
    return digest.hexdigest()
