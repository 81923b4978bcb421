"""Receives the rows of a stream in the temporary table `incoming` of the bonus server's session."""

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.dependents import CREATE as CREATE_DEPENDENT
from transfer.engine.move.refused_rows import Bisection
from transfer.engine.move.stream import Sending, as_source_failure, stream_rows

# Makes the temporary tables of a chunk new and empty.
CREATE = """
    drop table if exists pg_temp.incoming, pg_temp.dependent, pg_temp.decided, pg_temp.outcome,
                         pg_temp.taken, pg_temp.line;
    {create}; {create_dependent}; savepoint empty
"""
# Empties them again.
EMPTY = "rollback to savepoint empty"
# A table like `incoming`, whose texts are bytes.
CREATE_RAW = """
    create temporary table raw (number bigint, "row" bigint, {columns}, fault text) on commit drop
"""
# Converts rows. Reads the table, or the range that `rows` names by an index (see `Bisection`).
CONVERT = "insert into pg_temp.incoming ({names}) select {values} from pg_temp.raw where {rows}"
# The name of a row that can't be converted.
PLACE = 'select number, "row" from pg_temp.raw where {row}'
# Its reject, without the texts.
REJECT = """
    insert into pg_temp.incoming ({names}, fault, sqlstate, as_json)
    select {names}, 'refused_by_server', %s, %s from pg_temp.raw where {row}
"""
# Ends the table of bytes.
DROP_RAW = "drop table pg_temp.raw"
ROW_NAME = ("number", '"row"')


def create_tables(kind: Kind, target: BonusDatabase) -> None:
    """Make the temporary tables of a chunk new and empty."""
    target.database.execute(CREATE.format(create=kind.incoming, create_dependent=CREATE_DEPENDENT))


def empty_tables(target: BonusDatabase) -> None:
    """Empty them again, also where a statement has failed since they were created."""
    target.database.execute(EMPTY)


def receive_rows(kind: Kind, sending: Sending, target: BonusDatabase) -> int:
    """Fill `incoming` with the rows that are sent; return how many arrived.

    Raises what `stream_rows` raises.
    """
    names = ", ".join([*ROW_NAME, *kind.sent])
    return stream_rows(sending, target, sql.SQL(f"pg_temp.incoming ({names})"))


def receive_as_bytes(kind: Kind, sending: Sending, target: BonusDatabase) -> int:
    """Do the same where the target's encoding lacks a character of some row, which is rejected.

    1. The texts arrive as they are on the wire, UTF-8, in columns of type bytea.
    2. They are converted row by row; halving finds the rows that can't be.
    """
    types = {column.name: column.carried_as for column in kind.columns}
    if kind.appends:
        types["first"] = "numeric"
    texts = {name for name, type_ in types.items() if type_ == "text"}
    names = ", ".join([*ROW_NAME, *types, "fault"])
    others = ", ".join([*ROW_NAME, *(name for name in types if name not in texts)])
    columns = ", ".join(f"{name} {'bytea' if name in texts else types[name]}" for name in types)
    target.database.execute(CREATE_RAW.format(columns=columns))
    received = stream_rows(sending, target, sql.SQL(f"pg_temp.raw ({names})"))
    read = [f"convert_from({name}, 'UTF8')" if name in texts else name for name in types]
    values = ", ".join([*ROW_NAME, *read, "fault"])

    def convert(rows: str) -> str:
        return CONVERT.format(names=names, values=values, rows=rows)

    def refuse(row: str, sqlstate: str, constraint: str | None) -> None:
        number, row_name = target.database.only_row(PLACE.format(row=row))
        with as_source_failure():
            as_json = sending.source.rows.row_as_json(kind, number, row_name)
        target.database.execute(REJECT.format(names=others, row=row), [sqlstate, as_json])

    Bisection(target, "pg_temp.raw", [convert], refuse).run()
    target.database.execute(DROP_RAW)
    return received
