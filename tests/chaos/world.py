"""Shop All, a bonus server and our own database, each in a cluster of its own that goes through
time: steps to take, and what must be true after every one of them.

A row is known by a number that is used once (see rows.py). A history moves rows of one kind.
"""

import itertools
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import psycopg2

from tests.chaos.installation import DATABASES, SERVER, Installation
from tests.chaos.instance import Instance, as_postgres
from tests.chaos.rows import ROWS
from tests.chaos.statements import Fault
from tests.chaos.warm import Outcome, Warm
from tests.databases import ROOT, connected, query, run
from transfer.engine.batches import FIND

PATIENCE = 30

# What may be refused, each with what an administrator does about it.
WAYS_OUT = {
    "history_changed": "rebase",
    "restored_from_dump": "rebase",
    "position_overtaken": "rebase",
    "future_transactions": "rebase",
    "position_lost": "set_position",
    "rows_purged": "accept_purged",
    "batch_forgotten": "vouch",
}

# As the product tells an administrator.
PURGED = re.compile(r"up to ([0-9]+) rows")
DOUBTFUL = re.compile(r"([0-9]+) rows of the copy")

# A trigger that lets one row of the next chunk vanish.
SWALLOWING = """
    create function swallow() returns trigger language plpgsql as $$ begin
        return case when exists (select from asset) then new end;
    end $$;
    create trigger swallow before insert on asset for each row execute function swallow();
"""


# Runs that have moved something of a batch.
OF_BATCH = """
    select from transfer_transferrun
     where position_to->>'reader' = %s and position_to->'number' = to_jsonb(%s) and read > 0
"""


class Violated(AssertionError):
    """The promise is broken."""


@dataclass
class Copy:
    """A moment that a database can be put back to."""

    place: Path
    moment: int  # which of the moments of its database it is
    branch: int  # of shop All's histories, the one that the bonus server's position is of
    truth: tuple[str, int] | None = None  # as Happened has it


@dataclass
class Backup:
    """The vendor's own copy of his tables: what was in them, and how far that goes."""

    rows: list[tuple[Any, ...]]
    batch: tuple[str, int] | None  # reader and number of the last in it; None: nothing has arrived
    branch: int  # as a copy has it


@dataclass
class Happened:
    """What the tests know of the history, beside what the databases say."""

    steps: list[str] = field(default_factory=list)
    ever: set[str] = field(default_factory=set)  # rows that were ever committed
    copies: dict[str, list[Copy]] = field(default_factory=dict)
    dumps: list[Copy] = field(default_factory=list)
    backup: Backup | None = None
    branches: list[str] = field(default_factory=list)  # when each history of shop All began
    position_branch: int = 0
    standby: str | None = None  # the database that a replica stands in for
    refused: str = ""  # the code of a refusal that nobody has settled yet
    refusals: Counter[str] = field(default_factory=Counter)
    mirrored: set[str] = field(default_factory=set)  # rejects that only our own database has
    prepared: set[str] = field(default_factory=set)  # rows whose transaction was prepared
    forgone: int = 0  # rows at most that an administrator has said may be missing
    # Up to which batch the data of a bonus server go that has no position.
    truth: tuple[str, int] | None = None
    went_back: bool = False  # whether anything but a crash has happened to shop All or the server
    violated: bool = False

    def counts(self) -> Counter[str]:
        """How often what was done, and what was refused."""
        acts = Counter(each.split("(")[0] for each in self.steps if not each.startswith(" "))
        return acts + self.refusals


def step(act: Callable[..., Any]) -> Callable[..., Any]:
    """A step of the history, after which the promise is checked."""

    @wraps(act)
    def taken(self: "World", *arguments: Any, **options: Any) -> Any:
        told = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())]
        self.now.steps.append(f"{act.__name__}({', '.join(told)})")
        done = act(self, *arguments, **options)
        self.check()
        return done

    return taken


class World:
    def __init__(self, home: Path, tree: Path = ROOT) -> None:
        home.chmod(0o755)  # PostgreSQL does not run as root
        self.home = home
        self.instances = {name: Instance(home / name) for name in DATABASES}
        self.blank = home / "blank"
        self.numbers = itertools.count(1)
        self.late: list[tuple[Any, list[str]]] = []
        self.now = Happened()
        self.rows = ROWS["balances"]
        for name, instance in self.instances.items():
            instance.create(name)
        self.installation = Installation(
            *(self.instances[name].dsn(name) for name in DATABASES), tree=tree
        )
        self._set_up()
        self.product = Warm(self.installation.environment, tree)

    def _set_up(self) -> None:
        self.instances["shop_all"].copy_to(self.blank)
        self.installation.set_up()
        for rows in ROWS.values():
            query(self.shop_all, rows.in_shop_all)
            query(self.bonus, rows.in_bonus)
        for name, instance in self.instances.items():
            query(instance.dsn(), "checkpoint")
            instance.stop()
            instance.copy_to(self.home / f"{name}.begin")

    def change_product(self, tree: Path) -> None:
        """Goes on with the product whose source is there."""
        self.product.close()
        self.product = Warm(self.installation.environment, tree)

    @property
    def shop_all(self) -> str:
        return self.installation.shop_all

    @property
    def bonus(self) -> str:
        return self.installation.bonus

    def close(self) -> None:
        self._drop_writers()
        self.product.close()
        for instance in self.instances.values():
            instance.crash()

    @property
    def kind(self) -> str:
        return self.rows.kind

    def begin(self, kind: str = "balances") -> None:
        """A new history, from an installation in which nothing has happened."""
        self._drop_writers()
        self.rows = ROWS[kind]
        self.numbers = itertools.count(1)
        for name, instance in self.instances.items():
            instance.restore(self.home / f"{name}.begin")
            instance.start()
            shutil.rmtree(self.home / f"{name}.copies", ignore_errors=True)
            (self.home / f"{name}.copies").mkdir()
        self.now = Happened(copies={name: [] for name in DATABASES}, branches=[self._clock()])

    def _clock(self) -> str:
        return str(query(self.shop_all, "select clock_timestamp()::text")[0][0])

    # --- Head office --------------------------------------------------------------------------

    @step
    def stage(self, rows: list[str], how: str = "commit") -> None:
        """Writes rows, good, bad or "no", in one transaction, which ends in one of the ways:
        commit, roll back, forgettable (an asynchronous commit), partly (a savepoint is rolled
        back), late (it stays open), two-phase (it is prepared).
        """
        connection = psycopg2.connect(self.shop_all)
        numbers = [str(next(self.numbers)) for _ in rows]
        if how == "forgettable":
            run(connection, "set local synchronous_commit = off")
        if how == "partly":
            self._write(connection, ["good"], [str(next(self.numbers))], "savepoint part")
            run(connection, "rollback to part")
        self._write(connection, rows, numbers)
        if how == "late":
            self.late.append((connection, numbers))
            return
        if how == "two-phase":
            run(connection, f"prepare transaction 'rows {' '.join(numbers)}'")
        elif how == "roll back":
            connection.rollback()
        else:
            connection.commit()
            self.now.ever.update(numbers)
        connection.close()

    def _write(self, connection: Any, rows: list[str], numbers: list[str], first: str = "") -> None:
        if first:
            run(connection, first)
        for row, number in zip(rows, numbers, strict=True):
            values = self.rows.made[row] | {self.rows.number: number}
            marks = ", ".join(["%s"] * len(values))
            run(
                connection,
                f"insert into {self.rows.staging} ({', '.join(values)}) values ({marks})",
                [*values.values()],
            )

    @step
    def end_late(self, *, commit: bool) -> None:
        connection, numbers = self.late.pop(0)
        if commit:
            connection.commit()
            self.now.ever.update(numbers)
        connection.close()

    def prepared(self) -> list[str]:
        found = query(self.shop_all, "select gid from pg_prepared_xacts order by prepared, gid")
        return [gid for (gid,) in found]

    @step
    def end_prepared(self, *, commit: bool) -> None:
        gid = self.prepared()[0]
        query(self.shop_all, f"{'commit' if commit else 'rollback'} prepared %s", [gid])
        if commit:
            self.now.ever.update(gid.split()[1:])
            self.now.prepared.update(gid.split()[1:])

    @step
    def grow_careless(self) -> None:
        """Somebody sets for the whole database that commits need not be flushed."""
        query(self.shop_all, "alter database shop_all set synchronous_commit = off")

    @step
    def burn(self, transactions: int) -> None:
        """Other programs use up transactions."""
        self._burn(self.shop_all, transactions)

    def _burn(self, dsn: str, transactions: int) -> None:
        with connected(dsn) as connection:
            for _ in range(transactions):
                run(connection, "select pg_current_xact_id()")

    def _drop_writers(self) -> None:
        for connection, _ in self.late:
            with suppress(psycopg2.Error):
                connection.close()
        self.late.clear()

    # --- The product --------------------------------------------------------------------------

    @step
    def transfer(
        self, chunk_rows: int = 3, fault: Fault | None = None, *, one_chunk: bool = False
    ) -> str:
        """A run, or its first chunk; returns its state, or the code of its error."""
        due, before = self._history(), self._positions()
        how = {"kind": self.kind, "chunk_rows": chunk_rows, "one_chunk": one_chunk}
        outcome = self.product.do("run_and_reconcile", fault, **how)
        self._wait_for_the_dead()
        if outcome.result is None:
            self._expect(fault is not None, f"a run died: {outcome.stderr}")
            self._note_branch(before)
            return "died"
        error = outcome.result["error"]
        if error in WAYS_OUT:
            self._expect(self.now.went_back, f"refused ({error}), and nothing had gone back")
            self._expect(
                WAYS_OUT[error] != "rebase" or len(self.now.branches) > 1,
                f"refused ({error}), and shop All had not gone back",
            )
            self.now.refused = error
            self.now.refusals[error] += 1
            return str(error)
        self._note_branch(before if error else None)
        if error == "rows_swallowed":
            return str(error)
        if error:
            self._expect(fault is not None, f"a run failed: {outcome.result}")
            return str(error)
        self._expect(not self.now.refused, f"the refusal ({self.now.refused}) went away by itself")
        if outcome.result["state"] != "cancelled":
            self._expect_arrived(due)
        self._expect(
            outcome.result["holds"] is True or fault is not None,
            f"the sums differ: {outcome.result}",
        )
        return str(outcome.result["state"])

    def _note_branch(self, before: list[Any] | None) -> None:
        """The positions are of the present history: unless they still are those from before."""
        if before is None or self._positions() != before:
            self.now.position_branch = len(self.now.branches) - 1

    def _wait_for_the_dead(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for name, instance in self.instances.items():
            while query(
                instance.dsn(name),
                "select 1 from pg_stat_activity where application_name like 'dtadmin%'",
            ):
                assert time.monotonic() < deadline
                time.sleep(0.001)

    @step
    def purge(self) -> None:
        self._do("purge")

    @step
    def send_again(self) -> None:
        """Somebody corrects a rejected row."""
        values = self.rows.mended | {self.rows.number: str(next(self.numbers))}
        self._do("send_one_again", kind=self.kind, values=values)

    @step
    def discard(self) -> None:
        self._do("discard", kind=self.kind)

    def _do(self, act: str, **arguments: Any) -> Any:
        outcome: Outcome = self.product.do(act, **arguments)
        self._wait_for_the_dead()
        self._expect(outcome.code == 0, f"{act}: {outcome.stderr}")
        return outcome.result

    # --- The administrator --------------------------------------------------------------------

    @step
    def settle(self) -> None:
        """Takes the way out of the refusal that stands."""
        getattr(self, f"_{WAYS_OUT[self.now.refused]}")()
        self.now.refused = ""

    def _rebase(self) -> None:
        """He knows when the history ended that the bonus server has rows of."""
        self._drop_writers()
        branches = self.now.branches
        after = min(self.now.position_branch + 1, len(branches) - 1)
        new = ["--restored-at", branches[after]] if after else ["--no-writes-since-restore"]
        self._manage("rebase_shop_all", *new)
        self.now.position_branch = len(branches) - 1
        # Rows have new numbers now, and no batch from before tells them any more.
        self.now.backup = None
        self.now.copies["bonus"].clear()

    def expect_refused(self, error: str) -> None:
        told = self.transfer()
        self._expect(told == error, f"{told}, not {error}")

    def expect_done(self) -> None:
        told = self.transfer()
        self._expect(told in ("succeeded", "rejects"), f"not done: {told}")

    def expect_given_up(self, rows: int) -> None:
        """The administrator was told that so many rows are in doubt, and has answered wrongly."""
        self._expect(self.now.forgone == rows, f"{self.now.forgone} rows are given up, not {rows}")

    @step
    def expect_no_place(self, *place: str) -> None:
        """`set_position` knows that this batch says nothing."""
        result = self._do("command", arguments=["set_position", SERVER, self.kind, *place])
        self._expect(result["code"] != 0, f"set_position {place}: {result['said'].strip()}")

    def _set_position(self) -> None:
        place = ["--start"]
        if self.now.truth is not None:
            reader, number = self.now.truth
            place = ["--batch", str(number), "--reader", reader]
        self._manage("set_position", SERVER, self.kind, *place)

    def _accept_purged(self) -> None:
        self._manage("set_position", SERVER, self.kind)

    def _vouch(self) -> None:
        """The log reaches back no further: he knows whether shop All went back as well."""
        if self.now.position_branch < len(self.now.branches) - 1:
            self._rebase()
        else:
            self._manage("set_position", SERVER, self.kind, "--shop-all-is-whole")

    def _manage(self, *arguments: str) -> None:
        """Rows that are told to be gone are accepted: no more than those may be missing. Those that
        are told to be in doubt are told to be moved, whether they are or not.
        """
        result = self._do("command", arguments=list(arguments))
        while "rollback prepared" in result["cried"]:
            self.end_prepared(commit=True)
            result = self._do("command", arguments=list(arguments))
        if "--data-went-back" in result["cried"]:
            arguments = (*arguments, "--data-went-back")
            result = self._do("command", arguments=list(arguments))
        if doubtful := DOUBTFUL.search(result["cried"]):
            missing = self._history() - set(self._accounted()) - self._mirrored()
            if "PREPARE" in result["cried"]:
                missing &= self.now.prepared
            self.now.forgone += min(int(doubtful[1]), len(missing))
            arguments = (*arguments, "--doubtful", "moved")
            result = self._do("command", arguments=list(arguments))
        if lost := PURGED.search(result["cried"]):
            self.now.forgone += int(lost[1])
            arguments = (*arguments, "--accept-purged")
            result = self._do("command", arguments=list(arguments))
        self._expect(result["code"] == 0, f"{arguments}: {json.dumps(result)}")
        self.now.steps.append(f"  {' '.join(arguments)}: {result['said'].strip()}")

    # --- Time ---------------------------------------------------------------------------------

    @step
    def crash(self, name: str) -> None:
        """The power fails, and comes back."""
        self._lose_writers(name)
        self.instances[name].crash()
        self.instances[name].start()

    @step
    def copy(self, name: str) -> None:
        """A snapshot of the disk, while everything runs."""
        copies = self.now.copies[name]
        place = self.home / f"{name}.copies" / str(len(self.now.steps))
        self.instances[name].copy_to(place)
        copies.append(Copy(place, len(copies), self.now.position_branch, self.now.truth))

    @step
    def restore(self, name: str, number: int = -1) -> None:
        """The data directory is put back to a copy. Later copies are of a future that is gone."""
        self._put_back(name, number)
        self.instances[name].start()
        self._went_back(name)

    @step
    def promote(self, name: str, number: int = -1) -> None:
        """The server dies, and a replica that has lagged since that copy takes its place."""
        self._put_back(name, number)
        self.instances[name].become_standby()
        self.instances[name].start()
        self.instances[name].promote()
        self._went_back(name)

    @step
    def read_from_standby(self) -> None:
        """The URL names a replica for a while."""
        instance = self.instances["shop_all"]
        self._lose_writers("shop_all")
        instance.stop()
        instance.become_standby()
        instance.start()
        outcome = self.product.do("run", kind=self.kind, chunk_rows=3)
        self._expect(outcome.result["error"] == "standby_as_source", f"read: {outcome.result}")
        self._wait_for_the_dead()
        instance.stop()
        (instance.data / "standby.signal").unlink()
        instance.start()

    @step
    def write_anew(self, table: str) -> None:
        """Its rows are written by another transaction, as pg_repack does it."""
        query(self.shop_all, f"update datatransfer.{table} set xid = xid")
        self._went_back("shop_all")

    @step
    def dump(self) -> None:
        place = self.home / "shop_all.copies" / f"{len(self.now.steps)}.dump"
        place.write_bytes(as_postgres("pg_dump", "-Fc", "-d", self.shop_all).stdout)
        self.now.dumps.append(Copy(place, len(self.now.copies["shop_all"]), 0))

    @step
    def restore_dump(self, *, fresh: bool) -> None:
        """Into the cluster that it came from, or, fresh, into a new one that counts from 3."""
        self._lose_writers("shop_all")
        dump = self.now.dumps[-1]
        instance = self.instances["shop_all"]
        for gid in self.prepared():
            query(self.shop_all, "rollback prepared %s", [gid])
        for ahead in itertools.count(0, 100):
            if fresh:
                instance.restore(self.blank)
                instance.start()
                self._burn(instance.dsn(), ahead)
            query(instance.dsn(), "drop database if exists shop_all with (force)")
            query(instance.dsn(), "create database shop_all")
            as_postgres("pg_restore", "-d", self.shop_all, dump.place)
            if not query(self.shop_all, self.rows.reached_within_the_restore):
                break
        del self.now.copies["shop_all"][dump.moment :]
        self._went_back("shop_all")

    def copies(self) -> list[tuple[str, int]]:
        return [(name, copy.moment) for name in DATABASES for copy in self.now.copies.get(name, [])]

    def possible(self) -> dict[str, bool]:
        """Which steps make sense now; those that are not named always do."""
        # Where the position is lost, the log and our own database alone know that there was one:
        # if both go back to before it too, nobody is left who could.
        position, settled = self.has_position(), not self.now.refused
        return {
            "end_late": bool(self.late),
            "end_prepared": bool(self.prepared()),
            "settle": not settled,
            "go_back": bool(self.copies()) and position,
            "restore_dump": bool(self.now.dumps) and position,
            "purge": settled,
            "send_again": settled,
            "back_up_vendor": position and settled and not self.is_in_the_middle(),
            "restore_vendor": self.now.backup is not None
            and position
            and settled
            and self._is_known(self.now.backup.batch)
            and set(self._rejects()) <= self._mirrored(),
        }

    def _put_back(self, name: str, number: int) -> None:
        self._lose_writers(name)
        copies = self.now.copies[name]
        copy = copies[number]
        self.instances[name].restore(copy.place)
        del copies[copy.moment + 1 :]
        if name == "bonus":
            self.now.position_branch = copy.branch
            self.now.truth = copy.truth
        if name == "shop_all":
            self.now.dumps = [one for one in self.now.dumps if one.moment <= copy.moment]

    def _lose_writers(self, name: str) -> None:
        if name == "shop_all":
            self._drop_writers()

    def _went_back(self, name: str) -> None:
        """What stood refused may be settled by it, or be refused for another reason now."""
        if name == "shop_all":
            self.now.branches.append(self._clock())
        if name != "own":
            self.now.refused = ""
            self.now.went_back = True

    @step
    def back_up_vendor(self) -> None:
        """The vendor copies his tables, without ours; in between two batches."""
        rows = query(self.bonus, f"select * from {self.rows.target}")
        self.now.backup = Backup(rows, self.whole_batch(), self.now.position_branch)

    def whole_batch(self) -> tuple[str, int] | None:
        """The reader and the number of the batch that the position has moved, if there is one."""
        found = query(
            self.bonus,
            "select reader::text, number from datatransfer.position where kind = %s "
            "order by updated_at desc limit 1",
            [self.kind],
        )
        return found[0] if found and found[0][1] else None

    @step
    def swallow(self) -> None:
        query(self.bonus, SWALLOWING)

    @step
    def stop_swallowing(self) -> None:
        query(self.bonus, "drop trigger swallow on asset; drop function swallow")

    @step
    def restore_vendor(self) -> None:
        """The vendor restores his tables; our schema is gone."""
        backup = self.now.backup
        assert backup is not None
        query(self.bonus, "drop schema if exists datatransfer cascade; truncate arrived")
        query(self.bonus, f"truncate {self.rows.target}")
        with connected(self.bonus) as connection:
            for row in backup.rows:
                marks = ", ".join(["%s"] * len(row))
                insert = f"insert into {self.rows.target} overriding system value values ({marks})"
                run(connection, insert, row)
        # The rejects went with our schema: those that we mirror stand in our own database alone.
        self.now.mirrored |= self._mirrored()
        self.now.copies["own"].clear()
        self.now.truth, self.now.position_branch = backup.batch, backup.branch
        self.now.refused = ""
        self.now.went_back = True

    def _is_known(self, batch: tuple[str, int] | None) -> bool:
        """Whether shop All's log has it, or our own history: else nobody knows what had arrived of
        the rows that wait.
        """
        return (
            batch is None
            or bool(query(self.shop_all, FIND, batch))
            or bool(query(self.installation.own, OF_BATCH, batch))
        )

    def is_in_the_middle(self) -> bool:
        if query(self.bonus, "select to_regclass('datatransfer.position')") == [(None,)]:
            return False
        return bool(
            query(self.bonus, "select 1 from datatransfer.position where reading is not null")
        )

    def has_position(self) -> bool:
        return bool(self._positions())

    def _positions(self) -> list[tuple[Any, ...]]:
        if query(self.bonus, "select to_regclass('datatransfer.position')") == [(None,)]:
            return []
        return query(self.bonus, "select position::text from datatransfer.position order by 1")

    # --- The promise --------------------------------------------------------------------------

    def check(self) -> None:
        """No row twice, nor one that was never committed."""
        here = self._accounted()
        self.now.ever |= self._history()
        twice = {number for number, times in here.items() if times > 1}
        self._expect(not twice, f"twice in the bonus server: {sorted(twice)}")
        strange = set(here) - self.now.ever
        self._expect(not strange, f"never committed, and moved: {sorted(strange)}")

    def _history(self) -> set[str]:
        """Every row that shop All has, or had until it was purged."""
        found = query(
            self.shop_all,
            f"select {self.rows.number} from {self.rows.staging} "
            "union all select number from purged_for_the_test",
        )
        return {number for (number,) in found}

    def _accounted(self) -> Counter[str]:
        """How often each row that stands in the bonus server has arrived, or is a reject."""
        found = query(
            self.bonus,
            f"select number from arrived where number in (select {self.rows.number} "
            f"from {self.rows.target})",
        )
        return Counter([*(number for (number,) in found), *self._rejects()])

    def _rejects(self) -> list[str]:
        if query(self.bonus, "select to_regclass('datatransfer.reject')") == [(None,)]:
            return []
        found = query(
            self.bonus, "select payload->>%s from datatransfer.reject", [self.rows.number]
        )
        return [number for (number,) in found]

    def _mirrored(self) -> set[str]:
        found = query(
            self.installation.own,
            "select payload->>%s from transfer_rejectedrow",
            [self.rows.number],
        )
        return {number for (number,) in found}

    def _expect_arrived(self, due: set[str]) -> None:
        lost = due - set(self._accounted())
        lost -= self.now.mirrored & self._mirrored()
        self._expect(
            len(lost) <= self.now.forgone, f"lost, and the run says nothing: {sorted(lost)}"
        )

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.now.violated = True
            story = "\n".join([otherwise, "after:", *self.now.steps])
            print(story)  # noqa: T201 - hypothesis repeats it, and hides it if the repetition differs
            raise Violated(story)

    def finish(self) -> None:
        """Every writer ends, the administrator settles what is refused: then all has arrived."""
        while self.late:
            self.end_late(commit=True)
        while self.prepared():
            self.end_prepared(commit=True)
        for _ in range(6):
            if self.transfer() not in WAYS_OUT:
                return
            self.settle()
        self._expect(False, "the refusals never end")
