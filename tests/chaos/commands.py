"""What people and programs do beside transfers, each in a situation that calls for it."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.chaos.installation import SERVER, Installation
from tests.chaos.instance import Instance
from tests.chaos.warm import Outcome, Warm
from tests.databases import query, stage
from tests.waiting import wait_until

TABLE = '"changeAccountBalanceTemp"'
KIND = "balances"
CONNECTED = "select true from pg_stat_activity where application_name like 'dtadmin%'"
SUMS = "select account, sum(amount) from asset group by account having sum(amount) <> 0"
OPEN = "select count(*) from datatransfer.reject where resolved_by is null"


class Situation:
    """A load of rows 1 to 4 is moved, in which the vendor refuses the last one; row 5 waits.

    `due`: what each account has to have in the end; `open`: how many rejects are open then.
    """

    def __init__(self, instance: Instance, installation: Installation, product: Warm) -> None:
        self.instance = instance
        self.own, self.shop_all, self.bonus = (
            installation.own,
            installation.shop_all,
            installation.bonus,
        )
        self.product = product
        query(self.bonus, "alter table asset add constraint vendor check (account <> 'no')")
        rows = [("a", 1), ("b", 2), ("c", 4), ("no", 8)]
        self.load = self.do("load", kind=KIND, text=as_csv(rows))
        self.do("run", kind=KIND, chunk_rows=2)
        stage(self.shop_all, KIND, [("e", 16)])
        self.due = {name: Decimal(amount) for name, amount in [*rows[:3], ("e", 16)]}
        self.open = 1

    def do(self, act: str, **arguments: Any) -> Any:
        done = self.product.do(act, **arguments)
        assert done.code == 0, done.stderr
        return done.result

    def keep(self) -> None:
        """What is now can be come back to."""
        for name in ("own", "shop_all", "bonus"):
            self.copy(name, f"kept_{name}")

    def come_back(self) -> None:
        for name in ("own", "shop_all", "bonus"):
            self.copy(f"kept_{name}", name)

    def copy(self, name: str, copy: str) -> None:
        query(self.instance.dsn(), f"drop database if exists {copy} with (force)")
        query(self.instance.dsn(), f"create database {copy} template {name} strategy file_copy")

    def wait_for_the_dead(self) -> None:
        """Until PostgreSQL has noticed that they are gone."""
        wait_until(lambda: not query(self.instance.dsn(), CONNECTED))


def as_csv(rows: list[tuple[str, int]]) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=";").writerows([("account", "amount"), *rows])
    return file.getvalue()


def nothing(situation: Situation) -> None:
    """The situation is as it should be."""


def taken_back(situation: Situation) -> None:
    situation.due, situation.open = {"e": Decimal(16)}, 0


def corrected(situation: Situation) -> None:
    situation.due["d"] = Decimal(8)
    situation.open = 0


def restored(situation: Situation) -> None:
    """Shop All is a copy from before row 6, which the server has."""
    situation.copy("shop_all", "copy")
    stage(situation.shop_all, KIND, [("f", 32)])
    situation.do("run", kind=KIND, chunk_rows=9)
    situation.copy("copy", "shop_all")
    situation.due["f"] = Decimal(32)


def purged(situation: Situation) -> None:
    """Rows were purged, and the server has gone back to before the last of them."""
    situation.copy("bonus", "copy")
    situation.do("run", kind=KIND, chunk_rows=9)
    assert situation.do("purge") == 5
    situation.copy("copy", "bonus")
    del situation.due["e"]


def deleted(situation: Situation) -> None:
    """Row 5, which the server needs, is deleted by hand."""
    situation.do("command", arguments=["transfer", KIND, "--dry-run"])
    stage(situation.shop_all, KIND, [("f", 32)])
    situation.do("append", kind=KIND)
    query(situation.shop_all, f"delete from {TABLE} where account = 'e'")
    situation.due = {**situation.due, "f": Decimal(32)}
    del situation.due["e"]


def without_position(situation: Situation) -> None:
    """Our schema is gone from the server, and so are the vendor's rows."""
    query(situation.bonus, "truncate asset; drop schema datatransfer cascade")


def changed(situation: Situation) -> None:
    """Row 1 was changed from 1 to 3 after it had arrived."""
    query(situation.shop_all, f"update {TABLE} set amount = 3 where account = 'a'")
    situation.due["a"] = Decimal(3)


@dataclass(frozen=True)
class Command:
    """`act` and its arguments. `refusal`: what a transfer says until it is done; empty where a
    command that was cut short may have done nothing at all, and is done again.
    """

    name: str
    happened: Callable[[Situation], None]
    act: str
    arguments: dict[str, Any]
    refusal: str = ""


def typed(*arguments: str) -> dict[str, Any]:
    return {"arguments": [*arguments]}


COMMANDS = [
    Command("a purge", nothing, "purge", {}),
    Command("an undo", taken_back, "command", typed("load", "undo", "1")),
    Command(
        "a correction",
        corrected,
        "send_one_again",
        {"kind": KIND, "number": "account", "values": {"account": "d"}},
    ),
    Command("changed rows", changed, "send_changes", {"kind": KIND}),
    Command(
        "the answer about a restored shop All",
        restored,
        "command",
        typed("confirm_shop_all", "--yes"),
        "shop_all_went_back",
    ),
    Command(
        "the answer about a server without a position",
        without_position,
        "command",
        typed("begin", SERVER, KIND, "--nothing"),
        "beginning_undecided",
    ),
    Command(
        "rows that a server does without",
        purged,
        "command",
        typed("skip_rows", SERVER, KIND, "--yes"),
        "rows_purged",
    ),
    Command(
        "rows that were deleted by hand",
        deleted,
        "command",
        typed("forget_rows", KIND, "--yes"),
        "rows_differ",
    ),
    Command("an append", nothing, "append", {"kind": KIND}),
]


def do(command: Command, product: Warm, fault: Any = None) -> Outcome:
    return product.do(command.act, fault, **command.arguments)


def wrong(command: Command, situation: Situation) -> list[str]:
    """The faults of the next steps: the command once more, and then a transfer that is exact."""
    transfer = situation.product.do("run", kind=KIND, chunk_rows=2).result
    if transfer["error"] not in ("", command.refusal):
        return [f"the transfer says {transfer}"]
    if transfer["error"] or not command.refusal:
        again = do(command, situation.product)
        if again.code or (command.refusal and again.result["code"]):
            return [f"done again it says {again}"]
    stage(situation.shop_all, KIND, [("g", 64)])
    transfer = situation.product.do("run_and_reconcile", kind=KIND, chunk_rows=2).result
    found = []
    if transfer["error"] or transfer["holds"] is not True:
        found.append(f"afterwards the transfer says {transfer}")
    due = situation.due | {"g": Decimal(64)}
    if (sums := dict(query(situation.bonus, SUMS))) != due:
        found.append(f"the sums are {sums}, not {due}")
    if (left := query(situation.bonus, OPEN)) != [(situation.open,)]:
        found.append(f"{left} rejects are open")
    return found
