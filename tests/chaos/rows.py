"""Rows of each kind for a world that goes through time: each carries a number that is used once."""

from dataclasses import dataclass
from typing import Any

from transfer.engine.kinds import KINDS


@dataclass(frozen=True)
class Rows:
    kind: str
    number: str  # the column that carries the number
    made: dict[str, dict[str, Any]]  # a row that is good, one that a check rejects ("bad"), and
    # one that the vendor's table refuses ("no")
    mended: dict[str, str]  # what a rejected row is corrected to
    refuses: str  # the vendor's constraint

    @property
    def staging(self) -> str:
        return f'"{KINDS[self.kind].staging}"'

    @property
    def target(self) -> str:
        return f'"{KINDS[self.kind].target}"'

    @property
    def in_shop_all(self) -> str:
        """Rows that a purge removed go on being history: kept beside, they go through time too."""
        return f"""
            create table if not exists purged_for_the_test (number text);
            create function remember_{self.kind}() returns trigger language plpgsql as $$ begin
                insert into purged_for_the_test values (old.{self.number}); return null;
            end $$;
            create trigger remember after delete on {self.staging}
                for each row execute function remember_{self.kind}();
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
        """What arrives is noted, so that a row which sets again what it had set shows, too."""
        return f"""
            alter table {self.target} add constraint vendor check ({self.refuses});
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
    },
    {"amount": "5", "account": "mended"},
    "account <> 'no'",
)
PINCODES = Rows(
    "pincodes",
    "account",
    {"good": {"pincode": "1"}, "bad": {"pincode": ""}, "no": {"pincode": "no"}},
    {"pincode": "5"},
    "pincode <> 'no'",
)
CARDS = Rows(
    "cards",
    "card",
    {
        "good": {"account": "a", "status": 1},
        "bad": {"account": "a", "status": 7},
        "no": {"account": "no", "status": 1},
    },
    {"account": "mended", "status": "1"},
    "account <> 'no'",
)
ROWS = {rows.kind: rows for rows in (BALANCES, PINCODES, CARDS)}
