"""Rows of each kind for a world that goes through time: each carries a number that is used once.

Of balance changes the account carries it, too: "a-17". So the row that takes back row 17 is known,
whose comment says what the undo is. A trigger gives that comment the number: "undo-17".
"""

from dataclasses import dataclass
from typing import Any

from transfer.engine.kinds import KINDS

REFUSED = ("no", "odd", "here")  # judgements of rows that a vendor's table may refuse
UNDO = "undo-"  # what the number of a row begins with that takes back another

# Gives a row that takes back another its number.
NUMBER_OPPOSITES = """
            create function number_opposite() returns trigger language plpgsql as $$ begin
                if new.comment like 'Undo of %' then
                    new.comment := 'undo-' || split_part(new.account, '-', 2);
                end if;
                return new;
            end $$;
            create trigger number_opposite before insert on {}
                for each row execute function number_opposite();
"""


def of_original(number: str) -> str:
    """The number of the row that a row takes back; or its own."""
    return number.removeprefix(UNDO)


@dataclass(frozen=True)
class Rows:
    kind: str
    number: str  # the column that carries the number
    made: dict[str, dict[str, Any]]  # a row that is good, one that a check rejects ("bad"), and
    # one that the vendor's table refuses ("no")
    corrected: dict[str, str]  # what a rejected row is corrected to
    judged: str  # the column by which the vendor's table refuses rows
    value: str  # the column that head office changes in staged rows
    values: tuple[str, ...]  # to what

    def values_of(self, made: str, number: str) -> dict[str, Any]:
        """The values of a row that is made in one of the ways."""
        return self.numbered(self.made[made], number)

    def numbered(self, values: dict[str, Any], number: str) -> dict[str, Any]:
        """The values of a row, with its number."""
        numbered = values | {self.number: number}
        if self.kind == "balances":
            numbered["account"] = f"{values['account']}-{of_original(number)}"
        return numbered

    @property
    def judgement(self) -> str:
        """SQL over a row: what the vendor's table judges it by."""
        return f"split_part({self.judged}, '-', 1)"

    @property
    def staging(self) -> str:
        return f'"{KINDS[self.kind].staging}"'

    @property
    def target(self) -> str:
        return f'"{KINDS[self.kind].target}"'

    @property
    def in_shop_all(self) -> str:
        """Rows that a purge removed go on being history: kept beside, they go through time too. So
        does what is decided of rows that were changed, and which rows an undo has withdrawn.
        """
        return f"""
            create table if not exists purged_for_the_test (kind text, number text);
            create table if not exists withdrawn_for_the_test (kind text, number text);
            create table if not exists changed_for_the_test (
                kind text, number text, id bigint, decision text, primary key (kind, number));
            create function remember_{self.kind}() returns trigger language plpgsql as $$ begin
                if current_setting('application_name') = 'dtadmin undo' then
                    insert into withdrawn_for_the_test values ('{self.kind}', old.{self.number});
                else
                    insert into purged_for_the_test values ('{self.kind}', old.{self.number});
                end if;
                return null;
            end $$;
            create trigger remember after delete on {self.staging}
                for each row execute function remember_{self.kind}();
            {NUMBER_OPPOSITES.format(self.staging) if self.kind == "balances" else ""}
        """

    @property
    def reached_within_the_restore(self) -> str:
        """Whether a row carries a number between that of the first table's restore and its own:
        what is not covered (see docs/EXACTLY-ONCE.md).
        """
        return f"""
            select true from {self.staging} as row, datatransfer.origin as first
             where row.xid::text::bigint
                   between first.xmin::text::bigint and row.xmin::text::bigint limit 1
        """

    @property
    def in_bonus(self) -> str:
        """What arrives is noted, so that a row which sets again what it had set shows, too.

        The vendor's table refuses "no" by a constraint, and "odd" by a trigger of his with one of
        several SQLSTATEs; "here", only where the table `refuses_here` is.
        """
        codes = "array['P0002', '54000', '42501', '21000', '44000', 'DT001']"
        judged = f"split_part(new.{self.judged}, '-', 1)"
        # The vendor takes the opposite of a balance change that he refuses: it must not come.
        is_balances = self.kind == "balances"
        taken, added = (" or amount < 0", "new.amount > 0 and") if is_balances else ("", "")
        number = f"substring(new.{self.number} from '[0-9]+$')"
        return f"""
            alter table {self.target} add constraint vendor check ({self.judgement} <> 'no'{taken});
            create function refuse_{self.kind}() returns trigger language plpgsql as $$ begin
                if {added} ({judged} = 'odd'
                    or {judged} = 'here' and to_regclass('public.refuses_here') is not null)
                then
                    raise exception 'the vendor refuses it'
                        using errcode = ({codes})[1 + {number}::int % 6];
                end if;
                return new;
            end $$;
            create trigger refuse before insert or update on {self.target}
                for each row execute function refuse_{self.kind}();
            create table if not exists arrived (number text);
            create function arrive_{self.kind}() returns trigger language plpgsql as $$ begin
                insert into arrived values (new.{self.number}); return new;
            end $$;
            create trigger arrive before insert on {self.target}
                for each row execute function arrive_{self.kind}();
        """


BALANCES = Rows(
    "balances",
    "comment",
    {
        "good": {"account": "a", "amount": 1},
        "bad": {"account": "a", "amount": 0},
        "no": {"account": "no", "amount": 1},
        "odd": {"account": "odd", "amount": 1},
        "here": {"account": "here", "amount": 1},
    },
    {"amount": "5", "account": "corrected"},
    "account",
    "amount",
    ("2", "3", "4"),
)
PINCODES = Rows(
    "pincodes",
    "account",
    {
        "good": {"pincode": "1"},
        "bad": {"pincode": ""},
        "no": {"pincode": "no"},
        "odd": {"pincode": "odd"},
        "here": {"pincode": "here"},
    },
    {"pincode": "5"},
    "pincode",
    "pincode",
    ("2", "3", "4"),
)
CARDS = Rows(
    "cards",
    "card",
    {
        "good": {"account": "a", "status": 1},
        "bad": {"account": "a", "status": 7},
        "no": {"account": "no", "status": 1},
        "odd": {"account": "odd", "status": 1},
        "here": {"account": "here", "status": 1},
    },
    {"account": "corrected", "status": "1"},
    "account",
    "status",
    ("0", "2"),
)
ROWS = {rows.kind: rows for rows in (BALANCES, PINCODES, CARDS)}
