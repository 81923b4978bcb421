"""Checks that shop All is the database that a transfer expects: identity, tables and their past."""

from uuid import UUID

from psycopg2 import sql

from transfer.engine.errors import (
    FutureTransactions,
    NotInitialised,
    OriginChanged,
    RestoredFromDump,
    StagingTableChanged,
    WrongColumns,
)
from transfer.engine.kind import Kind
from transfer.engine.kinds import KINDS
from transfer.engine.position import Position
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.relations import COLUMNS, check_logged
from transfer.engine.shop_all.batch_log import ORIGINAL, BatchLog
from transfer.engine.shop_all.guards import Guards
from transfer.engine.shop_all.purge_notes import PurgeNotes
from transfer.engine.shop_all.restore_notes import RestoreNotes
from transfer.engine.shop_all.triggers import STAMP_TRIGGER
from transfer.errors import AnswerInvalid

# Whether our table of the identity exists. By the catalogue.
HAS_ORIGIN = "select to_regclass('datatransfer.origin')"
# The identity of this database: one row. As text: a changed table may have any type.
ORIGIN = "select left(origin::text, 100) from datatransfer.origin limit 2"

# Whether the triggers that stamp inserts and updates of a table are on, also for sessions that
# replicate. An earlier version made one for both; of `tgtype`, 4 is an insert and 16 an update.
IS_STAMPED = """
    select coalesce(bit_or(tgtype) & 20, 0) = 20 from pg_trigger
     where tgrelid = to_regclass(%s) and starts_with(tgname, %s) and tgenabled = 'A'
"""

# What `check_past` asks, in one snapshot: whether a staged row, or the position, carries a
# transaction that the cluster has yet to reach; whether our row was written here; and from which
# table the position's batch was read. By the index on (xid, id), which `order by` demands: for a
# mere `exists` the planner expects the first row to do, and reads all of them in vain. The batch by
# its primary key.
PAST = """
    select (select true from {table} where xid >= pg_snapshot_xmax(s) order by xid limit 1)
               is not null,
           pg_snapshot_xmax({snapshot}::pg_snapshot) > pg_snapshot_xmax(s),
           (select {original} from datatransfer.origin),
           (select coalesce(staging, {standard}) from datatransfer.batch
             where reader = {reader}::uuid and number = {number})
      from pg_current_snapshot() as s
"""

# Whether our row of the identity was written here, and not by the restore of a dump.
IS_ORIGINAL = "select {original} from datatransfer.origin"

# Another table that the kind's rows were read from. Reads the log of batches.
OTHER_TABLES = """
    select coalesce(staging, %s) from datatransfer.batch
     where kind = %s and coalesce(staging, %s) <> %s limit 1
"""


class Identity:
    """Reads the identity of shop All, and refuses what does not fit a position."""

    def __init__(
        self,
        database: Database,
        log: BatchLog,
        purge_notes: PurgeNotes,
        restore_notes: RestoreNotes,
    ) -> None:
        self.database = database
        self.log = log
        self.purge_notes = purge_notes
        self.restore_notes = restore_notes
        self._has_origin = False  # once the table exists, it stays

    def origin(self) -> str:
        """The identity of this staging database. Raises NotInitialised; AnswerInvalid, since our
        own database and the bonus servers would have to store it.
        """
        self._has_origin = self._has_origin or bool(self.database.value(HAS_ORIGIN))
        rows = self.database.rows(ORIGIN) if self._has_origin else []
        if not rows:
            raise NotInitialised(missing="datatransfer.origin")
        try:
            ((origin,),) = rows
            return str(UUID(origin))
        except (ValueError, TypeError, AttributeError):
            raise AnswerInvalid(
                party=self.database.party, what="datatransfer.origin: origin"
            ) from None

    def is_origin_original(self) -> bool:
        """Whether our row was written here, and not by the restore of a dump."""
        query = sql.SQL(IS_ORIGINAL).format(original=sql.SQL(ORIGINAL))
        return bool(self.database.value(query))

    def check_columns(self, kind: Kind) -> None:
        """Compares the columns of the table with those that binary COPY expects.

        Raises NotInitialised when the table, a column or the trigger is missing, WrongColumns
        when a type differs, TableUnlogged.
        """
        columns = {
            name: about for name, *about in self.database.rows(COLUMNS, [kind.staging_table])
        }
        if not columns:
            raise NotInitialised(missing=kind.quoted_staging)
        check_logged(self.database, kind.staging_table)
        mapping = kind.shop_all
        expected = {name: mapping.types(one) for one, name in mapping.names(kind.columns).items()}
        expected |= {"id": frozenset({"bigint"}), "xid": frozenset({"xid8"})}
        for name in expected:
            if name not in columns:
                raise NotInitialised(missing=f"{kind.quoted_staging}.{name}")
        ours = {name: one for one, name in mapping.names(kind.columns).items()}
        problems = []
        for name, types in expected.items():
            type_, *_, labels = columns[name]
            of_enum = name in ours and mapping.is_enum_of_words(ours[name], labels)
            lacking = mapping.words_lacking(ours[name], labels) if name in ours else []
            if type_ not in types and not of_enum:
                problems.append(f"{name} {type_} ≠ {' / '.join(lacking or sorted(types))}")
        problems += [f"{name} null" for name in ("id", "xid") if not columns[name][1]]
        if problems:
            raise WrongColumns(
                party=self.database.party, table=kind.quoted_staging, problems="; ".join(problems)
            )
        if not self.is_stamped(kind):
            raise NotInitialised(missing=f"trigger {STAMP_TRIGGER} on {kind.quoted_staging}")

    def is_stamped(self, kind: Kind) -> bool:
        """Whether the triggers are on without which a writer could choose `xid`."""
        return bool(self.database.value(IS_STAMPED, [kind.staging_table, STAMP_TRIGGER]))

    def check_guards(self, guards: Guards) -> None:
        """PostgreSQL only warns of a right that it does not grant. Raises GuardsOfAnother."""
        guards.check()

    def check_table(self, kind: Kind) -> None:
        """Raises StagingTableChanged if the kind's rows were ever read from another table.

        A position says so for itself: see `check_past`.
        """
        ours = KINDS[kind.name].staging
        for (before,) in self.database.rows(OTHER_TABLES, [ours, kind.name, ours, kind.staging]):
            raise StagingTableChanged(before=before, now=kind.staging)

    def check_position(self, kind: Kind, position: Position, server: str = "SERVER") -> None:
        """Whether all that the position, which is `server`'s, has still to read is here.

        Raises RowsPurged, what `check_past` raises, or ShopAllRestored where only another
        position shows that it is not.
        """
        self.check_purged(position, server)
        self.check_past(kind, position, server)
        self.restore_notes.check(position.origin)

    def check_purged(self, position: Position, server: str) -> None:
        """Whether rows are gone that the position's server has not received. Raises RowsPurged.

        Asked before the log: the purge that took the rows may have taken the batch, too, and what
        is missing is to be known first.
        """
        self.purge_notes.lost(position).refuse(position, server)

    def check_past(self, kind: Kind, position: Position, server: str = "SERVER") -> None:
        """Whether the position, which is `server`'s, is of this database's past.

        Raises OriginChanged; StagingTableChanged; HistoryChanged when our rows came with a dump,
        when the log lacks the position's batch, or when the table or the position knows
        transactions that the cluster has yet to reach.
        """
        if self.origin() != position.origin:
            raise OriginChanged
        ours = KINDS[kind.name].staging
        past = sql.SQL(PAST).format(
            table=kind.staging_table,
            original=sql.SQL(ORIGINAL),
            snapshot=sql.Literal(position.snapshot),
            standard=sql.Literal(ours),
            reader=sql.Literal(position.reader),
            number=sql.Literal(position.number),
        )
        table_ahead, position_ahead, is_original, table = self.database.one(past)
        if position.is_older_than_the_log:
            table = ours
        if table not in (None, kind.staging):
            raise StagingTableChanged(before=table, now=kind.staging)
        if not is_original:
            raise RestoredFromDump
        self.log.check(position, server)
        if table_ahead or position_ahead:
            where = kind.quoted_staging if table_ahead else "datatransfer.position"
            raise FutureTransactions(where=where)
