"""The three transfers as data: tables, columns, checks and the SQL that applies good rows.

It opens no connections: the engine runs what is defined here. A chunk arrives in the temporary
table `incoming` (see `Kind.incoming`), whose column `fault` holds the code of the first check that
a row fails, or null; `refuse` sets it where a check needs the target's rows. `refuse` and `apply`
see the others as `good`, in the form that the target's table has them in. They look rows of
the target up one by one, by the index on its key, and join nothing, so stale statistics cannot
slow a chunk. Every SQL text here is a constant; values never enter it. The target's names are in
braces, under ours, and `Kind.target_names` puts them in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from psycopg2 import sql

from transfer.engine.checks import (
    ADDABLE,
    BALANCE_CHECKS,
    BY_SERVER,
    BY_TABLES,
    CARD_CHECKS,
    PINCODE_CHECKS,
    UNKNOWN,
    UNKNOWN_CARD,
    Check,
)
from transfer.engine.table_mapping import TEXT, Column, TableMapping
from transfer.engine.table_name import TableName
from transfer.errors import gettext_noop

MASK = "••••"
# A card linked without a status may only earn until a row says more: the one default that lets no
# money out.
DEFAULT_STATUS = 0
TIMESTAMP = "timestamp with time zone"


def text(name: str, secret: bool = False) -> Column:
    return Column(name, "varchar(100)", TEXT, "text", secret)


def plain(name: str, type_: str) -> Column:
    return Column(name, type_, frozenset({type_}), type_)


def stamp(name: str) -> Column:
    """A column that takes the time of a chunk: COPY would write it into any eight bytes."""
    types = frozenset({TIMESTAMP, "timestamp without time zone", "date"})
    return Column(name, "timestamptz", types, TIMESTAMP)


# The temporary table that a chunk, or the lines of a load, arrive in.
INCOMING = """
    create temporary table incoming (
        xid xid8, id bigint, {columns}, fault text, sqlstate text, constraint_name text,
        as_json json
    ) on commit drop
"""

CHANGED_AT = stamp("changed_at")


@dataclass(frozen=True)
class Kind:
    name: str
    title: str
    shop_all: TableMapping
    bonus_server: TableMapping
    columns: tuple[Column, ...]
    checks: tuple[Check, ...]
    needed: tuple[tuple[str, ...], ...]  # of each group of columns a row has at least one
    # Statements that count how many rows they changed, or select that and how many rows did not
    # land although they had to.
    apply: tuple[str, ...]
    late_checks: tuple[Check, ...] = ()  # those that need the target's rows: `refuse` makes them
    refuse: tuple[str, ...] = ()  # statements that set `fault` in incoming, and select 0
    amount: str = "null::numeric"  # SQL over a row: what the totals add up
    appends: bool = False  # each good row becomes a row of the target, and none may go missing
    unique: tuple[str, ...] = ()  # columns of the target that an upsert holds on to
    rights: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE")  # on the target's table
    stamps: Column = CHANGED_AT  # the column of the target that tells when

    @property
    def staging(self) -> str:
        """The table of shop All."""
        return self.shop_all.table

    @property
    def staging_table(self) -> TableName:
        return self.shop_all.identifier

    @property
    def target(self) -> str:
        """The table of a bonus server."""
        return self.bonus_server.table

    @property
    def target_table(self) -> TableName:
        return self.bonus_server.identifier

    @property
    def staged(self) -> sql.Composed:
        """The rows of the staging table with our names and values, as a FROM has them."""
        return self.shop_all.rows(self.columns, "ctid", "xmin", "xid", "id", "created_at")

    @property
    def held(self) -> sql.Composed:
        """The same of the target's."""
        return self.bonus_server.rows((*self.columns, self.stamps))

    @property
    def held_names(self) -> dict[Column, str]:
        """The target's columns that a transfer fills, without those of fixed values."""
        return self.bonus_server.names((*self.columns, self.stamps))

    @property
    def target_names(self) -> dict[str, sql.Composable]:
        """What `refuse` and `apply` have in braces."""
        mapping = self.bonus_server
        held = mapping.names(self.columns)
        stamps = [sql.Identifier(name) for name in mapping.names([self.stamps]).values()]
        more = [*stamps, *map(sql.Identifier, mapping.fixed)]
        values = [*[sql.SQL("now()") for _ in stamps], *map(sql.Literal, mapping.fixed.values())]
        return {
            **{column.name: sql.Identifier(name) for column, name in held.items()},
            "table": mapping.identifier,
            "columns": sql.SQL(", ").join(map(sql.Identifier, held.values())),
            "values": sql.SQL(", ").join(sql.Identifier(column.name) for column in held),
            "more": sql.SQL("").join(sql.SQL(", {}").format(one) for one in more),
            "more_values": sql.SQL("").join(sql.SQL(", {}").format(one) for one in values),
            "stamped": sql.SQL("").join(
                sql.SQL(", {0} = excluded.{0}").format(one) for one in stamps
            ),
            "default_status": sql.Literal(mapping.words.get(DEFAULT_STATUS, DEFAULT_STATUS)),
            "status_type": sql.SQL("text" if mapping.words else "integer"),
            "sending_order": sql.SQL(self.sending_order),
            "good": sql.SQL(", ").join(
                one.named(mapping.write(one, sql.Identifier(one.name))) for one in self.columns
            ),
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def sending_order(self) -> str:
        """SQL: the order in which rows are sent and inserted.

        By the key of the bonus server's index, whose first column is the kind's first; with equal
        keys in the order of staging.
        """
        return f'{self.names[0]} collate "C", xid, id'

    @property
    def secrets(self) -> frozenset[str]:
        """The columns whose values are never shown, nor quoted in an error."""
        return frozenset(column.name for column in self.columns if column.secret)

    @property
    def all_checks(self) -> tuple[Check, ...]:
        return self.checks + self.late_checks

    @property
    def fault(self) -> str:
        """SQL: the code of the first check that a row fails, or null."""
        cases = " ".join(f"when {check.fails} then '{check.code}'" for check in self.checks)
        return f"case {cases} end"

    @property
    def counts(self) -> str:
        """SQL over rows with their `fault`: how many are good, how many are not, and both sums."""
        good, bad = (f"filter (where fault is {state})" for state in ("null", "not null"))
        sums = (f"coalesce(sum({self.amount}) {rows}, 0)" for rows in (good, bad))
        return ", ".join([f"count(*) {good}", f"count(*) {bad}", *sums])

    @property
    def incoming(self) -> str:
        """SQL: creates the temporary table `incoming`."""
        columns = ", ".join(f"{column.name} {column.carried_as}" for column in self.columns)
        return INCOMING.format(columns=columns)

    @property
    def payload(self) -> str:
        """SQL: the row as it came, as JSON for a reject, secrets masked."""

        def shown(name: str) -> str:
            masked = f"case when {name} is not null then '{MASK}' end"
            return masked if name in self.secrets else f"{name}::text"

        pairs = ", ".join(f"'{name}', {shown(name)}" for name in self.names)
        return f"json_build_object({pairs})"


# Whether the table has this PIN code already. Each row is looked up first: those that are the same
# are left alone. The insert has to return every other one; a trigger kept out one that it does not.
# By the index on the account.
SAME_PIN = """
    coalesce((select held.{pincode}::text = latest.pincode
                from {table} as held where held.{account}::text = latest.account), false)
"""

PINCODES = Kind(
    name="pincodes",
    title=gettext_noop("PIN codes"),
    shop_all=TableMapping("accountpincodeTemp"),
    bonus_server=TableMapping("pincode"),
    columns=(text("account"), text("pincode", secret=True)),
    needed=(("account",), ("pincode",)),
    checks=PINCODE_CHECKS,
    apply=(
        f"""
        , latest as materialized (
            select distinct on (account collate "C") account, pincode
              from good order by account collate "C", xid desc, id desc
        ), different as materialized (
            select account, pincode from latest where not {SAME_PIN}
        ), landed as (
            insert into {{table}} as held ({{account}}, {{pincode}}{{more}})
            select account, pincode{{more_values}} from different
                on conflict ({{account}}) do update
               set {{pincode}} = excluded.{{pincode}}{{stamped}}
            returning 1
        )
        select (select count(*) from landed),
               (select count(*) from different) - (select count(*) from landed)
        """,
    ),
    unique=("account",),
)

BALANCES = Kind(
    name="balances",
    title=gettext_noop("Balance changes"),
    shop_all=TableMapping("changeAccountBalanceTemp"),
    bonus_server=TableMapping("asset"),
    columns=(
        text("account"),
        plain("amount", "numeric"),
        plain("validfrom", TIMESTAMP),
        plain("validto", TIMESTAMP),
        plain("comment", "text"),
    ),
    needed=(("account",), ("amount",)),
    checks=BALANCE_CHECKS,
    apply=(
        """
        insert into {table} ({columns}{more})
        select {values}{more_values} from good order by {sending_order}
        """,
    ),
    amount=f"case when {ADDABLE} then amount end",
    appends=True,
    rights=("INSERT",),
    stamps=stamp("created_at"),
)

# Whether the table has this account and status of the card already. By the index on the card.
SAME_CARD = """
    coalesce((select held.{account}::text
                         is not distinct from coalesce(latest.account, held.{account}::text)
                 and held.{status}::{status_type}
                     is not distinct from coalesce(latest.status, held.{status}::{status_type})
                from {table} as held where held.{card}::text = latest.card), false)
"""

# Within a chunk the last account and the last status of a card win separately. What is left as it
# is stays that of the newest version of the row.
UPSERT_CARDS = f"""
    , latest as materialized (
        select card collate "C" collate "default" as card,
               (pg_catalog.array_agg(account order by xid desc, id desc)
                    filter (where account is not null))[1] as account,
               (pg_catalog.array_agg(status order by xid desc, id desc)
                    filter (where status is not null))[1] as status
          from good group by card collate "C"
    ), different as materialized (
        select card, account, status from latest where not {SAME_CARD}
    ), of_both as (
        insert into {{table}} as held ({{card}}, {{account}}, {{status}}{{more}})
        select card, account, status{{more_values}} from different
         where account is not null and status is not null
            on conflict ({{card}}) do update
           set {{account}} = excluded.{{account}}, {{status}} = excluded.{{status}}{{stamped}}
        returning 1
    ), of_account as (
        insert into {{table}} as held ({{card}}, {{account}}, {{status}}{{more}})
        select card, account, {{default_status}}{{more_values}} from different where status is null
            on conflict ({{card}}) do update
           set {{account}} = excluded.{{account}}{{stamped}}
        returning 1
    ), of_status as (
        insert into {{table}} as held ({{card}}, {{account}}, {{status}}{{more}})
        select card, (select known.{{account}} from {{table}} as known
                       where known.{{card}}::text = different.card), status{{more_values}}
          from different where account is null
            on conflict ({{card}}) do update
           set {{status}} = excluded.{{status}}{{stamped}}
        returning 1
    ), landed as (
        select (select count(*) from of_both) + (select count(*) from of_account)
             + (select count(*) from of_status) as rows
    )
    select rows, (select count(*) from different) - rows from landed
"""

CARDS = Kind(
    name="cards",
    title=gettext_noop("Card links and statuses"),
    shop_all=TableMapping("changeCardAccountTemp"),
    bonus_server=TableMapping("cardAccounting"),
    columns=(text("card"), text("account"), plain("status", "integer")),
    needed=(("card",), ("account", "status")),
    checks=CARD_CHECKS,
    late_checks=UNKNOWN_CARD,
    # A status without an account needs a card that the server knew before, or that an earlier row
    # of the chunk links: the same answer that row by row would give.
    refuse=(
        """
        , refused as (
            update pg_temp.incoming set fault = 'card_unknown'
             where ctid = any (array(
                select line
                  from (select line, card, account, bool_or(account is not null) over (
                                   partition by card order by xid, id
                                   rows between unbounded preceding and 1 preceding) as is_linked
                          from good
                         where exists (select from good where account is null)) as judged
                 where account is null and is_linked is not true
                   and (select true from {table} as known
                         where known.{card}::text = judged.card) is null))
        )
        select 0
        """,
    ),
    apply=(UPSERT_CARDS,),
    unique=("card",),
)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {kind.name: kind for kind in (PINCODES, BALANCES, CARDS)}
)
"""The three transfers with their standard tables. `mapping_file` reads those of an installation."""

CHECKS: dict[str, Check] = {
    check.code: check
    for checks in (*(kind.all_checks for kind in KINDS.values()), BY_TABLES, BY_SERVER)
    for check in checks
}


def check_named(code: str) -> Check:
    """The check of a reject's code; UNKNOWN for a code that a newer version has saved."""
    return CHECKS.get(code, UNKNOWN)
