"""What an administrator does to positions and staged rows, in a situation that calls for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.chaos.installation import SERVER, Installation
from tests.chaos.instance import Instance
from tests.chaos.warm import Outcome, Warm
from tests.databases import query, stage
from tests.waiting import wait_until

TABLE = '"changeAccountBalanceTemp"'
KIND = "balances"

ACCOUNTED = """
    select account from asset union all
    select payload->>'account' from datatransfer.reject where kind = 'balances'
"""

CONNECTED = "select true from pg_stat_activity where application_name like 'dtadmin%'"


class Situation:
    """Rows 1 to 4 are moved in two batches, row 5 waits; row 2 is a reject."""

    def __init__(self, instance: Instance, installation: Installation, product: Warm) -> None:
        self.instance = instance
        self.own, self.shop_all, self.bonus = (
            installation.own,
            installation.shop_all,
            installation.bonus,
        )
        self.product = product
        stage(self.shop_all, "pincodes", [("1", "1")])
        product.do("run", kind="pincodes", chunk_rows=9)
        for rows in ([("1", 1), ("2", 0)], [("3", 1), ("4", 1)]):
            stage(self.shop_all, KIND, rows)
            product.do("run", kind=KIND, chunk_rows=9)
        stage(self.shop_all, KIND, [("5", 1)])
        self.due = ["1", "2", "3", "4", "5"]

    def keep(self) -> None:
        """What is now can be come back to, as it was written."""
        for name in ("own", "shop_all", "bonus"):
            self._copy(name, f"kept_{name}")

    def come_back(self) -> None:
        for name in ("own", "shop_all", "bonus"):
            self._copy(f"kept_{name}", name)

    def _copy(self, name: str, copy: str) -> None:
        """Block by block, so that every row keeps the transaction that wrote it."""
        query(self.instance.dsn(), f"drop database if exists {copy} with (force)")
        query(self.instance.dsn(), f"create database {copy} template {name} strategy file_copy")

    def wait_for_the_dead(self) -> None:
        """Until PostgreSQL has noticed that they are gone."""
        wait_until(lambda: not query(self.instance.dsn(), CONNECTED))


def nothing(situation: Situation) -> None:
    """The situation is as it should be."""


def position_lost(situation: Situation) -> None:
    """The vendor has restored his tables, which go up to the first batch; our schema is gone.

    Its reject comes back from our own database.
    """
    query(situation.bonus, "delete from asset where account in ('3', '4')")
    query(situation.bonus, "drop schema datatransfer cascade")


def copy_restored(situation: Situation) -> None:
    """Shop All is a copy from before the second batch, and its numbers have caught up."""
    query(situation.shop_all, f"delete from {TABLE} where account >= '3'")
    query(
        situation.shop_all,
        "delete from datatransfer.batch where number = 2 and kind = 'balances'",
    )
    situation.due.remove("5")


def position_lost_and_copy_restored(situation: Situation) -> None:
    """The vendor's tables, without our schema, go up to the batch that shop All has forgotten."""
    copy_restored(situation)
    query(situation.bonus, "drop schema datatransfer cascade")


def dump_restored(situation: Situation) -> None:
    """Every row of shop All was written by a restore."""
    for table in (TABLE, '"accountpincodeTemp"', "datatransfer.batch", "datatransfer.origin"):
        query(situation.shop_all, f"update {table} set xid = xid")


@dataclass(frozen=True)
class Command:
    name: str
    happened: Callable[[Situation], None]
    arguments: tuple[str, ...]
    refusals: tuple[str, ...]  # what a transfer may say until it is done
    afterwards: tuple[str, ...] = ()  # the command that it leads to


COMMANDS = [
    Command("purge", nothing, ("purge",), ()),
    Command(
        "set_position",
        position_lost,
        ("set_position", SERVER, KIND, "--batch", "1"),
        ("position_lost",),
    ),
    Command(
        "rebase_shop_all of files",
        copy_restored,
        ("rebase_shop_all", "--no-writes-since-restore"),
        ("history_changed",),
    ),
    Command(
        "rebase_shop_all of a dump",
        dump_restored,
        ("rebase_shop_all",),
        ("restored_from_dump",),
    ),
    Command(
        "set_position at a batch that our history alone knows",
        position_lost_and_copy_restored,
        ("set_position", SERVER, KIND, "--batch", "2"),
        ("position_lost", "history_changed"),
        ("rebase_shop_all", "--no-writes-since-restore", "--no-prepared-transactions"),
    ),
]


def do(command: Command, product: Warm, fault: Any = None) -> Outcome:
    if command.name == "purge":
        return product.do("purge", fault)
    return product.do("command", fault, arguments=list(command.arguments))


def wrong(command: Command, situation: Situation) -> list[str]:
    """The faults of the next steps: a transfer that is exact, or refuses until it is done."""
    transfer = situation.product.do("run", kind=KIND, chunk_rows=2).result
    if transfer["error"]:
        if transfer["error"] not in command.refusals:
            return [f"the transfer says {transfer}"]
        again = do(command, situation.product)
        if again.code or again.result["code"]:
            return [f"done again it says {again.result}"]
        if command.afterwards:
            situation.product.do("command", arguments=list(command.afterwards))
        transfer = situation.product.do("run", kind=KIND, chunk_rows=2).result
        if transfer["error"]:
            return [f"after it was done again the transfer says {transfer}"]
    found = []
    stage(situation.shop_all, KIND, [("6", 1), ("7", 0)])
    situation.product.do("purge")
    transfer = situation.product.do("run_and_reconcile", kind=KIND, chunk_rows=2).result
    if transfer["error"] or transfer["holds"] is not True:
        found.append(f"afterwards the transfer says {transfer}")
    accounted = sorted(row[0] for row in query(situation.bonus, ACCOUNTED))
    if accounted != (due := sorted([*situation.due, "6", "7"])):
        found.append(f"arrived or rejected {accounted}, not {due}")
    noted, purged = query(
        situation.shop_all,
        "select (select sum(rows) from datatransfer.purge_note where kind = 'balances'),"
        " (select rows from datatransfer.purged where kind = 'balances')",
    )[0]
    if noted != purged:
        found.append(f"{noted} purged rows are noted, of {purged}")
    return found
