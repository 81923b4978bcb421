"""Checks and loads a file: by a worker, or at once if it is small."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from transfer.approvals import rows as entered
from transfer.approvals.gate import NeedsSecondPerson, entering, note
from transfer.causes.approvals import APPROVED_ROWS_DIFFER
from transfer.causes.files import (
    BAD_ROWS,
    COLUMNS_MISSING,
    FILE_WITHOUT_ROWS,
    OTHER_CONTENT,
    REJECTS_CLOSED_MEANWHILE,
    UPLOAD_DIFFERS,
)
from transfer.engine.shop_all.loads import Load
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import StagingImport
from transfer.errors import (
    ApprovalVoid,
    BadRows,
    FileRefused,
    UnexpectedlyDifferent,
    WorkbooksBusy,
)
from transfer.loading import file_formats, undo_load, workbook
from transfer.loading.below_zero import warnings_of_file
from transfer.loading.corrections import named
from transfer.loading.file_formats import Layout
from transfer.loading.headings import missing
from transfer.loading.lines import Lines
from transfer.loading.loaded_before import as_report, names_of_file
from transfer.loading.loader import BAD_LINES_AT_ONCE, BadLineFound, Loader, Lock
from transfer.loading.lost import note_lost
from transfer.loading.report import report_of
from transfer.loading.undo_load import note_log
from transfer.loading.values import as_people_write
from transfer.loading.workbook import Progress, unseen
from transfer.models import Actor, BadLine, Settings, Upload
from transfer.models.failing import FAILURE
from transfer.rejects import changed, resend
from transfer.rejects.closing import close_staged, lock
from transfer.text.columns import alternatives, with_local_moments

SECONDS_BETWEEN_NOTES = 1.0
SMALL, FEW_LINES = 512 << 10, 10_000  # bytes, of a workbook unpacked; lines

State = Upload.State


def start(upload: Upload) -> None:
    """Goes on with the file: here and now if it is small, else in the queue."""
    if is_small(upload):
        go_on(upload)
    else:
        upload.enqueue()


def is_small(upload: Upload) -> bool:
    """Whether a page can wait for it."""
    if upload.lines > FEW_LINES or upload.size > SMALL:
        return False
    content = upload.open().read()
    return not content.startswith(workbook.BEGINNINGS) or workbook.is_small(content, SMALL)


def go_on(upload: Upload, progress: Progress = unseen) -> None:
    """Does what the file waits for, in this process, unless another process does it.

    A failure is stored in the upload.
    """
    upload.do(lambda: work(upload, progress=progress))


def work(upload: Upload, _stopped: object = None, progress: Progress = unseen) -> None:
    """Checks or loads it, or takes a load back. Raises TransferError.

    While too many workbooks are read, it waits: the tick finds that it is not done. What needs a
    second person waits until somebody has decided; nothing of it is staged.
    """
    try:
        do(upload, progress)
    except WorkbooksBusy as busy:
        upload.note_error(busy)
        upload.save(update_fields=FAILURE)
    except NeedsSecondPerson as needed:
        needed.ask(upload)
    except ApprovalVoid as void:
        upload.approval.void(void)


def do(upload: Upload, progress: Progress) -> None:
    """What it waits for. Raises TransferError."""
    if upload.is_undo:
        undo_load.work(upload)
    elif upload.has_no_file and upload.input_method == Upload.InputMethod.CORRECTION:
        resend.resend_approved(upload)
    elif upload.has_no_file:
        changed.send_approved(upload)
    elif upload.state == State.RECEIVED and upload.is_ordered:
        examine_and_load(upload, progress)
    elif upload.state == State.RECEIVED:
        examine(upload, progress)
    else:
        try:
            load(upload, progress)
        except UnexpectedlyDifferent as error:
            if upload.approved_by:
                raise ApprovalVoid(APPROVED_ROWS_DIFFER) from error
            # It is not what the preview said: a new one is made.
            examine(upload, progress)
            upload.note_error(error)
            upload.save()


def examine_and_load(upload: Upload, progress: Progress) -> None:
    """Loads all rows that a program has ordered, or none of them. Raises TransferError."""
    try:
        examine(upload, progress)
        require_good(upload)
    except FileRefused as error:
        upload.refuse(error)
    else:
        upload.confirm(Actor(upload.confirmed_by, address=upload.address))
        load(upload, progress)


def require_good(upload: Upload) -> None:
    """Raises TransferError unless all rows were checked and are good."""
    if upload.state == State.COLUMNS:
        lacking = missing(upload.kind_spec, upload.layout["columns"])
        raise FileRefused(COLUMNS_MISSING, columns=alternatives(lacking))
    if upload.error is not None:
        raise upload.error
    if upload.bad:
        raise BadRows(BAD_ROWS, bad=upload.bad)
    if upload.state != State.READY or not upload.good:
        raise FileRefused(FILE_WITHOUT_ROWS)


def examine(upload: Upload, progress: Progress) -> None:
    """Reads and judges all of it; nothing is loaded. Raises TransferError."""
    layout = file_formats.detect(
        upload.kind_spec, upload.open, is_utf8=upload.is_utf8, chosen=upload.chosen
    )
    upload.layout = asdict(layout)
    upload.note_error(None)
    if missing(upload.kind_spec, layout.columns):
        upload.state = State.COLUMNS
        upload.save()
        return
    with judged(upload, layout, progress) as (loader, lines):
        totals = loader.totals()
        if not totals.good + totals.bad:
            raise FileRefused(FILE_WITHOUT_ROWS)
        upload.good, upload.bad = totals.good, totals.bad
        upload.subjects, upload.amount = totals.subjects, totals.amount
        upload.report = report_of(loader, lines, totals)
        upload.name = lines.name
        if totals.good and upload.input_method != Upload.InputMethod.API:
            # What the load would be called, and which loads of these rows there are.
            names = names_of_file(upload, loader.staged.shop_all, loader.staged.digest())
            upload.report |= as_report(names)
            if names.left_out:
                upload.report["warnings"].append(["taken_back_and_lost", {}])
            upload.report["entered"] = entered.of_lines(loader.staged).as_report()
        if upload.input_method == Upload.InputMethod.FILE:
            below_zero = warnings_of_file(upload.kind_spec, loader)
            upload.report["warnings"] += [list(warning) for warning in below_zero]
        with transaction.atomic():
            upload.bad_lines.all().delete()
            _save_bad_lines(upload, loader.bad_lines())
            upload.state = State.READY
            upload.save()


@contextmanager
def loading(upload: Upload) -> Iterator[Loader]:
    """The block commits if it wants something saved."""
    kind = upload.kind_spec
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "load", secret=bool(kind.secrets)) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        yield Loader(StagingImport(shop_all, kind))


@contextmanager
def judged(
    upload: Upload, layout: Layout, progress: Progress, lock: Lock | None = None
) -> Iterator[tuple[Loader, Lines]]:
    """The file's lines in a temporary table, judged. `lock`: see `StagingImport.receive`."""
    resolve = partial(named, upload.kind_spec)
    lines = Lines(upload.kind_spec, layout, Settings.load().zone, resolve, upload.name)
    note = _noting(upload, progress)
    with loading(upload) as loader:
        content = upload.open()
        rows = file_formats.rows_of(content, layout, note)
        if layout.format == "csv":
            rows = _with_progress(rows, content, upload.size, note)
        loader.staged.receive(lines.copied(rows), lock=lock)
        yield loader, lines


def _with_progress(rows: Iterator[Any], content: Any, size: int, note: Progress) -> Iterator[Any]:
    for number, row in enumerate(rows):
        if not number % 5000:
            note(content.raw.position, size)
        yield row
    note(size, size)


def _noting(upload: Upload, progress: Progress) -> Progress:
    """Tells the progress, and saves it once a second at most."""
    last = time.monotonic()

    def note(done: int, total: int) -> None:
        nonlocal last
        progress(done, total)
        if time.monotonic() - last >= SECONDS_BETWEEN_NOTES:
            last = time.monotonic()
            upload.saved.update(done=done, total=total)

    return note


def _save_bad_lines(upload: Upload, lines: Iterator[BadLineFound]) -> None:
    """Saves bad lines as they are shown, and given back to be corrected: in words of people."""
    zone = Settings.load().zone
    while some := [*islice(lines, BAD_LINES_AT_ONCE)]:
        batch = []
        for line in some:
            cells = {name: as_people_write(name, text, zone) for name, text in line.cells.items()}
            value = with_local_moments(line.value, zone)
            fields = line._asdict() | {"cells": cells, "value": value}
            batch.append(BadLine(upload=upload, **fields))
        BadLine.objects.bulk_create(batch)


def load(upload: Upload, progress: Progress) -> None:
    """Load the good lines, all of them or none, once. Raises TransferError.

    1. Asks whether a process that died has staged them already.
    2. Names the load, and notes the name in our own database.
    3. Asks whether they need a second person. Then nothing is staged: raises NeedsSecondPerson.
    4. Stages the lines, and closes the rejected rows that they correct.
    5. After corrections, which are in the log at once, notes how far the log goes.

    What shop All calls a load is made of its rows, so both databases find out what has happened.
    """
    if not upload.corrections:
        _load(upload, progress)
        return
    if name := upload.report.get("name"):
        _note_name(upload, name)  # outside of the transaction that locks the rejects
    with transaction.atomic():
        _load(upload, progress, partial(lock, upload.kind_spec))


def _note_name(upload: Upload, name: str) -> None:
    upload.changeset = UUID(name)
    upload.saved.update(changeset=name)


def _load(upload: Upload, progress: Progress, lock_rejects: Lock | None = None) -> None:
    with judged(upload, Layout(**upload.layout), progress, lock_rejects) as (loader, _lines):
        shop_all = loader.staged.shop_all
        if (done := staged_before(upload, loader)) is not None:
            with transaction.atomic():  # note what a process that died has staged
                if upload.corrections:
                    lock(upload.kind_spec, loader.staged.corrected())
                    loader.staged.changeset = done.changeset
                    close_staged(loader.staged, upload.confirmed_by)
                rows = entered.of_lines(loader.staged)
                note(upload.confirmed_by, upload.input_method, rows, upload)
                upload.note_loaded(done.rows, done.changeset)
            return
        name, call = name_of(upload, loader)
        note_lost(Upload.objects.loaded().filter(changeset=name))
        _note_name(upload, name)
        rows = entered.of_lines(loader.staged)
        with entering(upload.confirmed_by, upload.input_method, rows, upload):
            _stage(upload, loader, name, call)
            shop_all.database.commit()
            upload.note_loaded(upload.good, name)
        if upload.corrections:
            note_log(upload.kind_spec, shop_all)


def name_of(upload: Upload, loader: Loader) -> tuple[str, str | None]:
    """Return what shop All calls the load, and the call of the API that it is of.

    Raises UnexpectedlyDifferent where it is not what the preview said: other rows than it showed,
    or the same rows were loaded since.
    """
    shop_all, digest = loader.staged.shop_all, loader.staged.digest()
    if upload.input_method == Upload.InputMethod.API:
        key = str(upload.token)
        return shop_all.names.of_call(upload.kind_spec, key, digest), shop_all.names.call(key)
    name = names_of_file(upload, shop_all, digest).free
    if name != upload.report.get("name"):
        is_of_corrections = loader.totals().corrections != upload.corrections
        cause = REJECTS_CLOSED_MEANWHILE if is_of_corrections else UPLOAD_DIFFERS
        raise UnexpectedlyDifferent(cause)
    return name, None


def staged_before(upload: Upload, loader: Loader) -> Load | None:
    """Return what shop All has of the load already, or None.

    Of a call of the API, the load of its key. Of another load, that of the name which an attempt
    that died has noted, unless it is another one's. Raises OTHER_CONTENT where the key is that of
    other rows.
    """
    shop_all = loader.staged.shop_all
    if upload.input_method == Upload.InputMethod.API:
        name, call = name_of(upload, loader)
        known = shop_all.loads.of_call(call or "")
        if known is not None and known.changeset != name:
            raise FileRefused(OTHER_CONTENT)
        return known
    if upload.changeset is None:
        return None
    others = Upload.objects.loaded().filter(changeset=upload.changeset).exclude(pk=upload.pk)
    found = shop_all.loads.get(str(upload.changeset))
    return None if others.exists() else found


def _stage(upload: Upload, loader: Loader, name: str, call: str | None) -> None:
    """Stage what the preview showed, and close the rejected rows that it corrects.

    Raises UnexpectedlyDifferent when that is something else now; REJECTS_CLOSED_MEANWHILE,
    LOAD_KNOWN.
    """
    kind, by, corrections = upload.kind_spec, upload.confirmed_by, upload.corrections
    if corrections and lock(kind, loader.staged.corrected()) != corrections:
        raise UnexpectedlyDifferent(REJECTS_CLOSED_MEANWHILE)
    rows = loader.staged.stage(by, name, call=call)
    if rows != upload.good:
        raise UnexpectedlyDifferent(UPLOAD_DIFFERS)
    if corrections:
        close_staged(loader.staged, by)
