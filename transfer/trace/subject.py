"""Where a card's or an account's changes are: staged, waiting, moved by a run, rejected.

What has reached a server is read from its own position, as the engine reads it; no flag is trusted.
"""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import moved
from transfer.engine.shop_all.source import ShopAll
from transfer.models import TransferTask
from transfer.models.run_base import attach_runs
from transfer.runs.backlog import writing_since
from transfer.servers.ask import shop_all
from transfer.trace.complete import kinds_of
from transfer.trace.delivery import StagedRow, judge_deliveries
from transfer.trace.search import subject_of
from transfer.trace.servers import Answer, ask
from transfer.trace.sources import attach_uploads, note_sources

ROWS_ON_A_PAGE = 50
SECONDS = 3.0

ROWS = """
    select {kind}, xid::text::bigint, id, created_at, {payload}, {may_fail},
           array[{moved}]::boolean[], array[{faults}]::text[]
      from {staged} where {wanted}
"""
SENT_AGAIN = """
    select old_id, new_id, sent_at from datatransfer.resent
     where origin = %s and kind = %s and old_id = any(%s) and new_id is not null
"""


@dataclass
class Trace:
    subject: str
    rows: list[StagedRow]
    has_more: bool
    answers: list[Answer]
    writing: dict[str, datetime]  # kind → since when a transaction may hold unseen rows


def trace_row(kind: Kind, number: int, *, seconds: float = SECONDS) -> StagedRow | None:
    """Where one staged row is; None if shop All has none of this kind with this number.

    Raises TransferError when shop All fails.
    """
    with shop_all(2 * seconds) as source, source.snapshot(kind):
        source.reader.read_by_value()
        whose = subject_of(source, kind, number)
    if whose is None:
        return None
    found = trace(whose, kind.columns[0].name, row=(kind, number), seconds=seconds).rows
    return found[0] if found else None


def trace(
    subject: str,
    column: str,
    page: int = 1,
    *,
    row: tuple[Kind, int] | None = None,
    seconds: float = SECONDS,
) -> Trace:
    """Reads every staged change of the account or the card, latest first, and where each is.

    Of them only `row`, if it is given: its kind and its number. Asks the servers for `seconds` at
    most, and shop All as long. Raises TransferError when shop All fails.
    """
    tasks = TransferTask.objects.select_related("server").order_by("server_id")
    servers = list({task.server_id: task.server for task in tasks}.values())
    with shop_all(2 * seconds) as source:
        with source.snapshot():
            origin = source.identity.origin()
        # Before the rows are read: what a position has moved is then visible among them.
        answers = ask(servers, origin, subject, column, seconds)
        with source.snapshot(*kinds_of(column)):
            source.reader.read_by_value()
            rows = staged_rows(source, subject, column, answers, page, row)
            note_sent_again(source, rows, origin)
            note_sources(source, rows, origin)
            writing = writing_since(source, kinds_of(column))
    has_more = len(rows) > ROWS_ON_A_PAGE
    result = Trace(subject, rows[:ROWS_ON_A_PAGE], has_more, answers, writing)
    waits = any(not past for row in result.rows for past in row.reached.values())
    # The task's runs say why a row waits. Most rows have long been moved.
    listed = attach_runs(tasks.with_runs()) if waits else [*tasks]
    judge_deliveries(result.rows, answers, listed, origin)
    attach_uploads(result.rows)
    return result


def staged_rows(
    source: ShopAll,
    subject: str,
    column: str,
    answers: list[Answer],
    page: int,
    row: tuple[Kind, int] | None = None,
) -> list[StagedRow]:
    """Reads one page of the rows, and one row more if there is another page; or `row` alone."""
    kinds = kinds_of(column) if row is None else [row[0]]
    name, value = (column, subject) if row is None else ("id", row[1])
    wanted = sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
    parts = []
    servers: dict[str, list[int]] = {}
    faults: dict[str, list[str]] = {}  # the checks of the servers, as SQL
    places: dict[str, list[int]] = {}  # of each server's checks among these
    for kind in kinds:
        known = [(a.server, a.positions.get(kind.name)) for a in answers if a.error is None]
        servers[kind.name] = [server.pk for server, _ in known]
        # Most servers have the same tables, and so the same checks: each is made once.
        of_servers = [server.kinds[kind.name].fault for server, _ in known]
        faults[kind.name] = list(dict.fromkeys(of_servers))
        places[kind.name] = [faults[kind.name].index(fault) for fault in of_servers]
        parts.append(
            sql.SQL(ROWS).format(
                kind=sql.Literal(kind.name),
                payload=sql.SQL(f"{kind.payload}::jsonb"),
                may_fail=sql.SQL(" or ".join(one.fails for one in kind.late_checks) or "false"),
                moved=sql.SQL(", ").join(
                    sql.SQL("false") if position is None else moved(position)
                    for _, position in known
                ),
                faults=sql.SQL(", ").join(map(sql.SQL, faults[kind.name])),
                staged=kind.staged,
                wanted=wanted,
            )
        )
    query = sql.SQL("{} order by 2 desc, 3 desc limit {} offset {}").format(
        sql.SQL(" union all ").join(parts),
        sql.Literal(ROWS_ON_A_PAGE + 1),
        sql.Literal((page - 1) * ROWS_ON_A_PAGE),
    )

    return [
        StagedRow(
            *(settings.KINDS[kind], xid, id_, at, payload, may_fail),
            reached=dict(zip(servers[kind], past, strict=True)),
            faults={
                pk: failed[place] for pk, place in zip(servers[kind], places[kind], strict=True)
            },
        )
        for kind, xid, id_, at, payload, may_fail, past, failed in source.database.rows(query)
    ]


def note_sent_again(source: ShopAll, rows: list[StagedRow], origin: str) -> None:
    """Marks rejected rows that were corrected, by the staging database's own note of it."""
    (is_there,) = source.database.one("select to_regclass('datatransfer.resent') is not null")
    for kind in {row.kind.name for row in rows if is_there}:
        mine = {row.id: row for row in rows if row.kind.name == kind}
        for old_id, new_id, at in source.database.rows(SENT_AGAIN, [origin, kind, list(mine)]):
            mine[old_id].sent_again = new_id, at
