"""Removes staged rows of a load that no bonus server has read.

Why no server has them, and none gets them:

- All positions are locked, so no chunk commits meanwhile, and each says which rows it has moved.
- The table is locked against readers. A stream that a run has begun ahead holds a lock from before
  its snapshot on, so there is none that has read a row and not applied it.
- No other batch sees the rows: a batch is noted before one row of it is read. It may be one of a
  reader of another installation, or of a server that was undocked; or a later one of a server that
  was restored to before it, and may yet be restored to after it.
- Shop All may have forgotten such a batch with a restore. The caller asks our own history.
"""

from collections.abc import Collection

from psycopg2 import errors, sql

from transfer.engine.kind import Kind
from transfer.engine.position import Position, moved
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.batch_log import IS_VALID
from transfer.engine.shop_all.undo import Load

LOCK_MILLISECONDS = 2000  # writers of the table wait while an exclusive lock is waited for
CANNOT_LOCK = (errors.LockNotAvailable, errors.DeadlockDetected, errors.InsufficientPrivilege)

# Locks the table against all others, or fails soon. Rows that a transfer has begun to read are not
# removed: it holds a lock on the table since before its snapshot.
LIMIT_LOCK = "set local lock_timeout = {milliseconds}; savepoint locked"
LOCK_ALONE = "lock table {table} in access exclusive mode"
GIVE_UP = "rollback to savepoint locked; release savepoint locked; reset lock_timeout"
KEEP = "release savepoint locked; reset lock_timeout"
# Whether the log has a batch that sees the transaction, and that no locked position knows. Reads
# the log.
IS_READ_BY_OTHERS = f"""
    select exists (select from datatransfer.batch
                    where kind = %(kind)s
                      and not exists (select from unnest(%(readers)s::uuid[], %(numbers)s::bigint[])
                                               as locked (reader, number)
                                       where locked.reader = batch.reader
                                         and locked.number >= batch.number)
                      and pg_visible_in_snapshot(%(xid)s::text::xid8, snapshot) and {IS_VALID})
"""
# The rows of the load that no position has moved. A row that was sent in place of a rejected one
# stays: its reject is closed.
WITHDRAW = """
    update pg_temp.undoing set is_withdrawn = true
     where xid = {xid}::xid8 and not ({moved})
       and not exists (select from datatransfer.resent
                        where kind = {kind} and new_id = id and new_xid = xid)
"""
REMOVE = """
    delete from {table} as row using pg_temp.undoing as undoing
     where is_withdrawn and row.xid = undoing.xid and row.id = undoing.id
"""


def withdraw(database: Database, kind: Kind, load: Load, positions: Collection[Position]) -> int:
    """Removes the rows of the load that no server has read; returns how many.

    `positions` are those of all docked servers; the caller has locked them, and has chosen the rows
    (`Undo.begin`). Removes nothing where the table can't be locked soon, where a batch that no
    position knows may have read the rows, or where shop All was renumbered since the load.
    """
    are_of_today = load.is_of_today and {one.origin for one in positions} <= {load.origin}
    if not are_of_today or not _lock_alone(database, kind):
        return 0
    # Under the lock: who has read a row before it has noted the batch before that.
    if _is_read_by_others(database, kind, load, positions):
        return 0
    is_moved = sql.SQL(" or ").join([*map(moved, positions), sql.SQL("false")])
    choose = sql.SQL(WITHDRAW).format(
        xid=sql.Literal(str(load.xid)), moved=is_moved, kind=sql.Literal(kind.name)
    )
    withdrawn = database.execute(choose)
    with database.vendors_path():
        database.execute(sql.SQL(REMOVE).format(table=kind.staging_table))
    return withdrawn


def _is_read_by_others(
    database: Database, kind: Kind, load: Load, positions: Collection[Position]
) -> bool:
    values = {
        "kind": kind.name,
        "readers": [one.reader for one in positions],
        "numbers": [one.number for one in positions],
        "xid": load.xid,
    }
    return bool(database.value(IS_READ_BY_OTHERS, values))


def _lock_alone(database: Database, kind: Kind) -> bool:
    """Whether the table is now locked against all others until this transaction ends."""
    database.execute(LIMIT_LOCK.format(milliseconds=LOCK_MILLISECONDS))
    lock = sql.SQL(LOCK_ALONE).format(table=kind.staging_table)
    with database.explained(), database.connection.cursor() as cursor:
        try:
            cursor.execute(lock)
        except CANNOT_LOCK:
            cursor.execute(GIVE_UP)
            return False
        cursor.execute(KEEP)
    return True
