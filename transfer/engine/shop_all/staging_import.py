"""Lines on their way into a staging table: received, checked, staged.

They are in the temporary table `incoming`, and everything happens in one transaction. A line may
correct a rejected row, which it names by changeset and row: see `correction`.

The good lines become the rows 1, 2, 3 … of one changeset, in their order in the file. What the file
has beside them (headings, empty and bad lines) has no influence on the name of a row, so a load
that is repeated after a restore has the same rows under the same names, also from a file of another
form.
"""

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from psycopg2 import sql

from transfer.engine.checks import Repair
from transfer.engine.kind import Kind
from transfer.engine.shop_all.copy_text import BUFFER, Readable
from transfer.engine.shop_all.correction import COLUMNS as OF_CORRECTIONS, NOTE, hold, take_over
from transfer.engine.shop_all.loads import KEY, LOAD_SECONDS
from transfer.engine.shop_all.log_writer import FLUSHED
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

GOOD = "unread is null and fault is null"

# Columns beside the number of the line and its values: why a cell could not be read, which cell,
# and its text; all cells of such a line; and of a correction how the line names the rejected row,
# which row that is, and the columns whose values are taken from that row.
BESIDE = {
    "unread": "text",
    "unread_column": "text",
    "unread_value": "text",
    "unread_cells": "text",
    "reject": "text",
    "of_changeset": "uuid",
    "of_row": "bigint",
    "keeps": "text[]",
}
NOTHING_BESIDE = "\t\\N" * len(BESIDE)  # as COPY reads it

# Gives the temporary table `incoming` what a load needs beside the values.
EXTEND = """
    alter table pg_temp.incoming {added}, drop column fault,
          add column fault text generated always as ({fault}) stored
"""
# Receives the lines.
COPY = "copy pg_temp.incoming ({columns}) from stdin"

# How many lines name a rejected row. Reads `incoming`, as all that follow do.
COUNT_CORRECTIONS = "select count(of_changeset) from pg_temp.incoming"
# The rejected rows that good lines correct, in the order in which rejects are locked.
CORRECTED = f"""
    select of_changeset::text, of_row from pg_temp.incoming
     where of_changeset is not null and {GOOD} order by of_changeset, of_row
"""
# The same with the row of the changeset under way that corrects each.
SENT = f"""
    select of_changeset::text, of_row, place
      from (select of_changeset, of_row, row_number() over (order by number) as place
              from pg_temp.incoming where {GOOD}) as numbered
     where of_changeset is not null order by of_changeset, of_row
"""
# One line as JSON, secrets masked.
PAYLOAD = "select {payload} from pg_temp.incoming where number = %s"
# How many lines each check refuses.
FAULTS = f"""
    select coalesce(unread, fault) as code, count(*) from pg_temp.incoming
     where not ({GOOD}) group by code order by 2 desc, 1
"""
# Digests of the good lines, in parts of 1,000, keyed: they may hold PIN codes. JSON writes the end
# of a line in another way.
DIGESTS = f"""
    select sha256(({KEY}) || convert_to(string_agg(line, e'\\n' order by place), 'UTF8'))
      from (select json_build_array({{values}})::text as line,
                   row_number() over (order by number) as place
              from pg_temp.incoming where {GOOD}) as lines
     group by (place - 1) / 1000 order by (place - 1) / 1000
"""
# Each value in one form: an amount without zeros at its end, a time as in UTC.
CANONICAL = {"numeric": "trim_scale({})", "timestamptz": "({} at time zone 'UTC')"}

# The name that the rows of the transaction under way have if nobody gives it another one.
OWN_NAME = """
    select (lpad(to_hex(xid), 16, '0') || lpad(to_hex(started), 16, '0'))::uuid::text
      from (select pg_current_xact_id()::text::bigint as xid,
                   (extract(epoch from now()) * 1000000)::bigint as started) as own
"""
# Lets the transaction under way give its rows their lines: see `schema.tables`.
MAY_SET_LINE = "set local datatransfer.stages_lines = 'yes'"
# Inserts the good lines in their order.
STAGE = """
    insert into {table} (line, {columns})
    select row_number() over (order by number), {values}
      from pg_temp.incoming as line where {good} order by number
"""
# Inserts them, and notes which rejected rows they correct.
STAGE_CORRECTIONS = f"""
    with numbered as materialized (
        select line.*, row_number() over (order by number) as place
          from pg_temp.incoming as line where {{good}}
    ), noted as ({NOTE})
    insert into {{table}} (line, {{columns}})
    select place, {{values}} from numbered as line order by place
"""


@dataclass(frozen=True)
class Sent:
    """Which row of the changeset that was staged corrects which rejected row."""

    of_changeset: str
    of_row: int
    row: int


class StagingImport:
    """The lines of one kind on their way into its staging table.

    The parameters are those of `ShopAll` and the kind. `corrections` is how many lines name a
    rejected row; `changeset` the name of what was staged.
    """

    def __init__(self, shop_all: ShopAll, kind: Kind) -> None:
        self.shop_all = shop_all
        self.database = shop_all.database
        self.kind = kind
        self.names = kind.names
        self.corrections = 0
        self.is_held = False
        self.changeset: str | None = None

    def receive(
        self,
        lines: Iterator[str],
        *,
        repair: Repair | None = None,
        lock: Callable[[Iterator[tuple[str, int]]], object] | None = None,
    ) -> None:
        """Copy the lines in (see `copied`); the checks run while they arrive.

        The caller begins the transaction. Where lines correct rejected rows, it holds the log of
        shop All from here on. `repair` corrects the values that lines keep of these rows.

        `lock` is called with the rejected rows once the log is held: whoever locks both takes the
        log first, or two would lock each other out.

        Raises ROWS_NOT_REPEATABLE, and the error of `lines`.
        """
        self.shop_all.identity.check_columns(self.kind)
        self.database.limit_statements(LOAD_SECONDS)
        self.database.execute(FLUSHED)
        self.database.execute(self.kind.incoming)
        added = BESIDE | OF_CORRECTIONS
        columns = ", ".join(f"add column {name} {type_}" for name, type_ in added.items())
        self.database.execute(EXTEND.format(added=columns, fault=self.kind.fault))
        self._copy(lines)
        self.corrections = self.database.value(COUNT_CORRECTIONS)
        if self.corrections:
            self.hold()
            if lock is not None:
                lock(self.corrected())
            take_over(self.shop_all, self.kind, repair)

    def hold(self) -> None:
        """Hold the log of shop All until the transaction ends, before rejected rows are locked.

        Raises ROWS_NOT_REPEATABLE.
        """
        if not self.is_held:
            hold(self.shop_all, self.kind)
            self.is_held = True

    def _copy(self, lines: Iterator[str]) -> None:
        """Raise the error of `lines`, if that is what stopped COPY."""
        copy = COPY.format(columns=", ".join(["number", *self.names, *BESIDE]))
        file = Readable(lines, self.database)
        try:
            with self.database.explained(), self.database.connection.cursor() as cursor:
                cursor.copy_expert(copy, file, BUFFER)
        except TransferError:
            if file.error is not None:
                raise file.error from None
            raise

    def digest(self) -> bytes:
        """Return the digest of the good rows, which names of loads are made of.

        It is of the values and of which rows they correct, in their order, and not of the bytes of
        a file: the same rows have the same digest in each form and encoding. Keyed.
        """
        values = [
            CANONICAL.get(column.carried_as, "{}").format(column.name)
            for column in self.kind.columns
        ]
        query = DIGESTS.format(values=", ".join([*values, "of_changeset", "of_row"]))
        parts = [bytes(part) for (part,) in self.database.rows(query)]
        return hmac.digest(self.shop_all.names.key(), b"".join(parts), sha256)

    def corrected(self) -> Iterator[tuple[str, int]]:
        """Yield the rejected rows that good lines correct, in the order of their locks."""
        return self.database.stream("corrected", CORRECTED)

    def stage(self, sent_by: str, name: str | None = None, *, call: str | None = None) -> int:
        """Stage the good lines as one changeset, and return how many they are.

        With a `name` it is a load (see `Names`), of a call of the API with `call`; without one the
        changeset has the name of the transaction, as one of any writer. Lines that correct rejected
        rows are in the log at once. The caller commits, and stages nothing more.

        Raises LOAD_KNOWN where shop All has a load of this name, or this call, by now.
        """
        changeset = name or self.database.value(OWN_NAME)
        self.database.execute(MAY_SET_LINE)
        statement = STAGE_CORRECTIONS if self.corrections else STAGE
        with self.database.vendors_path():
            rows = self.database.execute(self._about(statement, changeset))
        if name is not None:
            self.shop_all.loads.add(self.kind, name, rows, sent_by, call=call)
        if self.corrections and rows:
            self.shop_all.log_writer.append_own(self.kind)
        self.changeset = changeset
        return rows

    def is_in_log(self, changeset: str) -> bool:
        """Ask, by another connection, whether the log has the corrections that were staged.

        Waits until the transaction that has staged them ends: it holds the log.
        """
        with self.shop_all.another() as beside, beside.database.transaction(commit=False):
            beside.log_writer.lock(self.kind)
            return not beside.log.lacks(self.kind, [changeset])

    def faults(self) -> dict[str, int]:
        """Return code of the failed check → how many lines fail it."""
        return dict(self.database.rows(FAULTS))

    def sent(self) -> Iterator[Sent]:
        """Yield which row corrects which rejected one, once the lines are staged."""
        return (Sent(*row) for row in self.database.stream("sent", SENT))

    def payload(self, number: int) -> dict[str, str | None]:
        """Return the values of a line as they are staged, secrets masked."""
        query = PAYLOAD.format(payload=self.kind.payload)
        values: dict[str, str | None] = self.database.value(query, [number])
        return values

    def _about(self, statement: str, changeset: str) -> sql.Composed:
        mapping = self.kind.shop_all
        names = mapping.names(self.kind.columns)
        values = [mapping.write(column, sql.Identifier("line", column.name)) for column in names]
        return sql.SQL(statement).format(
            table=self.kind.staging_table,
            kind=sql.Literal(self.kind.name),
            changeset=sql.Literal(changeset),
            columns=sql.SQL(", ").join(map(sql.Identifier, [*names.values(), *mapping.fixed])),
            values=sql.SQL(", ").join([*values, *map(sql.Literal, mapping.fixed.values())]),
            good=sql.SQL(GOOD),
        )
