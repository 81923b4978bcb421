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
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from transfer.engine.kind import Kind
from transfer.errors import AlreadyRunning, FileRefused, TransferError, gettext_noop
from transfer.loading import json_rows, undo, upload_job
from transfer.loading.faults import (
    BusyWithTheSame,
    ColumnsMissing,
    FileTooLarge,
    NothingInside,
    OtherContent,
)
from transfer.loading.headings import missing
from transfer.loading.receive import LARGEST, receive
from transfer.loading.upload_job import loading
from transfer.models import Actor, BadLine, Upload
from transfer.models.uploads import content_digests
from transfer.queue.locks import Space, lock
from transfer.text.columns import alternatives

# The namespace of the tokens that derive from Idempotency-Keys.
NAMESPACE = uuid.UUID("6f2b8a52-3c1d-4c39-9a0e-5f4f1c7d2e10")
LOCK_NUMBERS = 1 << 31
FORMATS = {"csv": LARGEST, json_rows.FORMAT: json_rows.LARGEST}  # and the bytes of a body at most

SHOP_ALL = "shop All"  # in the audit: who says that a load was taken back

State = Upload.State
CLOSED = (State.DISCARDED, State.EXPIRED, State.LOST)


BAD_ROWS_NAMED = 100


class BadRows(FileRefused):
    """Some rows fail the checks of a file. `lines` are the first of them."""

    code = "bad_rows"
    sentence = gettext_noop("Rows that cannot be loaded: %(bad)s.")
    hint = gettext_noop("Nothing was loaded. Correct them and send all rows again.")
    lines: Sequence[BadLine] = ()


class Outcome(NamedTuple):
    """What a call has loaded, or had loaded before."""

    token: uuid.UUID
    rows: int
    is_repeated: bool


def load_once(
    kind: Kind,
    chunks: Iterable[bytes],
    actor: Actor,
    *,
    idempotency_key: str,
    form: str,
    encoding: str = "",
) -> Outcome:
    """Loads the rows of a body, a JSON list or a CSV as `form` says; once, if it is repeated.

    Without an `encoding`, that of a CSV is detected.

    1. Keeps other calls with the same Idempotency-Key away.
    2. Finishes or removes what an earlier call has left unfinished.
    3. If the key was used: compares the rows, and answers as before.
    4. Else checks the rows as a file, and loads all of them if all are good.
    Raises TransferError: FileRefused if the rows, or the key, can't be taken.
    """
    token = uuid.uuid5(NAMESPACE, idempotency_key)
    try:
        with lock(Space.IDEMPOTENCY, token.int % LOCK_NUMBERS):
            earlier = _earlier(token)
            if earlier is not None:
                earlier.digests = content_digests(_sha256(chunks, FORMATS[form]))
                _check_same(earlier, kind.name, earlier.digest)
                return Outcome(token, earlier.good, True)
            chosen = {"format": form} if form == json_rows.FORMAT else {"encoding": encoding}
            upload = receive(
                kind,
                chunks,
                actor,
                name=idempotency_key,
                input_method=Upload.InputMethod.API,
                most=FORMATS[form],
                token=token,
                chosen=chosen,
            )
            with upload.lock():
                return _load(upload, actor)
    except AlreadyRunning:
        raise BusyWithTheSame from None


def _earlier(token: uuid.UUID) -> Upload | None:
    """The load of an earlier call, as far as our own database knows it.

    One that was cut off is finished, or removed if it was not confirmed. Raises AlreadyRunning.
    """
    upload = Upload.objects.filter(token=token).first()
    if upload is None:
        return None
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
    """Checks and loads the rows, unless shop All has noted that they are loaded."""
    try:
        if _is_noted(upload, actor):
            return Outcome(upload.token, upload.good, True)
        _check(upload)
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


def _check(upload: Upload) -> None:
    """Judges the rows. Raises TransferError if not all of them are good."""
    upload_job.go_on(upload)
    if upload.state == State.COLUMNS:
        lacking = missing(upload.kind_spec, upload.layout["columns"])
        raise ColumnsMissing(columns=alternatives(lacking))
    if upload.error is not None:
        raise upload.error
    if upload.bad:
        refused = BadRows(bad=upload.bad)
        refused.lines = [*upload.bad_lines.all()[:BAD_ROWS_NAMED]]
        raise refused
    if upload.state != State.READY or not upload.good:
        raise NothingInside


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
