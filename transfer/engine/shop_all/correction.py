"""Lines that correct rejected rows: which ones they may correct, and which values they keep.

The lines are in the temporary table `incoming` of a `StagingImport`. A row that corrects another
one applies where that one's reject is open, and closes it; elsewhere it does nothing. So it does no
harm to correct a row twice, one after the other, and one line may correct what several servers have
rejected. The log is held meanwhile: what is read of it here stays true until the rows are in it.
"""

from psycopg2 import sql

from transfer.causes.loads import ROWS_NOT_REPEATABLE
from transfer.engine.checks import UNPRINTABLE, Repair
from transfer.engine.kind import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

# What `incoming` needs for lines that correct others. `root_…` is the row at the end of the chain
# that the corrected row is in, `first` that row's amount as it was staged.
COLUMNS = {
    "of_xid": "xid8",
    "of_started": "timestamptz",
    "of_effect": "text",
    "of_opposite": "boolean not null default false",
    "root_changeset": "uuid",
    "root_row": "bigint",
    "root_first": "numeric",
    "has_old": "boolean not null default false",
}

# Finds the corrected rows in the log, and what they depend on themselves. By the unique key of the
# log and the primary key of `dependent`.
FIND = """
    update pg_temp.incoming as line
       set of_xid = found.xid, of_started = found.started, of_effect = found.effect,
           root_changeset = found.root_changeset, root_row = found.root_row,
           root_first = found.first
      from (select log.xid, log.started, dependent.effect, dependent.first, here.ctid as place,
                   coalesce(dependent.root_changeset, here.of_changeset) as root_changeset,
                   coalesce(dependent.root_row, here.of_row) as root_row
              from pg_temp.incoming as here
              join datatransfer.log
                on log.kind = %(kind)s and log.changeset = here.of_changeset
              left join datatransfer.dependent
                on dependent.kind = %(kind)s and dependent.changeset = here.of_changeset
               and dependent."row" = here.of_row) as found
     where line.ctid = found.place
"""
# Marks those that correct the opposite of a row, or a correction of one. By the primary key.
FIND_OPPOSITES = """
    with recursive chain (place, effect, of_changeset, of_row) as (
        select here.ctid, effect, dependent.of_changeset, dependent.of_row
          from pg_temp.incoming as here join datatransfer.dependent
            on dependent.kind = %(kind)s and dependent.changeset = here.of_changeset
           and dependent."row" = here.of_row
         union
        select place, dependent.effect, dependent.of_changeset, dependent.of_row
          from chain join datatransfer.dependent
            on dependent.kind = %(kind)s and dependent.changeset = chain.of_changeset
           and dependent."row" = chain.of_row
         where chain.effect = 'replaces'
    )
    update pg_temp.incoming as line set of_opposite = true
      from chain where chain.place = line.ctid and chain.effect = 'reverses'
"""
# Gives a line that may not be staged its reason.
REFUSE = """
    update pg_temp.incoming as line
       set unread = '{code}', unread_column = %(column)s,
           unread_value = coalesce(line.reject, line.of_row::text)
     where line.of_changeset is not null and line.unread is null and {condition}
"""
# The reasons, in their order. Whatever a row was corrected from was loaded before it, so a log that
# lacks one of both was restored.
IS_LOST = """
    (line.root_changeset is null
     or not exists (select from datatransfer.log
                     where log.kind = %(kind)s and log.changeset = line.root_changeset))
"""
IS_TAKEN_BACK = """
    not line.of_opposite
    and (exists (select from datatransfer.log
                  where log.kind = %(kind)s and log.changeset = line.root_changeset and withdrawn)
         or exists (select from datatransfer.dependent
                     where dependent.kind = %(kind)s and effect = 'reverses'
                       and dependent.root_changeset = line.root_changeset
                       and dependent.root_row = line.root_row))
"""
SETS_AN_AMOUNT = "line.of_effect = 'sets'"
IS_REPEATED = """
    (line.of_changeset, line.of_row) in (
        select of_changeset, of_row from pg_temp.incoming where of_changeset is not null
         group by of_changeset, of_row having count(*) > 1)
"""
REASONS = {
    "reject_twice": IS_REPEATED,
    "row_lost": IS_LOST,
    "row_undone": IS_TAKEN_BACK,
    "row_sets_amount": SETS_AN_AMOUNT,
}

# Takes over values of the rows that lines correct, which only this database can say: what a bonus
# server has recorded of them may be forged. The checks judge the line once more. By the index on
# (xid, started, row).
KEEP = """
    update pg_temp.incoming as line set {kept}, has_old = true
      from {staged}
     where line.of_changeset is not null and ours.xid = line.of_xid
       and ours.started = line.of_started and ours."row" = line.of_row
"""
FIRST_AMOUNT = """
    root_first = case when line.of_effect is null then coalesce(ours.first, ours.amount)
                      else line.root_first end"""
# Refuses lines that keep values of a row which, or whose PIN code, is gone.
REFUSE_GONE = """
    update pg_temp.incoming
       set unread = case when keeps <@ {secrets} then 'pin_gone' else 'row_gone' end,
           unread_column = keeps[1], unread_value = ''
     where cardinality(keeps) > 0 and not has_old and unread is null
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

# Notes which rows the lines correct, for the servers. `place` is the row's own name.
NOTE = """
    insert into datatransfer.dependent (kind, changeset, "row", effect, of_changeset, of_row,
                                        root_changeset, root_row, first)
    select {kind}, {changeset}::uuid, place, 'replaces', of_changeset, of_row, root_changeset,
           root_row, root_first
      from numbered where of_changeset is not null
"""


def check_repeatable(shop_all: ShopAll, kind: Kind) -> None:
    """Raise ROWS_NOT_REPEATABLE where the staging table takes no second row of the same values."""
    index = shop_all.identity.unique_over_values(kind)
    if index is not None:
        raise TransferError(ROWS_NOT_REPEATABLE, table=kind.quoted_staging, index=index)


def hold(shop_all: ShopAll, kind: Kind) -> None:
    """Hold the log until the caller's transaction ends. Raises ROWS_NOT_REPEATABLE.

    Whoever locks rejected rows in our own database as well holds the log first, or two would lock
    each other out.
    """
    check_repeatable(shop_all, kind)
    with shop_all.another() as beside:  # this session is in a transaction
        beside.log_writer.append_all(kind)
    shop_all.log_writer.lock(kind)


def take_over(shop_all: ShopAll, kind: Kind, repair: Repair | None) -> None:
    """Find the rows that lines correct, and give these lines the values that they keep.

    The caller's transaction holds the log. Lines whose row may not be corrected get
    the code of the reason in `unread`: the same row is corrected twice; shop All has lost the row,
    or what it depends on, by a restore; the row was taken back; it only sets a changed amount; it
    is gone with a value that the line keeps. `repair` corrects the values that are kept.
    """
    database, values = shop_all.database, {"kind": kind.name, "column": kind.names[0]}
    database.execute(FIND, values)
    database.execute(FIND_OPPOSITES, values)
    for code, condition in REASONS.items():
        database.execute(REFUSE.format(code=code, condition=condition), values)
    _keep_old_values(shop_all, kind, REPAIRS[repair] if repair else {})


def _keep_old_values(shop_all: ShopAll, kind: Kind, repairs: dict[str, str]) -> None:
    """Copy the values that lines keep; `repairs`: column → what is done to its value, in SQL."""
    kept: list[sql.Composable] = []
    for name in kind.names:
        ours = sql.SQL(repairs.get(name, "{0}")).format(sql.Identifier("ours", name))
        kept.append(
            sql.SQL("{0} = case when {1} = any(line.keeps) then {2} else line.{0} end").format(
                sql.Identifier(name), sql.Literal(name), ours
            )
        )
    if kind.appends:
        kept.append(sql.SQL(FIRST_AMOUNT))
    statement = sql.SQL(KEEP).format(kept=sql.SQL(", ").join(kept), staged=kind.staged)
    shop_all.database.execute(statement)
    secrets = sql.SQL("{}::text[]").format(sql.Literal([*kind.secrets]))
    shop_all.database.execute(sql.SQL(REFUSE_GONE).format(secrets=secrets))
