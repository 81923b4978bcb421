"""Steps to take around a transfer: head office, the product, the administrator; and what happens to
the databases (going_back.py). The promise holds after every one of them (promise.py).
"""

import json
import re
from typing import Any

import psycopg2

from tests.chaos.going_back import GoingBack
from tests.chaos.happened import step
from tests.chaos.installation import SERVER
from tests.chaos.statements import Fault
from tests.chaos.warm import Outcome
from tests.databases import query, run

# What may be refused, each with what an administrator does about it.
WAYS_OUT = {
    "history_changed": "rebase",
    "restored_from_dump": "rebase",
    "position_overtaken": "rebase",
    "future_transactions": "rebase",
    "position_lost": "set_position",
    "rows_purged": "accept_purged",
    "batch_forgotten": "vouch",
    "rows_doubtful": "rebase",
    "rows_prepared": "rebase",
}

# As the product tells an administrator.
PURGED = re.compile(r"up to ([0-9]+) rows")
DOUBTFUL = re.compile(r"([0-9]+) rows of the copy")


class World(GoingBack):
    # --- Head office -----------------------------------------------------------------------------

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

    # --- The product -----------------------------------------------------------------------------

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

    # --- The administrator -----------------------------------------------------------------------

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
        # Rows have new numbers now: of his tables alone, no batch from before tells them any more.
        self.now.backup = None

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
