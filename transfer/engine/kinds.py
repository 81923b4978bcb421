"""The transfers: each kind with its tables, columns, checks and SQL."""

from collections.abc import Mapping
from types import MappingProxyType

from transfer.engine.checks import (
    ADDABLE,
    BALANCE_CHECKS,
    CARD_CHECKS,
    PINCODE_CHECKS,
    UNKNOWN_CARD,
)
from transfer.engine.kind import TIMESTAMP, Kind, plain, stamp, text
from transfer.engine.table_mapping import TableMapping
from transfer.parties import gettext_noop

# Rows are looked up first, by the index on the account or card: those that are the same are left
# alone. All others have to land; a trigger kept out one that does not.
#
# `quick` inserts plainly what the table lacks, and updates each other row at the place where the
# look-up has found it. It counts only if as many rows land as differ. A row that somebody else
# inserts meanwhile is a duplicate key, and one that somebody deletes does not land: then `apply`
# decides, whose upsert takes both. One that somebody changes meanwhile gets our values on top, as
# by an upsert, or does not land either, by the version of PostgreSQL. At most one row is found of
# each account or card, since `VendorTables.check_columns` wants a unique index on it.
#
# The update compares the key again, in case the row at that place is another one by now; with
# `is true`, so that the planner sees nothing to join by but the place. By the key it would read the
# whole table where the statistics call it small.
LANDED = """
        select landed, (select count(*) from different) - landed
          from (select (select count(*) from inserted) + (select count(*) from updated) as landed)
            as counted
"""

# Within a chunk the last PIN code of an account wins.
LATEST_PINS = """
        , latest as materialized (
            select distinct on (account collate "C") account, pincode
              from good order by account collate "C", number desc, "row" desc
        )
"""
SAME_PIN = """
    coalesce((select held.{pincode}::text = latest.pincode
                from {table} as held where held.{account}::text = latest.account), false)
"""

PINCODES = Kind(
    name="pincodes",
    title=gettext_noop("PIN codes"),
    means=gettext_noop("The account gets this PIN code in place of the one it has."),
    by_hand=gettext_noop("Set a PIN code"),
    shop_all=TableMapping("accountpincodeTemp"),
    bonus_server=TableMapping("pincode"),
    columns=(text("account"), text("pincode", secret=True)),
    needed=(("account",), ("pincode",)),
    checks=PINCODE_CHECKS,
    quick=(
        f"""
        {LATEST_PINS}, different as materialized (
            select latest.account, latest.pincode, place
              from latest left join lateral (
                   select held.ctid as place, held.{{pincode}}::text = latest.pincode as is_same
                     from {{table}} as held where held.{{account}}::text = latest.account
                    limit 1) as found on true
             where is_same is not true
        ), inserted as (
            insert into {{table}} ({{account}}, {{pincode}}{{more}})
            select account, pincode{{more_values}} from different where place is null
            returning 1
        ), updated as (
            update {{table}} as held set {{pincode}} = different.pincode{{stamped}} from different
             where held.ctid = different.place
               and (held.{{account}}::text = different.account) is true
            returning 1
        )
        {LANDED}
        """,
    ),
    apply=(
        f"""
        {LATEST_PINS}, different as materialized (
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
    means=gettext_noop("The balance of the account changes by the amount, once."),
    by_hand=gettext_noop("Change the balance"),
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
        insert into {table} ({columns}{more}) select {values}{more_values} from good
        """,
    ),
    amount=f"case when {ADDABLE} then amount end",
    appends=True,
    rights=("INSERT",),
    stamps=stamp("created_at"),
)

# Whether the table has this account and status of the card already.
IS_SAME_CARD = """
    held.{account}::text is not distinct from coalesce(latest.account, held.{account}::text)
    and held.{status}::{status_type}
        is not distinct from coalesce(latest.status::{status_type}, held.{status}::{status_type})
"""
SAME_CARD = f"""
    coalesce((select {IS_SAME_CARD}
                from {{table}} as held where held.{{card}}::text = latest.card), false)
"""

# Within a chunk the last account and the last status of a card win separately. Where all rows have
# both, these are those of its last row, which is found in a third of the time.
LATEST_CARDS = """
    , lacking as materialized (
        select exists (select from good where account is null or status is null) as is_one
    ), latest as materialized (
        (select distinct on (card collate "C") card, account, status
           from good where not (select is_one from lacking)
          order by card collate "C", number desc, "row" desc)
        union all
        select card collate "C" collate "default",
               (pg_catalog.array_agg(account order by number desc, "row" desc)
                    filter (where account is not null))[1],
               (pg_catalog.array_agg(status order by number desc, "row" desc)
                    filter (where status is not null))[1]
          from good where (select is_one from lacking) group by card collate "C"
    )
"""

# What is left as it is stays that of the newest version of the row. Where somebody else has deleted
# the card since it was found known, a status alone is not inserted.
QUICK_CARDS = f"""
    {LATEST_CARDS}, different as materialized (
        select latest.card, latest.account, latest.status, place
          from latest left join lateral (
               select held.ctid as place, {IS_SAME_CARD} as is_same
                 from {{table}} as held where held.{{card}}::text = latest.card
                limit 1) as found on true
         where is_same is not true
    ), inserted as (
        insert into {{table}} ({{card}}, {{account}}, {{status}}{{more}})
        select card, account, coalesce(status, {{default_status}}){{more_values}} from different
         where place is null and account is not null
        returning 1
    ), updated as (
        update {{table}} as held
           set {{account}} = coalesce(different.account, held.{{account}}),
               {{status}} = coalesce(different.status, held.{{status}}){{stamped}}
          from different
         where held.ctid = different.place and (held.{{card}}::text = different.card) is true
        returning 1
    )
    {LANDED}
"""
UPSERT_CARDS = f"""
    {LATEST_CARDS}, different as materialized (
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
    means=gettext_noop(
        "The card is linked to the account, or its status changes, or both. A status alone needs a "
        "card that the bonus server knows."
    ),
    by_hand=gettext_noop("Change the card"),
    shop_all=TableMapping("changeCardAccountTemp"),
    bonus_server=TableMapping("cardAccounting"),
    columns=(text("card"), text("account"), plain("status", "integer", "smallint")),
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
                                   partition by card order by number, "row"
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
    quick=(QUICK_CARDS,),
    apply=(UPSERT_CARDS,),
    unique=("card",),
)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {kind.name: kind for kind in (PINCODES, BALANCES, CARDS)}
)
"""The transfers with their standard tables. `mapping_file` reads those of an installation."""
