"""The indexes of the staging tables. Writers pay for them, so they are few and small."""

from dataclasses import dataclass
from hashlib import sha256

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.kinds import KINDS
from transfer.engine.postgres.database import Database
from transfer.parties import gettext_noop

NAMED_ROWS = gettext_noop("%(table)s: index %(index)s created, which keeps names of rows unique")
LOOKED_UP = gettext_noop("%(table)s: index %(index)s created, for the trace")
FOR_CHANGES = gettext_noop("%(table)s: index %(index)s created, for changed rows")
UNFINISHED = gettext_noop("%(table)s: index %(index)s removed, it was never finished")

PAGES_A_RANGE = 4

# PostgreSQL, "BRIN Indexes": they say which pages can't hold a value. Writers pay where pages that
# are summarised get new rows. Each row changes the summary, and a summary of over 510 bytes
# (TOAST_INDEX_TARGET) is compressed again, at ten times the cost of the row: so they are small.
BRIN = f"using brin ({{}} {{}}) with (pages_per_range = {PAGES_A_RANGE}, autosummarize = on)"
NUMBER = {"bigint": "int8_minmax_ops", "integer": "int4_minmax_ops", "smallint": "int2_minmax_ops"}
TEXT = "text_bloom_ops (n_distinct_per_range = 400, false_positive_rate = 0.01)"

# The name of a row: its transaction, and its line or id. Unique, so a writer who gives two rows of
# a transaction the same id gets an error; the reader finds rows by it.
ROW_NAME = "(xid, started, coalesce(line, id))"
# A row if the table has that index, whoever made it. By the catalogue, as NAMED. PostgreSQL writes
# a cast where `id` is no bigint.
HAS_ROW_NAME = """
    select from pg_index
     where indrelid = to_regclass(%s) and indisunique and indisvalid and indpred is null
       and pg_get_indexdef(indexrelid)
           ~ '[(]xid, started, COALESCE[(]line, [(]?id([)]::bigint)?[)][)]$'
"""
# Indexes of a table whose names start with a text: name, name with schema, whether it is finished.
NAMED = """
    select relname, indexrelid::regclass::text, indisvalid
      from pg_index join pg_class on oid = indexrelid
     where indrelid = to_regclass(%s) and starts_with(relname, %s)
     order by relname
"""
# The type of the table's own `id`. By the catalogue.
TYPE_OF_ID = """
    select format_type(atttypid, null) from pg_attribute
     where attrelid = to_regclass(%s) and attname = 'id' and not attisdropped
"""

# Rows that were changed after they had been staged: as a rule none, so it costs writers nothing.
CHANGED = "(xid, started) where changes is not null"

CREATE_ROW_NAME = f"create unique index {{name}} on {{table}} {ROW_NAME}"
# Makes one; writers go on meanwhile.
CREATE = "create index concurrently {name} on {table} {columns}"
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


def name_of(kind: Kind, what: str) -> str:
    """Return the name of our index of the kind's staging table.

    Our own table, from before another was named, may have its indexes still: so the name tells
    which table it is, if it is not our own.
    """
    is_ours = kind.staging == KINDS[kind.name].staging
    end = "" if is_ours else f"_{sha256(kind.staging.encode()).hexdigest()[:8]}"
    return f"datatransfer_{kind.name}_{what}{end}"


def row_name(kind: Kind) -> str:
    """Return the name of the unique index: it is what a writer reads who repeats an id."""
    return name_of(kind, "id_unique_in_transaction")


def lookups(kind: Kind, type_of_id: str = "bigint") -> dict[str, sql.Composed]:
    """Return the indexes of the trace: name → how it is made."""
    names = kind.shop_all.names(one for one in kind.columns if one.name in ("account", "card"))
    indexed = [
        ("id", "id", NUMBER[type_of_id]),
        *((one.name, name, TEXT) for one, name in names.items()),
    ]
    return {
        name_of(kind, f"{ours}_brin"): sql.SQL(BRIN).format(
            sql.Identifier(name), sql.SQL(operators)
        )
        for ours, name, operators in indexed
    }


class Indexes:
    """Makes the indexes of the staging tables."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def has_row_name(self, kind: Kind) -> bool:
        """Return whether the index exists by which rows are named."""
        return bool(self.database.rows(HAS_ROW_NAME, [kind.staging_table]))

    def index_row_names(self, kind: Kind) -> list[Step]:
        """Make the index by which rows are named; the caller commits."""
        if self.has_row_name(kind):
            return []
        name = row_name(kind)
        self.database.execute(
            sql.SQL(CREATE_ROW_NAME).format(name=sql.Identifier(name), table=kind.staging_table)
        )
        return [Step(NAMED_ROWS, {"table": kind.staging, "index": name})]

    def index_lookups(self, kind: Kind) -> list[Step]:
        """Make the indexes of the trace and of changed rows, each in a transaction of its own.

        Writers do not wait for it. Interrupted, it goes on the next time.
        """
        steps = []
        with self.database.without_transaction():
            types = [type_ for (type_,) in self.database.rows(TYPE_OF_ID, [kind.staging_table])]
            trace = lookups(kind, *types)
            wanted = trace | {name_of(kind, "changed"): sql.Composed([sql.SQL(CHANGED)])}
            for name, index, is_valid in self._of(kind):
                if name in wanted and not is_valid:
                    self.database.execute(DROP.format(name=index))
                    steps.append(Step(UNFINISHED, {"table": kind.staging, "index": name}))
            existing = {name for name, *_ in self._of(kind)}
            for name in [one for one in wanted if one not in existing]:
                make = sql.SQL(CREATE).format(
                    name=sql.Identifier(name), table=kind.staging_table, columns=wanted[name]
                )
                self.database.execute(make)
                sentence = LOOKED_UP if name in trace else FOR_CHANGES
                steps.append(Step(sentence, {"table": kind.staging, "index": name}))
        return steps

    def _of(self, kind: Kind) -> list[tuple[str, str, bool]]:
        """Return the indexes that we made: name, name with schema, and whether it is finished."""
        return self.database.rows(NAMED, [kind.staging_table, f"datatransfer_{kind.name}_"])

    def vacuum(self, kind: Kind) -> None:
        """Make room for new rows where a purge has removed some."""
        mine = [index for name, index, _ in self._of(kind) if name in lookups(kind)]
        self.database.roll_back()
        with self.database.without_transaction():
            table = kind.staging_table
            self.database.execute(sql.SQL(VACUUM).format(table=table))
            self.database.only_row(sql.SQL(FORGET).format(table=table), [table, mine])
