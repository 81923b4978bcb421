"""The vendor's sequences that number the rows of his tables, where a column has no default.

Only his sequence may number them: a number of our own could be one that his programs give next.
"""

from collections.abc import Iterator

from psycopg2 import sql

from transfer.causes.tables import SEQUENCE_BEHIND
from transfer.engine.postgres.database import Database
from transfer.engine.table_mapping import TableMapping
from transfer.engine.table_name import TableName
from transfer.errors import TransferError

# A row if it is a sequence. By the catalogue.
IS_SEQUENCE = "select from pg_class where oid = to_regclass(%s) and relkind = 'S'"
# A row if the sequence exists and our role may not draw numbers from it. By the catalogue.
MAY_NOT_USE = """
    select from pg_class where oid = to_regclass(%s) and relkind = 'S'
       and not has_sequence_privilege(oid, 'usage')
"""
# A row if the column holds numbers, our role may read it, and an index begins with it: then its
# greatest value is one look-up. By the catalogue.
HAS_GREATEST = """
    select from pg_index join pg_attribute on attrelid = indrelid and attnum = indkey[0]
     where indrelid = to_regclass(%s) and attname = %s and indisvalid and indpred is null
       and atttypid = any ('{smallint,integer,bigint,numeric}'::regtype[])
       and has_column_privilege(indrelid, attnum, 'select')
     limit 1
"""
# Its greatest value. By that index.
GREATEST = "select max({column}) from {table}"
# The number that an ascending sequence gives next, or null if it has given none since it was set or
# restarted; and whether our role may read it. By the catalogue.
NEXT = """
    select pg_sequence_last_value(seqrelid) + seqincrement,
           has_sequence_privilege(seqrelid, 'select')
      from pg_sequence where seqrelid = to_regclass(%s) and seqincrement > 0
"""
# The number that it was set to, and gives next.
SET_TO = "select last_value from {sequence} where not is_called"


def is_sequence(database: Database, name: str) -> bool:
    """Whether our role's path, or the schema in the name, has a sequence of this name."""
    return bool(database.rows(IS_SEQUENCE, [TableName(name)]))


def missing_sequence_rights(database: Database, mapping: TableMapping) -> Iterator[TableName]:
    """The sequences that our role may not draw numbers from."""
    for sequence in map(TableName, mapping.sequences.values()):
        if database.rows(MAY_NOT_USE, [sequence]):
            yield sequence


def check_sequences(database: Database, mapping: TableMapping) -> None:
    """Raises SEQUENCE_BEHIND if a sequence would give a number that a row has already.

    Then it is not the sequence of this column, or the vendor's program makes something else of its
    numbers, as Hibernate does with hi/lo. A unique key would refuse our rows; without one, two rows
    would have the same number. A sequence that programs draw from is never behind: the greatest
    number is asked for first.
    """
    for column, name in mapping.sequences.items():
        sequence = TableName(name)
        if not database.rows(HAS_GREATEST, [mapping.identifier, column]):
            continue
        query = sql.SQL(GREATEST).format(column=sql.Identifier(column), table=mapping.identifier)
        greatest = database.value(query)
        following = _next(database, sequence)
        if None not in (greatest, following) and greatest >= following:
            raise TransferError(
                SEQUENCE_BEHIND,
                database=database.name,
                table=mapping.identifier.quoted,
                column=column,
                sequence=sequence.quoted,
                next=following,
                greatest=greatest,
            )


def _next(database: Database, sequence: TableName) -> int | None:
    """The number that the sequence gives next; None where it descends, or we may not know."""
    for following, may_read in database.rows(NEXT, [sequence]):
        if following is None and may_read:
            query = sql.SQL(SET_TO).format(sequence=sequence)
            return next((number for (number,) in database.rows(query)), None)
        return None if following is None else int(following)
    return None
