"""The three transfers as data: tables, columns, checks and the SQL that applies good rows.

No Django, no connections: the engine runs what stands here. A chunk arrives in the temporary
table `incoming` (see `Kind.incoming`), whose generated column `fault` holds the code of the first
check that a row fails, or null; `refuse` sets `late_fault` where a check needs the target's rows.
`refuse` and `apply` see the others as `good`. They look rows of the target up one by one, by
index, and join nothing: what the planner believes of the tables never makes a chunk slow. Every
SQL text here is a constant; values never enter it.
"""

from dataclasses import dataclass
from typing import NamedTuple

from transfer.errors import gettext_noop

MASK = "••••"


@dataclass(frozen=True)
class Column:
    """A data column of a staging table, and what it becomes in the bonus server's table."""

    name: str
    created_as: str  # the type that init_shop_all gives it
    types: frozenset[str]  # the types, without length, that binary COPY may read it from
    carried_as: str  # the type in `incoming`; the same bytes on the wire
    secret: bool = False


@dataclass(frozen=True)
class Check:
    """A reason to reject a row. `fails` is SQL over the columns of the staging table.

    Of a late check it only says which rows can fail it: the target decides.
    """

    code: str
    fails: str
    sentence: str
    hint: str


@dataclass(frozen=True)
class Kind:
    name: str
    title: str
    staging: str
    target: str
    columns: tuple[Column, ...]
    checks: tuple[Check, ...]
    needed: tuple[tuple[str, ...], ...]  # of each group of columns a row has at least one
    apply: tuple[str, ...]  # statements that count, or select, how many rows they changed
    late_checks: tuple[Check, ...] = ()  # those that need the target's rows: `refuse` makes them
    refuse: tuple[str, ...] = ()  # statements that set `late_fault` in incoming, and select 0
    amount: str = "null::numeric"  # SQL over a row: what the totals add up
    appends: bool = False  # each good row becomes a row of the target, and none may go missing
    unique: tuple[str, ...] = ()  # columns of the target that an upsert holds on to
    rights: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE")  # on the target's table
    stamps: str = "changed_at"  # the column of the target that tells when

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

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
    def incoming(self) -> str:
        """The temporary table that a chunk arrives in; the checks run once, while it arrives."""
        columns = ", ".join(f"{column.name} {column.carried_as}" for column in self.columns)
        return (
            f"create temporary table incoming (xid xid8, id bigint, {columns}, "
            f"late_fault text, sqlstate text, constraint_name text, as_json json, "
            f"fault text generated always as ({self.fault}) stored) on commit drop"
        )

    @property
    def payload(self) -> str:
        """SQL: the row as it came, as JSON for a reject, secrets masked."""
        pairs = ", ".join(
            f"'{column.name}', "
            + (
                f"case when {column.name} is not null then '{MASK}' end"
                if column.secret
                else f"{column.name}::text"
            )
            for column in self.columns
        )
        return f"json_build_object({pairs})"


class CardStatus(NamedTuple):
    name: str
    words: str


CARD_STATUSES = {
    0: CardStatus("EARN_ONLY", gettext_noop("0 – earn only")),
    1: CardStatus("EARN_PAY", gettext_noop("1 – earn and pay")),
    2: CardStatus("NO_OPERATION", gettext_noop("2 – no operations (blocked)")),
    3: CardStatus("PAY_ONLY", gettext_noop("3 – pay only")),
}

TEXT = frozenset({"text", "character varying"})


def text(name: str, secret: bool = False) -> Column:
    return Column(name, "varchar(100)", TEXT, "text", secret)


def plain(name: str, type_: str) -> Column:
    return Column(name, type_, frozenset({type_}), type_)


TIMESTAMP = "timestamp with time zone"

# Spaces of Unicode too: a no-break space from a spreadsheet looks like nothing at all.
UNPRINTABLE = r"[[:space:][:cntrl:]\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2060\u3000\ufeff]"

ACCOUNT_FORM = (
    Check(
        "account_too_long",
        "length(account) > 100",
        gettext_noop("The account is longer than 100 characters."),
        gettext_noop("Correct the account number and send the row again."),
    ),
    Check(
        "account_has_spaces",
        f"account ~ '{UNPRINTABLE}'",
        gettext_noop("The account contains a space or a control character."),
        gettext_noop("Remove it: often it came along when the number was copied."),
    ),
)
ACCOUNT_MISSING = Check(
    "account_missing",
    "coalesce(account, '') = ''",
    gettext_noop("The account is missing."),
    gettext_noop("Enter the account."),
)

# What a moved row fails, too, once its PIN code has been blanked: see `Staging.blank`.
BLANKED = "pin_missing"

PINCODES = Kind(
    name="pincodes",
    title=gettext_noop("PIN codes"),
    staging="accountpincodeTemp",
    target="pincode",
    columns=(text("account"), text("pincode", secret=True)),
    needed=(("account",), ("pincode",)),
    checks=(
        ACCOUNT_MISSING,
        *ACCOUNT_FORM,
        Check(
            BLANKED,
            "coalesce(pincode, '') = ''",
            gettext_noop("The PIN code is missing."),
            gettext_noop(
                "Enter the PIN code; a transfer can't remove one. Where moved PIN codes are "
                "blanked, a server that was docked later lacks them: have them set again."
            ),
        ),
        Check(
            "pin_too_long",
            "length(pincode) > 100",
            gettext_noop("The PIN code is longer than 100 characters."),
            gettext_noop("Set a shorter PIN code."),
        ),
    ),
    apply=(
        """
        insert into pincode as held (account, pincode, changed_at)
        select distinct on (account) account, pincode, now()
          from good
         order by account, xid desc, id desc
            on conflict (account) do update
           set pincode = excluded.pincode, changed_at = excluded.changed_at
         where held.pincode is distinct from excluded.pincode
        """,
    ),
    unique=("account",),
)

FINITE = "amount not in ('NaN', 'Infinity', '-Infinity')"

BALANCES = Kind(
    name="balances",
    title=gettext_noop("Balance changes"),
    staging="changeAccountBalanceTemp",
    target="asset",
    columns=(
        text("account"),
        plain("amount", "numeric"),
        plain("validfrom", TIMESTAMP),
        plain("validto", TIMESTAMP),
        plain("comment", "text"),
    ),
    needed=(("account",), ("amount",)),
    checks=(
        ACCOUNT_MISSING,
        *ACCOUNT_FORM,
        Check(
            "amount_missing",
            "amount is null",
            gettext_noop("The amount is missing."),
            gettext_noop("Enter by how much the balance changes."),
        ),
        Check(
            "amount_not_finite",
            f"not ({FINITE})",
            gettext_noop("The amount is not a number or is infinite."),
            gettext_noop("Enter the amount as a number, such as 100.00 or -25.50."),
        ),
        Check(
            "amount_zero",
            "amount = 0",
            gettext_noop("The amount is zero."),
            gettext_noop("A change by zero changes nothing: correct it or discard the row."),
        ),
        Check(
            "amount_decimals",
            "amount <> trunc(amount, 2)",
            gettext_noop("The amount has more than two decimals."),
            gettext_noop("Round it to kopecks: Data Transfer itself does not round amounts."),
        ),
        Check(
            "amount_out_of_range",
            "abs(amount) >= 10000000000000",
            gettext_noop("The amount is out of range: at most 13 digits before the point."),
            gettext_noop("Correct the amount."),
        ),
        Check(
            "validity_reversed",
            "validto < validfrom",
            gettext_noop("The validity ends before it begins."),
            gettext_noop("Correct the beginning or the end of the validity."),
        ),
    ),
    apply=(
        """
        insert into asset (account, amount, validfrom, validto, comment, created_at)
        select account, amount, validfrom, validto, comment, now() from good order by xid, id
        """,
    ),
    amount=f"case when {FINITE} then amount end",
    appends=True,
    rights=("INSERT",),
    stamps="created_at",
)

# A card linked without a status may only earn until somebody says more: the one default that lets
# no money out.
DEFAULT_STATUS = 0

# Within a chunk the last account and the last status of a card win separately. What is left as it
# is stays that of the newest version of the row.
UPSERT_CARDS = f"""
    , said as materialized (
        select card,
               (array_agg(account order by xid desc, id desc)
                    filter (where account is not null))[1] as account,
               (array_agg(status order by xid desc, id desc)
                    filter (where status is not null))[1] as status
          from good group by card
    ), of_both as (
        insert into "cardAccounting" as held (card, account, status, changed_at)
        select card, account, status, now() from said
         where account is not null and status is not null
            on conflict (card) do update
           set account = excluded.account, status = excluded.status,
               changed_at = excluded.changed_at
         where (held.account, held.status) is distinct from (excluded.account, excluded.status)
        returning 1
    ), of_account as (
        insert into "cardAccounting" as held (card, account, status, changed_at)
        select card, account, {DEFAULT_STATUS}, now() from said where status is null
            on conflict (card) do update
           set account = excluded.account, changed_at = excluded.changed_at
         where held.account is distinct from excluded.account
        returning 1
    ), of_status as (
        insert into "cardAccounting" as held (card, account, status, changed_at)
        select card, (select known.account from "cardAccounting" as known
                       where known.card = said.card), status, now()
          from said where account is null
            on conflict (card) do update
           set status = excluded.status, changed_at = excluded.changed_at
         where held.status is distinct from excluded.status
        returning 1
    )
    select (select count(*) from of_both) + (select count(*) from of_account)
         + (select count(*) from of_status)
"""

CARDS = Kind(
    name="cards",
    title=gettext_noop("Card links and statuses"),
    staging="changeCardAccountTemp",
    target="cardAccounting",
    columns=(text("card"), text("account"), plain("status", "integer")),
    needed=(("card",), ("account", "status")),
    checks=(
        Check(
            "card_missing",
            "coalesce(card, '') = ''",
            gettext_noop("The card is missing."),
            gettext_noop("Enter the card."),
        ),
        Check(
            "card_malformed",
            f"length(card) > 100 or card ~ '{UNPRINTABLE}'",
            gettext_noop(
                "The card number is longer than 100 characters or contains a space or a control "
                "character."
            ),
            gettext_noop("Correct the card number and send the row again."),
        ),
        Check(
            "account_empty",
            "account = ''",
            gettext_noop("The account is empty text."),
            gettext_noop("Leave it out (null) to keep the link, or enter the account."),
        ),
        *ACCOUNT_FORM,
        Check(
            "status_unknown",
            f"status not between {min(CARD_STATUSES)} and {max(CARD_STATUSES)}",
            gettext_noop("The status is not one of 0, 1, 2, 3."),
            gettext_noop("0 earn only, 1 earn and pay, 2 no operations, 3 pay only."),
        ),
        Check(
            "nothing_to_change",
            "account is null and status is null",
            gettext_noop("Neither an account nor a status is given: nothing to change."),
            gettext_noop("Enter the account, the status or both, or discard the row."),
        ),
    ),
    late_checks=(
        Check(
            "card_unknown",
            "account is null",
            gettext_noop("The bonus server does not know this card, and the row links no account."),
            gettext_noop("Link the card to an account first, then send the status again."),
        ),
    ),
    # A status without an account needs a card that the server knew before, or that an earlier row
    # of the chunk links: the same answer that row by row would give.
    refuse=(
        """
        , refused as (
            update incoming set late_fault = 'card_unknown'
             where ctid = any (array(
                select line
                  from (select line, card, account, bool_or(account is not null) over (
                                   partition by card order by xid, id
                                   rows between unbounded preceding and 1 preceding) as is_linked
                          from good) as judged
                 where account is null and is_linked is not true
                   and (select true from "cardAccounting" as known
                         where known.card = judged.card) is null))
        )
        select 0
        """,
    ),
    apply=(UPSERT_CARDS,),
    unique=("card",),
)

# Of any kind: what the bonus server itself had against a row.
BY_SERVER = (
    Check(
        "refused_by_server",
        "",
        gettext_noop("The bonus server's own table refuses the row."),
        gettext_noop(
            "A constraint, a trigger or the encoding of that server is against it: look at the "
            "name beside it, correct the row or have the server changed, and send it again."
        ),
    ),
    Check(
        "accepted_before",
        "",
        gettext_noop(
            "The row was sent in place of one that this bonus server has accepted: twice would be "
            "once too often."
        ),
        gettext_noop("Nothing has to be done here: discard it. The other servers got it."),
    ),
)

KINDS = {kind.name: kind for kind in (PINCODES, BALANCES, CARDS)}
