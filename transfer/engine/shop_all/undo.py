"""Takes a load back: marks its line in the log as withdrawn, and stages the opposite of each row.

No bonus server is asked. A server that has not read the load skips its withdrawn line. The
opposites go to all servers: each takes back there what is in effect of the row, whichever row
brought it, and a server without the row does nothing (see `move.dependents`). Kinds whose rows have
no opposite (PIN codes, cards) are withdrawn only: who has read such a load keeps it.

Everything is one transaction of shop All, with a load of its own whose name is made of the load's.
So a second undo of the load does nothing, in any process, also after a restore of shop All.
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from psycopg2 import sql

from transfer.causes.loads import LOAD_CORRECTS, LOAD_IS_UNDO, LOAD_LOST, LOAD_ROWS_MISSING
from transfer.engine import events
from transfer.engine.kind import Kind
from transfer.engine.shop_all.correction import check_repeatable
from transfer.engine.shop_all.loads import LOAD_SECONDS, Load
from transfer.engine.shop_all.log import Line
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import MAY_SET_LINE
from transfer.errors import LoadNotUndoable, TransferError

# How many rows of a load correct others. By the primary key.
COUNT_CORRECTIONS = """
    select count(*) from datatransfer.dependent where kind = %s and changeset = %s::uuid
"""
# Marks the line of a load. By the unique key.
WITHDRAW = """
    update datatransfer.log set withdrawn = true, withdrawn_by = %(undo)s::uuid
     where kind = %(kind)s and changeset = %(load)s::uuid and not withdrawn
"""
# Marks the lines of changesets all of whose rows correct rows of the load. By the index
# `dependent_root`, the unique key of the log and the primary key.
WITHDRAW_CORRECTIONS = """
    update datatransfer.log set withdrawn = true, withdrawn_by = %(undo)s::uuid
     where kind = %(kind)s and not withdrawn
       and changeset in (select changeset from datatransfer.dependent
                          where kind = %(kind)s and root_changeset = %(load)s::uuid
                            and effect = 'replaces')
       and rows = (select count(*) from datatransfer.dependent
                    where dependent.kind = log.kind and dependent.changeset = log.changeset
                      and root_changeset = %(load)s::uuid and effect = 'replaces')
"""
# The rows of a load as they were staged, whatever they were changed to since. `changes` has the
# values before, by the names of the table's own columns. By the index on (xid, started, row).
AS_STAGED = """
    (select staged.* from {table} as staged
      where xid = {xid}::xid8 and started = {started}::timestamptz and changes is null
     union all
     select was.*
       from {table} as staged
      cross join lateral jsonb_populate_record(staged, staged.changes -> 'first') as was
      where staged.xid = {xid}::xid8 and staged.started = {started}::timestamptz
        and staged.changes is not null) as was_staged
"""
# Stages the opposites: each has the line of the row that it takes back.
STAGE = "insert into {table} (line, {columns}) select line, {values} from {rows} order by line"
# Notes which row each of them takes back, for the servers.
NOTE = """
    insert into datatransfer.dependent (kind, changeset, "row", effect, of_changeset, of_row,
                                        root_changeset, root_row, first)
    select {kind}, {undo}::uuid, line, 'reverses', {load}::uuid, line, {load}::uuid, line, {amount}
      from {rows}
"""


@dataclass(frozen=True)
class TakenBack:
    """What the undo of a load is.

    `rows` and `amount` are those of the opposites that it has staged; none of a kind without
    opposites. `is_new`: False where the load had been taken back before.
    """

    changeset: str
    rows: int
    amount: Decimal
    is_new: bool


def undo(shop_all: ShopAll, kind: Kind, load: str, comment: str, by: str) -> TakenBack:
    """Take a load back, and commit; `comment` goes into each opposite, `by` is who wants it.

    Corrections and changed amounts of its rows stay as they are: nothing of them is open or in
    effect any more once a server has the opposites.

    Raises LOAD_LOST where shop All lacks the load; LOAD_IS_UNDO; LOAD_CORRECTS where rows of it
    correct others; LOAD_ROWS_MISSING where rows were purged or deleted; ROWS_NOT_REPEATABLE.
    """
    watch = events.Stopwatch()
    events.tell(events.UNDO_BEGINS, kind=kind.name, load=load)
    taken_back = _undo(shop_all, kind, load, comment, by)
    events.tell(
        events.UNDO_ENDS, kind=kind.name, load=load, rows=taken_back.rows, seconds=watch.seconds
    )
    return taken_back


def _undo(shop_all: ShopAll, kind: Kind, load: str, comment: str, by: str) -> TakenBack:
    name = shop_all.names.of_undo(load)
    with shop_all.log_writer.held(kind):
        shop_all.database.limit_statements(LOAD_SECONDS)
        loaded = shop_all.loads.get(load)
        if loaded is None or loaded.kind != kind.name:
            raise LoadNotUndoable(LOAD_LOST)
        if loaded.undoes is not None:
            raise LoadNotUndoable(LOAD_IS_UNDO)
        done = shop_all.loads.get(name)
        lines = shop_all.log.lines_of(kind, [loaded.changeset])
        if not lines:  # all rows of the load were deleted before it was read
            raise LoadNotUndoable(LOAD_ROWS_MISSING, rows=loaded.rows)
        line = lines[0]
        amount = -line.amount if kind.appends else Decimal(0)
        if done is not None:
            return TakenBack(name, done.rows, amount, is_new=False)
        if kind.appends:
            _check_rows(shop_all, kind, loaded, line)
        values = {"kind": kind.name, "load": load, "undo": name}
        shop_all.database.execute(WITHDRAW, values)
        rows = 0
        if kind.appends:
            rows = _stage(shop_all, kind, line, name, comment)
        else:
            shop_all.database.execute(WITHDRAW_CORRECTIONS, values)
        shop_all.loads.add(kind, name, rows, by, undoes=load)
        if rows:
            shop_all.log_writer.append_own(kind)
        else:
            shop_all.log_writer.add_empty(kind, confirmed_by=None)
        return TakenBack(name, rows, amount, is_new=True)


def undo_again(
    shop_all: ShopAll, kind: Kind, loads: Collection[str], comment: str, by: str
) -> tuple[list[TakenBack], dict[str, TransferError]]:
    """Take these loads back whose undos shop All has lost by a restore.

    Returns the undos, and load → why it is not taken back, such as one that is lost itself. A
    server that has the undo already does nothing.
    """
    done: list[TakenBack] = []
    refused: dict[str, TransferError] = {}
    for load in loads:
        try:
            done.append(undo(shop_all, kind, load, comment, by))
        except LoadNotUndoable as error:
            refused[load] = error
    return done, refused


def _check_rows(shop_all: ShopAll, kind: Kind, loaded: Load, line: Line) -> None:
    """Refuse a load whose rows are not all there, or depend on others."""
    database = shop_all.database
    corrections = database.value(COUNT_CORRECTIONS, [kind.name, loaded.changeset])
    if corrections:
        raise LoadNotUndoable(LOAD_CORRECTS, rows=corrections)
    missing = loaded.rows - shop_all.rows.count(kind, line)
    if missing:
        raise LoadNotUndoable(LOAD_ROWS_MISSING, rows=missing)
    check_repeatable(shop_all, kind)


def _stage(shop_all: ShopAll, kind: Kind, line: Line, name: str, comment: str) -> int:
    """Stage the opposites of the rows of a line; return how many they are."""
    mapping, table = kind.shop_all, kind.staging_table
    names = mapping.names(kind.columns)
    read = {column.name: mapping.read(column) for column in kind.columns}
    ours = {"amount": sql.SQL("- ({})").format(read["amount"]), "comment": sql.Literal(comment)}
    values = [mapping.write(column, (read | ours)[column.name]) for column in names]
    rows = sql.SQL(AS_STAGED).format(
        table=table, xid=sql.Literal(line.xid), started=sql.Literal(line.started)
    )
    stage = sql.SQL(STAGE).format(
        table=table,
        rows=rows,
        columns=sql.SQL(", ").join(map(sql.Identifier, [*names.values(), *mapping.fixed])),
        values=sql.SQL(", ").join([*values, *map(sql.Literal, mapping.fixed.values())]),
    )
    note = sql.SQL(NOTE).format(
        kind=sql.Literal(kind.name),
        undo=sql.Literal(name),
        load=sql.Literal(line.changeset),
        amount=read["amount"],
        rows=rows,
    )
    database = shop_all.database
    database.execute(MAY_SET_LINE)
    with database.vendors_path():
        staged = database.execute(stage)
    database.execute(note)
    return staged
