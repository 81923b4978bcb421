"""Whether two addresses lead to one and the same database."""

from secrets import randbits

from transfer.engine.postgres.database import Database

# Locks a number until the transaction ends.
LOCK = "select pg_advisory_xact_lock(%s)"
# Whether somebody has locked this number in the database that is asked.
IS_LOCKED = """
    select exists (
        select from pg_locks
         where locktype = 'advisory' and objsubid = 1
           and database = (select oid from pg_database where datname = current_database())
           and (classid::bigint << 32) | objid::bigint = %s)
"""
BITS = 62  # of the number: positive as a bigint, and never drawn twice


def is_same_database(one: Database, other: Database) -> bool:
    """Return whether both connections are to one database, whatever their addresses.

    One of them locks a number that is drawn for this, and the other one looks for the lock. Raises
    TransferError where one does not answer.
    """
    number = randbits(BITS)
    with one.transaction(commit=False):
        one.execute(LOCK, [number])
        with other.transaction(commit=False):
            return bool(other.value(IS_LOCKED, [number]))
