"""Lines on their way into a staging table: received, checked, staged.

They are in the temporary table `incoming`, and everything happens in one transaction. A line may
correct a rejected row: then it carries that row's origin and number, and is staged only if no note
says that it was staged before.
"""

from collections.abc import Iterator

from psycopg2 import sql

from transfer.engine.checks import Repair
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.batch_log import FLUSHED
from transfer.engine.shop_all.copy_text import BUFFER, Readable
from transfer.engine.shop_all.corrected_lines import take_over
from transfer.engine.shop_all.correction_log import Sent
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

LOAD_SECONDS = 3600  # for each statement of a load, without the time in which it reads the file
GOOD = "unread is null and fault is null"

# Columns beside the number of the line and its values: why a cell could not be read, which cell,
# and its text; all cells of such a line; and of a correction how the line names the rejected row,
# which row that is, the columns whose values are taken from that row, and the tokens of uncertain
# rejects of it that are sent again.
BESIDE = {
    "unread": "text",
    "unread_column": "text",
    "unread_value": "text",
    "unread_cells": "text",
    "reject": "text",
    "origin": "uuid",
    "old_id": "bigint",
    "old_xid": "xid8",
    "keeps": "text[]",
    "uncertain": "uuid[]",
}
NOTHING_BESIDE = "\t\\N" * len(BESIDE)  # as COPY reads it

# Gives the temporary table `incoming` what a load needs beside the values.
EXTEND = """
    alter table pg_temp.incoming {beside}, drop column fault,
          add column has_old boolean not null default false, add column staged_xid xid8,
          add column fault text generated always as ({fault}) stored
"""
# Receives the lines.
COPY = "copy pg_temp.incoming ({columns}) from stdin"

# How many lines name a rejected row. Reads `incoming`, as all that follow do.
COUNT_CORRECTIONS = "select count(old_id) from pg_temp.incoming"
# The rejected rows that good lines correct, in the order in which rejects are locked.
CORRECTED = f"""
    select origin::text, old_id from pg_temp.incoming
     where old_id is not null and {GOOD} order by origin, old_id
"""
# One line as JSON, secrets masked.
PAYLOAD = "select {payload} from pg_temp.incoming where id = %s"

# Inserts the good lines in their order.
STAGE = """
    insert into {table} ({columns})
    select {values} from pg_temp.incoming as line where {good} order by id
"""

# Notes the transaction that sends corrected rows; returns its number.
NOTE_SENDING = """
    insert into datatransfer.resending (xid, kind, sent_by)
    values (pg_current_xact_id(), %s, %s) returning xid::text::bigint
"""

# The sequence of the column `id`, or else the expression of its default. By the catalogue.
NEXT_ID = """
    select pg_get_serial_sequence(%(table)s, 'id'),
           (select pg_get_expr(adbin, adrelid)
              from pg_attrdef join pg_attribute on attrelid = adrelid and attnum = adnum
             where adrelid = to_regclass(%(table)s) and attname = 'id')
"""

# Inserts the good lines, and notes which rejected rows they correct. Looks the notes up by their
# primary key, and rows of other origins by the index `renumbered_as`.
# The numbers of the new rows are drawn first, so that it is known which of them replaces which.
# A row that was rejected before and after a rebase has two origins: one line of it is staged, and
# noted under both.
# The notes come in the order of the old rows: two at once then wait for each other.
STAGE_CORRECTIONS = """
    with numbered as materialized (
        select line.*, {next_id} as new_id
          from (select * from (select *, row_number() over (partition by old_id, staged_xid
                                                            order by id) as place
                                 from pg_temp.incoming where {good}) as line
                 where old_id is null or staged_xid is null or place = 1
                 order by id) as line
    ), noted as (
        insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, sent_by,
                                         where_rejected)
        select origin, {kind}, old_id, new_id, pg_current_xact_id(), {by}, {where_rejected}
          from numbered where old_id is not null order by origin, old_id
            on conflict do nothing
        returning new_id
    ), noted_elsewhere as (
        insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, sent_by,
                                         where_rejected)
        select name.origin, {kind}, old_id, new_id, pg_current_xact_id(), {by}, {where_rejected}
          from numbered as line
         cross join lateral (
                   select origin from datatransfer.origin
                    union
                   select origin from datatransfer.renumbered_transaction as known
                    where known.kind = {kind} and known.new_xid = line.staged_xid
                      and not known.is_new) as name
         where staged_xid is not null and new_id in (select new_id from noted)
           and name.origin <> line.origin
         order by name.origin, old_id
            on conflict do nothing
    )
    insert into {table} (id, {columns}) overriding system value
    select new_id, {values} from numbered as line
     where line.old_id is null or new_id in (select new_id from noted)
     order by new_id
"""

# Notes which uncertain rejects the transaction has sent again: those of rows that were not sent
# before. By the primary key of the notes.
NOTE_REJECTS = f"""
    insert into datatransfer.resent_reject (token)
    select unnest(uncertain) from pg_temp.incoming as line
      join datatransfer.resent as note
        on note.origin = line.origin and note.kind = %s and note.old_id = line.old_id
     where new_xid = pg_current_xact_id() and {GOOD}
        on conflict do nothing
"""

# Notes of the rows that lines correct, and those of the same new rows under other origins: a `Sent`
# each. By the primary key and the index `resent_as`.
SENT = """
    select distinct note.origin::text, note.old_id, note.new_id, note.new_xid::text::bigint,
           left(note.sent_by, 200)
      from pg_temp.incoming as line
      join datatransfer.resent as mine
        on mine.origin = line.origin and mine.kind = %s and mine.old_id = line.old_id
      join datatransfer.resent as note
        on note.kind = mine.kind and note.new_id = mine.new_id and note.new_xid = mine.new_xid
     order by 1, 2
"""

# How many of these rows there are: one with two origins counts once.
COUNT_SENT = f"""
    select count(distinct (new_id, new_xid))
      from ({SENT}) as sent (origin, old_id, new_id, new_xid, sent_by)
"""

# How many lines each check refuses, without those that correct a row which was sent before. By the
# primary key of the notes.
FAULTS = f"""
    select coalesce(unread, fault) as code, count(*) from pg_temp.incoming as line
     where not ({GOOD})
       and not exists (select from datatransfer.resent as note
                        where note.origin = line.origin and note.kind = %s
                          and note.old_id = line.old_id)
     group by code order by 2 desc, 1
"""


class StagingImport:
    """The lines of one kind on their way into its staging table.

    The parameters are those of `ShopAll` and the kind.
    """

    def __init__(self, shop_all: ShopAll, kind: Kind) -> None:
        self.shop_all = shop_all
        self.database = shop_all.database
        self.kind = kind
        self.names = kind.names
        self.corrections = 0  # lines that name a rejected row
        self.xid: int | None = None  # the transaction that has sent some

    def receive(self, lines: Iterator[str], *, repair: Repair | None = None) -> None:
        """Copies the lines in (see `copied`); the checks run while they arrive.

        `repair` corrects the values that lines keep of the rows that they correct.
        """
        self.shop_all.identity.check_columns(self.kind)
        self.database.limit_statements(LOAD_SECONDS)
        # A crash must not lose rows after we have reported them as staged.
        self.database.execute(FLUSHED)
        self.database.execute(self.kind.incoming)
        beside = ", ".join(f"add column {name} {type_}" for name, type_ in BESIDE.items())
        self.database.execute(EXTEND.format(beside=beside, fault=self.kind.fault))
        self._copy(lines)
        self.corrections = self.database.value(COUNT_CORRECTIONS)
        if self.corrections:
            take_over(self.shop_all, self.kind, repair)

    def _copy(self, lines: Iterator[str]) -> None:
        """Raises the error of `lines`, if that is what stopped COPY."""
        copy = COPY.format(columns=", ".join(["id", *self.names, *BESIDE]))
        file = Readable(lines, self.database)
        try:
            with self.database.explained(), self.database.connection.cursor() as cursor:
                cursor.copy_expert(copy, file, BUFFER)
        except TransferError:
            if file.error is not None:
                raise file.error from None
            raise

    def corrected(self) -> Iterator[tuple[str, int]]:
        """The rejected rows that good lines correct, in the order in which rejects are locked."""
        return self.database.stream("corrected", CORRECTED)

    def stage(self, sent_by: str) -> int:
        """Inserts the good lines, and notes which rejected rows they correct.

        Those that have a note already are left out. Returns how many rows there are new.
        """
        if not self.corrections:  # needs no right to draw numbers, and takes half the time
            with self.database.vendors_path():
                return self.database.execute(self._about(STAGE))
        self.xid = self.database.value(NOTE_SENDING, [self.kind.name, sent_by])
        number = next_id(self.database, self.kind)
        statement = self._about(STAGE_CORRECTIONS, next_id=number, by=sql.Literal(sent_by))
        with self.database.vendors_path():
            rows = self.database.execute(statement)
        self.database.execute(NOTE_REJECTS, [self.kind.name])
        return rows

    def count_sent(self) -> int:
        """How many of the rows that lines correct are staged again, now or before."""
        return int(self.database.value(COUNT_SENT, [self.kind.name])) if self.corrections else 0

    def faults(self) -> dict[str, int]:
        """Code of the failed check → how many rows fail it, of those that were never sent."""
        return dict(self.database.rows(FAULTS, [self.kind.name]))

    def sent(self) -> Iterator[Sent]:
        """What is staged in place of the rows that lines correct, now or before."""
        return (Sent(*row) for row in self.database.stream("sent", SENT, [self.kind.name]))

    def _about(self, statement: str, **more: sql.Composable) -> sql.Composed:
        mapping = self.kind.shop_all
        names = mapping.names(self.kind.columns)
        values = [
            mapping.write(column, sql.SQL("line.{}").format(sql.Identifier(column.name)))
            for column in names
        ]
        return sql.SQL(statement).format(
            table=self.kind.staging_table,
            kind=sql.Literal(self.kind.name),
            columns=sql.SQL(", ").join(map(sql.Identifier, [*names.values(), *mapping.fixed])),
            values=sql.SQL(", ").join([*values, *map(sql.Literal, mapping.fixed.values())]),
            good=sql.SQL(GOOD),
            # An appended row must not land where the old one did.
            where_rejected=sql.Literal(self.kind.appends),
            **more,
        )

    def payload(self, number: int) -> dict[str, str | None]:
        """The values of a line as they are staged, secrets masked."""
        query = PAYLOAD.format(payload=self.kind.payload)
        values: dict[str, str | None] = self.database.value(query, [number])
        return values


def next_id(database: Database, kind: Kind) -> sql.Composable:
    """SQL: draws the next number of the staging table, from its identity or as its default does."""
    sequence, default = database.one(NEXT_ID, {"table": kind.staging_table})
    if sequence is not None:
        return sql.SQL("pg_catalog.nextval({}::regclass)").format(sql.Literal(sequence))
    return sql.SQL(default or "null::bigint")
