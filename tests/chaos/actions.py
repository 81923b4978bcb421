"""What the tests have the product do, each in a process of its own (see warm.py)."""

import io
from contextlib import redirect_stdout, suppress
from decimal import Decimal
from typing import Any

from django.core.management import CommandError, call_command
from django.db import connection

from transfer.engine.checks import NOT_FOR_THIS_SERVER
from transfer.errors import TransferError
from transfer.models import Actor, BonusServer, RejectedRow, TransferRun, TransferTask
from transfer.rejects import changed, resend
from transfer.runs import execute, undocking
from transfer.runs.purge import purge_all
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


def send_one_again(
    kind: str, number: str, values: dict[str, str], *, latest: bool = False
) -> str | None:
    """Corrects an open reject of the kind, the first or the latest, and sends it again.

    `number` is the column that tells rows apart. Returns what it was in the rejected row, if a new
    row was staged. Uncertain rejects are decided on by `decide_uncertain`.
    """
    of_kind = RejectedRow.objects.open().filter(kind=kind).exclude(code=NOT_FOR_THIS_SERVER)
    one = of_kind.order_by("-pk" if latest else "pk").first()
    if one is None:
        return None
    outcome = resend.resend(RejectedRow.objects.filter(pk=one.pk), values, Actor("tests"))
    return str(one.payload[number]) if outcome.sent else None


def decide_uncertain(pk: int, values: dict[str, str]) -> bool:
    """Sends an uncertain reject again with these values, or discards it if there are none; returns
    whether a new row was staged.
    """
    mine = RejectedRow.objects.filter(pk=pk)
    if values:
        return bool(resend.resend(mine, values, Actor("tests")).sent)
    resend.discard(mine, "tests", Actor("tests"))
    return False


def undecided(kind: str, column: str) -> list[tuple[str | None, list[str]]]:
    """The rows of a kind that are shown as changed after their transfer: the value of the column
    that tells rows apart, and the servers that had read the row before.
    """
    kinds = [group for group in changed.undecided(changed.AT_ONCE) if group.kind.name == kind]
    return [(row.payload[column], row.servers) for group in kinds for row in group.rows]


def decide_changed(kind: str, column: str, number: str, decision: str, amount: str | None) -> int:
    """Decides of one of them, as the page does; returns of how many rows."""
    (group,) = [one for one in changed.undecided(changed.AT_ONCE) if one.kind.name == kind]
    (row,) = [row for row in group.rows if row.payload[column] == number]
    return changed.decide(
        group.kind,
        changed.Decision(decision),
        Actor("tests"),
        key=changed.key_of(row),
        amount=None if amount is None else Decimal(amount),
    )


def undock(server: str) -> None:
    undocking.undock(BonusServer.objects.get(name=server), Actor("tests"))


def purge() -> int | str:
    """Removes every staged row that all have moved, however young, and blanks the PIN codes of
    those that stay; returns how many rows, or the code of a refusal.
    """
    try:
        return sum(done.rows for done in purge_all(0, blank_pins=True, dry_run=False))
    except TransferError as error:
        return error.code


def discard(kind: str) -> int:
    chosen = RejectedRow.objects.open().filter(kind=kind)
    return resend.discard(chosen, "tests", Actor("tests")).rows


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
