"""Properties of a table in PostgreSQL that decide whether its rows are safe."""

from collections.abc import Iterable, Iterator

from transfer.causes.tables import TABLE_UNLOGGED, TABLES_FOREIGN
from transfer.engine.postgres.database import Database
from transfer.engine.table_mapping import TableName
from transfer.errors import TransferError
from transfer.parties import gettext_noop

# Columns of a table: name, type, whether it is not null, type with modifier, modifier; and the
# words of an enum. A domain is what it is made of. PostgreSQL allows no more columns.
COLUMNS = """
    select a.attname, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), null),
           a.attnotnull, format_type(a.atttypid, a.atttypmod),
           case when t.typbasetype = 0 then a.atttypmod else t.typtypmod end,
           array(select enumlabel::text from pg_enum where enumtypid = t.oid order by enumsortorder)
      from pg_attribute a join pg_type t on t.oid = a.atttypid
     where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
     limit 1600
"""
# Whether the table, or a partition of it, is unlogged. By the catalogue.
IS_UNLOGGED = """
    select exists (
        select from pg_class
         where relpersistence = 'u'
           and (oid = to_regclass(%(table)s)
                or oid in (select relid from pg_partition_tree(to_regclass(%(table)s)))))
"""
# The kind of the relation, whether a partition is a foreign table, whether other tables inherit
# from it, whether it is published although no replica identity tells its rows apart, and the
# triggers that may change a row or keep it out (of pg_trigger.tgtype, 1 is for each row, 2 before,
# 64 instead of, 20 on insert or update).
ABOUT = """
    select relkind::text,
           exists (select from pg_partition_tree(c.oid) join pg_class p on p.oid = relid
                    where p.relkind = 'f'),
           relkind <> 'p' and exists (select from pg_inherits where inhparent = c.oid),
           exists (select from pg_publication_tables join pg_namespace n on n.oid = c.relnamespace
                    where schemaname = n.nspname and tablename = c.relname)
               and (relreplident = 'n'
                    or relreplident = 'd' and not exists (
                        select from pg_index where indrelid = c.oid and indisprimary)),
           (select string_agg(tgname, ', ' order by tgname) from pg_trigger
             where tgrelid = c.oid and not tgisinternal and tgenabled <> 'D'
               and tgtype & 1 = 1 and tgtype & 66 <> 0 and tgtype & 20 <> 0
               and not starts_with(tgname, 'datatransfer')
               and not starts_with(tgname, 'zz_datatransfer'))
      from pg_class c where c.oid = to_regclass(%s)
"""

FOREIGN = gettext_noop(
    "%(table)s is a foreign table or has one as a partition: two servers commit one after the "
    "other, and a crash in between can lose or double rows. A later version will refuse it"
)
VIEW = gettext_noop("%(table)s is a view. A later version will refuse it")
PARTITIONED = gettext_noop(
    "%(table)s is partitioned: rows of a partition that is detached or dropped are gone"
)
INHERITED = gettext_noop("other tables inherit from %(table)s")
NOT_IDENTIFIED = gettext_noop(
    "%(table)s is published without a replica identity, so PostgreSQL refuses to update or delete "
    "its rows: alter table … replica identity full"
)
TRIGGERS = gettext_noop("triggers of %(table)s may change rows or keep them out: %(names)s")


def check_logged(database: Database, table: TableName) -> None:
    """Raises TABLE_UNLOGGED if a crash of the server would empty the table or a partition of it."""
    if database.value(IS_UNLOGGED, {"table": table}):
        raise TransferError(TABLE_UNLOGGED, party=database.party, table=table.quoted)


def check_ordinary(database: Database, tables: Iterable[TableName]) -> None:
    """Raises TABLES_FOREIGN if tables are foreign, have a foreign partition, or are views.

    A transfer does not ask: a later version will refuse them.
    """
    names = [
        table.name
        for table in tables
        if any(remark in (FOREIGN, VIEW) for remark, _named in remarks(database, table))
    ]
    if names:
        raise TransferError(TABLES_FOREIGN, database=database.name, tables=", ".join(names))


def remarks(database: Database, table: TableName) -> Iterator[tuple[str, dict[str, str]]]:
    """What an administrator should know of a table: message ids and their parameters."""
    for kind, has_foreign, is_inherited, is_unidentified, triggers in database.rows(ABOUT, [table]):
        named = {"table": table.name, "names": triggers or ""}
        found = {
            FOREIGN: kind == "f" or has_foreign,
            VIEW: kind in ("v", "m"),
            PARTITIONED: kind == "p",
            INHERITED: is_inherited,
            NOT_IDENTIFIED: is_unidentified,
            TRIGGERS: triggers is not None,
        }
        yield from ((remark, named) for remark, is_true in found.items() if is_true)
