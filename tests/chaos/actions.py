"""What the tests have the product do, each in a process of its own (see warm.py)."""

import io
from contextlib import redirect_stdout, suppress
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.loading import upload_job
from transfer.loading.receive import receive
from transfer.models import Actor, RejectedRow, TransferRun, TransferTask, Upload
from transfer.rejects import changed, resend
from transfer.runs import execute
from transfer.runs.purge import purge as purge_kind
from transfer.runs.reconcile import reconcile


def task_of(kind: str, server: str = "") -> TransferTask:
    """The task of the bonus server with this name; of the only one, if none is named."""
    tasks = TransferTask.objects.select_related("server").filter(kind=kind)
    return tasks.get(server__name=server) if server else tasks.get()


def warm_up() -> None:
    """What Django and psycopg2 do once in a process is done before the children are forked."""
    with suppress(Exception):  # the databases may not be there yet
        for task in TransferTask.objects.select_related("server"):
            run(task.kind, 1, task.server.name)
            holds(task.kind, task.server.name)
    connection.close()


def run(kind: str, chunk_rows: int, server: str = "", *, one_chunk: bool = False) -> dict[str, Any]:
    """A whole transfer, as a worker would do it; or one that is stopped after its first chunk."""
    done = execute.run_here(
        task_of(kind, server),
        TransferRun.Trigger.MANUAL,
        chunk_rows=chunk_rows,
        stopped=lambda: int(one_chunk),
    )
    return {
        "state": done.state,
        "error": done.error_code,
        "params": done.error_params,
        "technical": done.error_technical,
        "applied": done.applied,
        "unchanged": done.unchanged,
        "rejected": done.rejected,
        "waiting": done.waiting,
    }


def command(*, arguments: list[str]) -> dict[str, Any]:
    """`manage.py …`, as an administrator would type it."""
    said = io.StringIO()
    cried = io.StringIO()
    code = 0
    try:
        with redirect_stdout(said):
            call_command(*arguments, stdout=said, stderr=cried)
    except CommandError as error:
        code = error.returncode
        cried.write(str(error))
    except SystemExit as ended:
        code = int(ended.code or 0)
    return {"code": code, "said": said.getvalue(), "cried": cried.getvalue()}


def holds(kind: str, server: str = "") -> bool | str:
    """Whether the sums of both sides agree, or the code of what makes it impossible to say."""
    try:
        result = reconcile(task_of(kind, server))
    except TransferError as error:
        return error.code
    return result is None or result.holds


def send_one_again(kind: str, number: str, values: dict[str, str]) -> str | None:
    """Corrects the first open reject of the kind, and sends it again.

    `number` is the column that tells rows apart. Returns what it was in the rejected row, if a new
    row was staged.
    """
    one = RejectedRow.objects.open().filter(kind=kind).order_by("pk").first()
    if one is None:
        return None
    outcome = resend.resend(RejectedRow.objects.filter(pk=one.pk), values, Actor("tests"))
    return str(one.payload[number]) if outcome.sent else None


def purge() -> int | str:
    """Remove every staged row that all bonus servers have, also young ones.

    Returns how many rows were removed, or the code of the refusal.
    """
    rows = 0
    for kind in installed_kinds().values():
        tasks = TransferTask.objects.select_related("server").filter(kind=kind.name)
        done = purge_kind(kind, tasks, 0, dry_run=False)
        if done.waits is not None:
            return done.waits.code
        rows += done.rows
    return rows


def load(kind: str, text: str) -> int:
    """Loads a file, as the page does; returns the number of the load."""
    chunks = [text.encode()]
    upload = receive(installed_kinds()[kind], chunks, Actor("tests"), name="file.csv")
    upload_job.go_on(upload)
    upload.confirm(Actor("tests"))
    upload_job.go_on(upload)
    upload.refresh_from_db()
    return upload.pk if upload.state == Upload.State.LOADED else -1


def append(kind: str) -> bool:
    """Gives what was staged its lines in the log."""
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "tests", secret=False) as source:
        return source.log_writer.append(installed_kinds()[kind])


def send_changes(kind: str) -> int:
    """Sends the present values of all rows that were changed in place."""
    return changed.decide(installed_kinds()[kind], changed.Decision.SEND, Actor("tests")).rows


def discard(kind: str) -> int:
    chosen = RejectedRow.objects.open().filter(kind=kind)
    return resend.discard(chosen, "tests", Actor("tests"))


def run_and_reconcile(
    kind: str, chunk_rows: int, server: str = "", *, one_chunk: bool = False
) -> dict[str, Any]:
    return run(kind, chunk_rows, server, one_chunk=one_chunk) | {"holds": holds(kind, server)}


def run_several(
    flows: list[tuple[str, str]], chunk_rows: int, *, one_chunk: bool = False
) -> list[dict[str, Any]]:
    """Transfers of these kinds to these servers, one after the other."""
    return [
        run_and_reconcile(kind, chunk_rows, server, one_chunk=one_chunk) for kind, server in flows
    ]
