"""Where a card's or an account's changes are: staged, waiting, moved by a run, rejected.

What has reached a server is read from its own position, as the engine reads it; no flag is trusted.
"""

from dataclasses import dataclass, field
from datetime import datetime

from psycopg2 import sql

from transfer.engine.bonus_server.rejects import RowName
from transfer.engine.kind import Kind
from transfer.engine.shop_all.schema.tables import packed
from transfer.engine.shop_all.source import ShopAll
from transfer.installed import installed_kinds
from transfer.models import TransferTask
from transfer.models.run_base import attach_runs
from transfer.runs.backlog import writing_since
from transfer.servers.ask import shop_all
from transfer.trace.coming import Coming, coming_to
from transfer.trace.complete import kinds_of
from transfer.trace.delivery import StagedRow, judge_deliveries
from transfer.trace.search import subject_of
from transfer.trace.servers import Answer, ask_servers
from transfer.trace.sources import attach_from_history, note_sources

ROWS_ON_A_PAGE = 50
SECONDS = 3.0

# Staged rows, each with its line in the log. The line by the log's unique key on (xid, started).
ROWS = """
    select {kind}, coalesce(log.changeset, load.changeset, {pack})::text, ours."row", ours.id,
           log.number, ours.started, left(ours.staged_by, 200), {payload},
           coalesce(log.withdrawn, false), ours.xid
      from {staged}
      left join datatransfer.log
        on log.kind = {kind} and log.xid = ours.xid and log.started = ours.started
      left join datatransfer.load
        on load.kind = {kind} and load.xid = ours.xid and load.started = ours.started
     where {wanted}
"""


@dataclass
class Trace:
    subject: str
    rows: list[StagedRow]
    has_more: bool
    answers: list[Answer]
    writing: dict[str, datetime]  # kind → since when a transaction may hold unseen rows
    # What of these rows waits for each server, in the order of `answers`; None: it is not known.
    coming: list[Coming | None] = field(default_factory=list)


def trace_row(kind: Kind, number: int) -> StagedRow | None:
    """Where one staged row is; None if shop All has none of this kind with this number.

    Raises TransferError when shop All fails.
    """
    with shop_all(2 * SECONDS, secret=True) as source, source.snapshot(kind):
        source.rows.by_value()
        whose = subject_of(source, kind, number)
    if whose is None:
        return None
    found = trace(whose, kind.columns[0].name, row=(kind, number)).rows
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
    with shop_all(2 * seconds, secret=True) as source, source.snapshot(*kinds_of(column)):
        origin = source.identity.origin()
        source.rows.by_value()
        rows = staged_rows(source, subject, column, page, row)
        note_sources(source, rows)
        writing = writing_since(source, kinds_of(column))
    names: dict[str, list[RowName]] = {}
    for one in rows:
        names.setdefault(one.kind.name, []).append(one.name)
    answers = ask_servers(servers, origin, names, subject, column, seconds)
    has_more = len(rows) > ROWS_ON_A_PAGE
    result = Trace(subject, rows[:ROWS_ON_A_PAGE], has_more, answers, writing)
    # The task's runs say why a row waits.
    judge_deliveries(result.rows, answers, attach_runs(tasks.with_runs()), origin)
    attach_from_history(result.rows)
    result.coming = coming_to(result.rows, answers)
    return result


def staged_rows(
    source: ShopAll,
    subject: str,
    column: str,
    page: int,
    row: tuple[Kind, int] | None = None,
) -> list[StagedRow]:
    """Read one page of the rows, and one row more if there is another page; or `row` alone."""
    kinds = kinds_of(column) if row is None else [row[0]]
    name, value = (column, subject) if row is None else ("id", row[1])
    wanted = sql.SQL("{} = {}").format(sql.Identifier("ours", name), sql.Literal(value))
    parts = [
        sql.SQL(ROWS).format(
            kind=sql.Literal(kind.name),
            pack=sql.SQL(packed("ours")),
            payload=sql.SQL(f"{kind.payload_of('ours')}::jsonb"),
            staged=kind.staged,
            wanted=wanted,
        )
        for kind in kinds
    ]
    query = sql.SQL(
        "select * from ({}) as found order by 10 desc, 3 desc limit {} offset {}"
    ).format(
        sql.SQL(" union all ").join(parts),
        sql.Literal(ROWS_ON_A_PAGE + 1),
        sql.Literal((page - 1) * ROWS_ON_A_PAGE),
    )
    return [
        StagedRow(
            installed_kinds()[kind],
            RowName(changeset, number),
            id_,
            line,
            at,
            staged_by,
            payload,
            withdrawn,
        )
        for kind, changeset, number, id_, line, at, staged_by, payload, withdrawn, _xid in (
            source.database.rows(query)
        )
    ]
