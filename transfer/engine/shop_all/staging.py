"""Makes, mends and tidies the staging tables of shop All. No Django.

`shop_all.py` reads them for transfers; what changes them stands here.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import chain

from psycopg2 import sql

from transfer.engine.kinds import KINDS, Kind
from transfer.engine.position import Position, visible
from transfer.engine.postgres.database import COLUMNS
from transfer.engine.shop_all import batch_log, guards, writers
from transfer.engine.shop_all.indexes import Step
from transfer.engine.shop_all.reader import PURGE_LOCK
from transfer.engine.shop_all.writers import Writers
from transfer.errors import gettext_noop

SCHEMA = """
create schema if not exists datatransfer;
create table if not exists datatransfer.origin (
    one boolean primary key default true check (one),
    origin uuid not null default gen_random_uuid(),
    created_at timestamptz not null default now()
);
-- Whether the database was dumped and restored tells the transaction that this row names. Where
-- it does, nothing is locked: whoever writes rows reads this table. A default rewrites no row.
do $$ begin
    if not exists (select from pg_attribute where attname = 'xid' and not attisdropped
                      and attrelid = 'datatransfer.origin'::regclass) then
        alter table datatransfer.origin add xid xid8 not null default pg_current_xact_id();
        update datatransfer.origin set xid = pg_current_xact_id();
    end if;
end $$;
insert into datatransfer.origin (one) values (true) on conflict do nothing;
create table if not exists datatransfer.purged (
    kind text primary key,
    rows bigint not null,
    amount numeric not null
);
-- Loads that have committed: one whose answer was lost is not repeated.
create table if not exists datatransfer.loaded (
    token uuid primary key,
    kind text not null,
    rows bigint not null,
    loaded_at timestamptz not null default now()
);
-- The rows of a load are those that this transaction of this database wrote, and no others.
alter table datatransfer.loaded
    add column if not exists origin uuid,
    add column if not exists xid xid8;
-- Rejected rows that were corrected: each is staged anew once, whoever asks, and how often.
create table if not exists datatransfer.resent (
    origin uuid not null,
    kind text not null,
    old_id bigint not null,
    new_id bigint,
    new_xid xid8,
    sent_at timestamptz not null default now(),
    primary key (origin, kind, old_id)
);
-- A row that one bonus server refused may have been accepted by others: what replaces it is only
-- for those that have rejected it.
alter table datatransfer.resent
    add column if not exists where_rejected boolean not null default false,
    add column if not exists sent_by text not null default '';
create index if not exists resent_where_rejected on datatransfer.resent (kind, new_xid)
    where where_rejected;
create index if not exists resent_as on datatransfer.resent (kind, new_id);
-- Transactions that have sent corrected rows, until their rejects are closed in our own database:
-- what a process that died in between leaves behind.
create table if not exists datatransfer.resending (
    xid xid8 primary key,
    kind text not null,
    sent_by text not null,
    sent_at timestamptz not null default now()
);
"""

# The numbers of purges are times: those of a database that went back are never given anew.
NOTE_PURGE = """
    insert into datatransfer.purge_note (origin, kind, number, rows, latest, late)
    select (select origin from datatransfer.origin), %(kind)s,
           greatest(extract(epoch from clock_timestamp()) * 1000000,
                    (select max(number) + 1 from datatransfer.purge_note)),
           %(rows)s, max(xid::text::bigint)::text::xid8,
           array(select distinct running
                   from datatransfer.batch, pg_snapshot_xip(snapshot) as running
                  where kind = %(kind)s and running in (select xid from gone))
      from gone
"""

# Whatever a bonus server had named within these days is there. Of each reader, the oldest go first.
FORGET_BATCHES = """
    delete from datatransfer.batch as old
     where kind = %(kind)s
       and number < (select max(number) from datatransfer.batch as last
                      where last.reader = old.reader
                        and at < now() - make_interval(days => %(days)s))
       and not exists (select from unnest(%(readers)s::uuid[], %(numbers)s::bigint[])
                                as named (reader, number)
                        where named.reader = old.reader and named.number <= old.number)
"""

# Columns of ours, and how each is added to a table that has rows already. Rows that were there
# get the transaction that adds `xid`, and move with the next transfer.
OURS = {
    "id": "bigint generated always as identity",
    "xid": "xid8 not null default pg_current_xact_id()",
    "created_at": "timestamptz default now()",
}


CREATED = gettext_noop("%(table)s: created")
ADDED = gettext_noop("%(table)s: column %(column)s added")
GUARDED = gettext_noop("%(table)s: trigger created that stamps xid")
NOTED = gettext_noop("%(table)s: trigger created that notes who writes")
REPLACED = gettext_noop("Functions and rights for writers replaced: %(names)s")
COMPLETE = gettext_noop("%(table)s: nothing was missing")


class Staging(Writers):
    """The same door with the right to change what is behind it."""

    def initialise(self) -> list[Step]:
        """Creates what is missing and keeps what is there; all tables or none, then the indexes.

        Raises WrongColumns when an existing column has another type, StagingTableChanged.
        """
        steps: dict[str, list[Step]] = {}
        with self.transaction():
            self.limit_statements(None)
            schemas = (SCHEMA, writers.SCHEMA, batch_log.SCHEMA)
            self.execute("\n".join([guards.PIN, *schemas, guards.UNPIN]))
            replaced = self._replace_functions()
            for kind in KINDS.values():
                self.check_table(kind)
                steps[kind.name] = self._initialise(kind)
                self.check_columns(kind)
            self.check_guards()
        for kind in KINDS.values():
            steps[kind.name] += self.index_lookups(kind)
            if not steps[kind.name]:
                steps[kind.name] = [Step(COMPLETE, {"table": kind.staging})]
        return replaced + list(chain.from_iterable(steps.values()))

    def _replace_functions(self) -> list[Step]:
        """Replaces functions and rights that an earlier version, or another role, has made."""
        names = [f"datatransfer.{name}()" for name in guards.differing_functions(self)]
        if not guards.has_rights(self):
            names.append("datatransfer.writer")
        if not names:
            return []
        # The rights come first: without them the function would refuse what writers write.
        parts = (guards.PIN, guards.RIGHTS, guards.CREATE_FUNCTIONS, guards.UNPIN)
        self.execute("\n".join(parts))
        return [Step(REPLACED, {"names": ", ".join(names)})]

    def check_guards(self) -> None:
        """PostgreSQL only warns of a right that it does not grant. Raises GuardsOfAnother."""
        guards.check(self)

    def _initialise(self, kind: Kind) -> list[Step]:
        steps = []
        columns = {row[0] for row in self.rows(COLUMNS, [kind.staging])}
        side = kind.shop_all
        wanted = {name: side.created_as(one) for one, name in side.names(kind.columns).items()}
        wanted |= OURS
        missing = [name for name in wanted if name not in columns]

        def body(names: Iterable[str], line: str) -> sql.Composed:
            lines = [
                sql.SQL(line).format(sql.Identifier(name), sql.SQL(wanted[name])) for name in names
            ]
            return sql.SQL(", ").join(lines)

        if not columns:
            created = sql.SQL("create table {} ({})")
            self.execute(created.format(kind.staging_table, body(wanted, "{} {}")))
            steps.append(Step(CREATED, {"table": kind.staging}))
        elif missing:
            altered = sql.SQL("alter table {} {}")
            self.execute(altered.format(kind.staging_table, body(missing, "add column {} {}")))
            steps += [Step(ADDED, {"table": kind.staging, "column": name}) for name in missing]
        steps += self.index_places(kind)
        for triggers, sentence in ((guards.STAMPS, GUARDED), (guards.NOTES, NOTED)):
            if differing := guards.differing_triggers(self, kind, triggers):
                for trigger in differing:
                    self.execute(trigger.create(kind.staging_table))
                steps.append(Step(sentence, {"table": kind.staging}))
        return steps

    @contextmanager
    def purging(self) -> Iterator[None]:
        """Keeps new positions from beginning: they would not know what was removed before them."""
        with self.transaction():
            self.one("select pg_advisory_lock(%s)", [PURGE_LOCK])
        try:
            yield
        finally:
            with self.transaction():
                self.one("select pg_advisory_unlock(%s)", [PURGE_LOCK])

    def purge(
        self, kind: Kind, positions: list[Position], days: int, *, dry_run: bool = False
    ) -> tuple[int, Decimal]:
        """Removes rows older than `days` that every one of `positions` has moved.

        They were read while nobody could begin one. Returns rows and finite amounts removed; they
        are noted for the reconciliation, and so that a bonus server which is restored to before
        them is noticed. Of a batch under way every row stays until it has been moved as a whole.
        """
        old = sql.SQL("{} where created_at < now() - make_interval(days => {}) and {}").format(
            kind.staging_table,
            sql.Literal(days),
            sql.SQL(" and ").join(visible(position.read_through) for position in positions),
        )
        ours = sql.SQL(", ").join(
            [sql.SQL("xid"), *(one.named(kind.shop_all.read(one)) for one in kind.columns)]
        )
        with self.transaction():
            self.limit_statements(None)
            for position in positions:
                self.check_position(kind, position)
            if dry_run:
                return self._counted(kind, sql.SQL("select {} from {}").format(ours, old))
            self.execute("create temporary table gone (xid xid8) on commit drop")
            rows, amount = self._counted(
                kind, sql.SQL("delete from {} returning {}").format(old, ours), keeps=True
            )
            if rows:
                self._note_purge(kind, rows, amount)
                self.forget_writers(days)
            self._forget_batches(kind, positions, days)
        if rows:
            self.vacuum(kind)
        return rows, amount

    def blank(
        self, kind: Kind, positions: list[Position], spared: list[int], *, dry_run: bool = False
    ) -> int:
        """Empties the secrets of rows that every one of `positions` has moved, but for those with
        the numbers `spared`; returns of how many. The rows stay, and count as before.
        """
        (column,) = kind.shop_all.names(one for one in kind.columns if one.secret).values()
        values = {
            "table": kind.staging_table,
            "column": sql.Identifier(column),
            "moved": sql.SQL(" and ").join(visible(one.read_through) for one in positions),
            "spared": sql.Literal(spared),
        }
        which = sql.SQL("{column} <> '' and {moved} and id <> all ({spared}::bigint[])").format(
            **values
        )
        with self.transaction():
            self.limit_statements(None)
            for position in positions:
                self.check_position(kind, position)
            if dry_run:
                query = sql.SQL("select count(*) from {table} where {which}")
                return int(self.value(query.format(which=which, **values)))
            columns = self.rows(COLUMNS, [kind.staging])
            not_null = {name for name, _, is_not_null, *_ in columns if is_not_null}
            empty = "" if column in not_null else None
            return self.execute(
                sql.SQL("update {table} set {column} = {empty} where {which}").format(
                    which=which, empty=sql.Literal(empty), **values
                )
            )

    def _counted(
        self, kind: Kind, gone: sql.Composed, *, keeps: bool = False
    ) -> tuple[int, Decimal]:
        noting = ", noted as (insert into gone select distinct xid from gone_rows)" if keeps else ""
        query = sql.SQL(
            f"with gone_rows as ({{}}){noting} "
            "select count(*), coalesce(sum({}), 0) from gone_rows"
        )
        rows, amount = self.one(query.format(gone, sql.SQL(kind.amount)))
        return rows, amount

    def _note_purge(self, kind: Kind, rows: int, amount: Decimal) -> None:
        self.execute(
            "insert into datatransfer.purged as held values (%s, %s, %s) "
            "on conflict (kind) do update set rows = held.rows + excluded.rows, "
            "amount = held.amount + excluded.amount",
            [kind.name, rows, amount],
        )
        self.execute(NOTE_PURGE, {"kind": kind.name, "rows": rows})

    def _forget_batches(self, kind: Kind, positions: list[Position], days: int) -> None:
        """Removes old batches; each reader's latest stays, and the one that its position names."""
        named = [(one.reader, one.number) for one in positions if one.reader is not None]
        readers, numbers = zip(*named, strict=True) if named else ((), ())
        self.execute(
            FORGET_BATCHES,
            {"kind": kind.name, "days": days, "readers": [*readers], "numbers": [*numbers]},
        )
