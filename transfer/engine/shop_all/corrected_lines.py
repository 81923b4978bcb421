"""Lines that correct rejected rows: finds the rows in shop All, and takes over their values.

The lines are in the temporary table `incoming` of a `StagingImport`.
"""

from psycopg2 import sql

from transfer.engine.checks import UNPRINTABLE, Repair
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.source import ShopAll

# Finds under which transaction the corrected rows are staged: that of the reject, unless a rebase
# renumbered them. By the primary key.
FIND = """
    update pg_temp.incoming as line
       set staged_xid = case when origin = (select origin from datatransfer.origin) then old_xid
                             else (select known.new_xid
                                     from datatransfer.renumbered_transaction as known
                                    where known.origin = line.origin and known.kind = %s
                                      and known.old_xid = line.old_xid and not known.is_new) end
     where old_id is not null
"""
# Takes over values of the rows that lines correct, which only this database can say: what a bonus
# server has recorded of them may be forged. The checks judge the line once more. By the index on
# (xid, id).
KEEP = """
    update pg_temp.incoming as line set {kept}, has_old = true
      from {staged}
     where line.keeps is not null and ours.xid = line.staged_xid and ours.id = line.old_id
"""
# Waits for an undo of a load, and lets a later one wait: it takes back what was sent in place of a
# row of the load.
LOCK_CORRECTIONS = "lock table datatransfer.resent in row exclusive mode"
# Refuses lines whose row was taken back. By the primary key.
REFUSE_UNDONE = """
    update pg_temp.incoming as line
       set unread = 'row_undone', unread_column = %s,
           unread_value = coalesce(line.reject, line.old_id::text)
      from datatransfer.undone_row as note
     where note.kind = %s and note.origin = (select origin from datatransfer.origin)
       and note.old_id = line.old_id and note.old_xid = line.staged_xid and line.unread is null
"""
# Refuses lines whose row, or its PIN code, is gone.
REFUSE_GONE = """
    update pg_temp.incoming
       set unread = case when keeps <@ {secrets} then 'pin_gone' else 'row_gone' end,
           unread_column = keeps[1], unread_value = ''
     where keeps is not null and not has_old and unread is null
"""
# Removes what may come along when a number is copied. A number that nothing would be left of stays.
WITHOUT_SPACES = f"coalesce(nullif(regexp_replace({{0}}, '{UNPRINTABLE}', '', 'g'), ''), {{0}})"
# Rounds as people do, half away from zero. An amount that would become zero stays.
TO_KOPECKS = "coalesce(nullif(round({0}, 2), 0), {0})"
# What a repair does to a column of the row that a line corrects.
REPAIRS = {
    Repair.SPACES: {"account": WITHOUT_SPACES, "card": WITHOUT_SPACES},
    Repair.KOPECKS: {"amount": TO_KOPECKS},
}
REPAIRED = ("account", "card", "amount")


def take_over(shop_all: ShopAll, kind: Kind, repair: Repair | None) -> None:
    """Finds the rows that lines correct, and gives these lines the values that they keep.

    Refuses lines whose row was taken back, or is gone with a value that the line keeps. `repair`
    corrects the values.
    """
    shop_all.corrections.require()
    database = shop_all.database
    database.execute(LOCK_CORRECTIONS)
    database.execute(FIND, [kind.name])
    if shop_all.undo_log.exists():
        database.execute(REFUSE_UNDONE, [kind.names[0], kind.name])
    keep_old_values(database, kind, REPAIRS[repair] if repair else {})


def keep_old_values(database: Database, kind: Kind, repairs: dict[str, str]) -> None:
    """Copies the values that lines keep; `repairs`: column → what is done to its value, in SQL."""
    kept = []
    for name in kind.names:
        ours = sql.SQL(repairs.get(name, "{0}")).format(
            sql.SQL("ours.{}").format(sql.Identifier(name))
        )
        kept.append(
            sql.SQL("{0} = case when {1} = any(line.keeps) then {2} else line.{0} end").format(
                sql.Identifier(name), sql.Literal(name), ours
            )
        )
    database.execute(sql.SQL(KEEP).format(kept=sql.SQL(", ").join(kept), staged=kind.staged))
    secrets = sql.SQL("{}::text[]").format(sql.Literal([*kind.secrets]))
    database.execute(sql.SQL(REFUSE_GONE).format(secrets=secrets))
