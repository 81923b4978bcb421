"""The indexes of the staging tables. Writers pay for them, so they are few and small."""

from dataclasses import dataclass
from hashlib import sha256

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.kinds import KINDS
from transfer.engine.postgres.database import Database
from transfer.errors import gettext_noop

INDEXED = gettext_noop("%(table)s: index on (xid, id) created")
LOOKED_UP = gettext_noop("%(table)s: index %(index)s created, for the trace")
FOR_CHANGES = gettext_noop("%(table)s: index %(index)s created, for changed rows")
DROPPED = gettext_noop("%(table)s: index %(index)s removed, nothing needs it any more")
UNFINISHED = gettext_noop("%(table)s: index %(index)s removed, it was never finished")

PAGES_A_RANGE = 4

# PostgreSQL, "BRIN Indexes": they say which pages can't hold a value. Writers pay where pages that
# are summarised get new rows. Each row changes the summary, and a summary of over 510 bytes
# (TOAST_INDEX_TARGET) is compressed again, at ten times the cost of the row: so they are small.
BRIN = f"using brin ({{}} {{}}) with (pages_per_range = {PAGES_A_RANGE}, autosummarize = on)"
NUMBER = "int8_minmax_ops"
TEXT = "text_bloom_ops (n_distinct_per_range = 400, false_positive_rate = 0.01)"

# A row if the table has the index on (xid, id). By the catalogue, as NAMED.
PLACES = """
    select from pg_index where indrelid = to_regclass(%s) and indisunique
       and indisvalid and indpred is null and pg_get_indexdef(indexrelid) like '%%(xid, id)'
"""
# Indexes of a table whose names start with a text: name, name with schema, whether it is finished.
NAMED = """
    select relname, indexrelid::regclass::text, indisvalid
      from pg_index join pg_class on oid = indexrelid
     where indrelid = to_regclass(%s) and starts_with(relname, %s)
     order by relname
"""

# Rows that were changed after they had been staged: as a rule none, so it costs writers nothing.
CHANGED = "(changed_xid) where changed_xid is not null"

# Unique, so that (xid, id) orders the rows without ties.
INDEX_PLACES = "create unique index on {table} (xid, id)"
# Makes one; writers go on meanwhile.
INDEX_LOOKUP = "create index concurrently {name} on {table} {columns}"
# Removes one; writers go on meanwhile.
DROP = "drop index concurrently {name}"
VACUUM = "vacuum {table}"

# Removes the summaries of pages that a purge has freed; returns how many. Otherwise the summaries
# would go on to name what those pages once held, and the rows that come next would have to change
# them. PostgreSQL makes new ones when the pages are full again. Reads one row of each page range.
FORGET = f"""
    with empty as materialized (
        select page
          from generate_series(
                   0, pg_relation_size(%s::regclass) / current_setting('block_size')::int,
                   {PAGES_A_RANGE}
               ) as page
         where not exists (select from {{table}}
                            where ctid >= format('(%%s,0)', page)::tid
                              and ctid < format('(%%s,0)', page + {PAGES_A_RANGE})::tid))
    select count(brin_desummarize_range(oid, page)) from empty, pg_class
     where oid = any(%s::regclass[]) and pg_has_role(relowner, 'usage')
"""


@dataclass(frozen=True)
class Step:
    """Something that was done: a message id and its parameters."""

    sentence: str
    params: dict[str, str]


def lookups(kind: Kind) -> dict[str, sql.Composed]:
    """The indexes of the trace: name → how it is made."""
    names = kind.shop_all.names(one for one in kind.columns if one.name in ("account", "card"))
    indexed = [("id", "id", NUMBER), *((one.name, name, TEXT) for one, name in names.items())]
    is_ours = kind.staging == KINDS[kind.name].staging
    # Our own table, from before another was named, may have its indexes still.
    end = "brin" if is_ours else f"{sha256(kind.staging.encode()).hexdigest()[:8]}_brin"
    return {
        f"datatransfer_{kind.name}_{ours}_{end}": sql.SQL(BRIN).format(
            sql.Identifier(name), sql.SQL(operators)
        )
        for ours, name, operators in indexed
    }


def changed_rows(kind: Kind) -> dict[str, sql.Composed]:
    """The same of the index that finds rows that were changed after they had been staged."""
    is_ours = kind.staging == KINDS[kind.name].staging
    end = "" if is_ours else f"_{sha256(kind.staging.encode()).hexdigest()[:8]}"
    return {f"datatransfer_{kind.name}_changed{end}": sql.Composed([sql.SQL(CHANGED)])}


class Indexes:
    """Makes the indexes of the staging tables."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def index_places(self, kind: Kind) -> list[Step]:
        """The index on (xid, id), by which rows are read; the caller commits."""
        if self.database.rows(PLACES, [kind.staging_table]):
            return []
        self.database.execute(sql.SQL(INDEX_PLACES).format(table=kind.staging_table))
        return [Step(INDEXED, {"table": kind.staging})]

    def index_lookups(self, kind: Kind) -> list[Step]:
        """Makes the indexes of the trace, then removes those that earlier versions made.

        Writers do not wait for it. Interrupted, it goes on the next time.
        """
        wanted, steps = lookups(kind) | changed_rows(kind), []
        with self.database.without_transaction():
            for name, index, is_valid in self._lookups_of(kind):
                if not is_valid:
                    steps.append(self._drop_index(kind, name, index, UNFINISHED))
            existing = {name: index for name, index, _ in self._lookups_of(kind)}
            for name in wanted.keys() - existing.keys():
                make = sql.SQL(INDEX_LOOKUP).format(
                    name=sql.Identifier(name), table=kind.staging_table, columns=wanted[name]
                )
                self.database.execute(make)
                sentence = LOOKED_UP if name in lookups(kind) else FOR_CHANGES
                steps.append(Step(sentence, {"table": kind.staging, "index": name}))
            for name in existing.keys() - wanted.keys():
                steps.append(self._drop_index(kind, name, existing[name], DROPPED))
        return steps

    def _lookups_of(self, kind: Kind) -> list[tuple[str, str, bool]]:
        """Lists the indexes that we made: name, name with schema, and whether it is finished."""
        return self.database.rows(NAMED, [kind.staging_table, f"datatransfer_{kind.name}_"])

    def _drop_index(self, kind: Kind, name: str, index: str, sentence: str) -> Step:
        self.database.execute(DROP.format(name=index))
        return Step(sentence, {"table": kind.staging, "index": name})

    def vacuum(self, kind: Kind) -> None:
        """Makes room for new rows where a purge has removed some."""
        mine = [index for name, index, _ in self._lookups_of(kind) if name in lookups(kind)]
        self.database.roll_back()
        with self.database.without_transaction():
            table = kind.staging_table
            self.database.execute(sql.SQL(VACUUM).format(table=table))
            self.database.one(sql.SQL(FORGET).format(table=table), [table, mine])
