"""What the product does in a history: the promise holds after every step (see promise.py).

Head office, the administrator, and what happens to the databases are in head_office.py,
administrator.py and going_back.py.
"""

from typing import Any

from tests.chaos.administrator import WAYS_OUT
from tests.chaos.happened import step
from tests.chaos.left_behind import LeftBehind
from tests.chaos.promise import SERVERS
from tests.chaos.statements import Fault
from tests.databases import query

UNCERTAIN_REJECTS = """
    select id, server_name, payload->>%s from transfer_rejectedrow
     where kind = %s and state = 'open' and code = 'not_for_this_server' order by id
"""


class World(LeftBehind):
    @step
    def transfer(
        self, chunk_rows: int = 3, fault: Fault | None = None, *, one_chunk: bool = False
    ) -> str:
        """A run, or its first chunk; returns its state, or the code of its error."""
        due, before = self._history(), self._positions()
        server = SERVERS[self.server]
        how = {"kind": self.kind, "server": server, "chunk_rows": chunk_rows}
        how["one_chunk"] = one_chunk
        outcome = self.product.do("run_and_reconcile", fault, **how)
        self._wait_for_the_dead()
        if outcome.result is None:
            self._expect(fault is not None, f"a run died: {outcome.stderr}")
            self._note_branch(before)
            return "died"
        error = outcome.result["error"]
        if error in WAYS_OUT:
            if error == "rows_missing":
                self._expect_missing(outcome.result["params"])
            else:
                self._expect(self.now.went_back, f"refused ({error}), and nothing had gone back")
            self._expect(
                WAYS_OUT[error] != "rebase" or len(self.now.branches) > 1,
                f"refused ({error}), and shop All had not gone back",
            )
            self._expect(
                error != "shop_all_restored" or len(self.now.branches) > self.now.rebased,
                "all transfers stop, and shop All has not gone back since the last rebase",
            )
            self._expect(
                error != "beginning_undecided" or self.facts.is_new,
                "a server that has received rows counts as new",
            )
            self.facts.refused = error
            self.now.refusals[error] += 1
            return str(error)
        self._note_branch(before)
        if error == "rows_swallowed":
            return str(error)
        if error:
            self._expect(fault is not None, f"a run failed: {outcome.result}")
            return str(error)
        refused = self.facts.refused
        self._expect(not refused, f"the refusal ({refused}) went away by itself")
        if outcome.result["state"] != "cancelled":
            self._expect_arrived(due)
            self._expect_changes_shown()
            self._expect_taken_back()
        # An amount that is changed after its transfer is a difference, and stays one.
        has_changed = self.kind == "balances" and self.kind in self.now.values
        self._expect(
            outcome.result["holds"] is True
            or fault is not None
            or has_changed
            or self._has_withdrawn_rows(),
            f"the sums differ: {outcome.result}",
        )
        return str(outcome.result["state"])

    def _note_branch(self, before: list[Any]) -> None:
        """The position is of the present history: unless it still is the one from before."""
        if self._positions() != before:
            self.facts.branch = len(self.now.branches) - 1

    @step
    def send_again(self, corrected: str = "", *, latest: bool = False) -> None:
        """Somebody corrects a rejected row, the first or the latest; to one that some server
        refuses, if that is named.
        """
        number = str(next(self.numbers))
        values = dict(self.rows.corrected)
        if corrected:
            values[self.rows.judged] = corrected
        values = self.rows.numbered(values, number)
        how = {"kind": self.kind, "number": self.rows.number, "values": values}
        old = self._do("send_one_again", latest=latest, **how)
        if old is None:
            return
        self.now.corrected[self.kind, old] = number
        if self.kind == "balances":  # others go to every server
            self.now.replaced[number] = old

    @step
    def decide_uncertain(self) -> None:
        """An operator looks at the server that may have what the first of such rows stands for: he
        sends the row again if the server lacks it, and else discards the reject.
        """
        for pk, name, old in self._uncertain()[:1]:
            (server,) = (server for server, named in SERVERS.items() if named == name)
            arrived = {*map(self._first, self._at(server)[0])}
            new, values = str(next(self.numbers)), {}
            if self._first(old) not in arrived:
                values = self.rows.numbered(dict(self.rows.corrected), new)
            sent = self._do("decide_uncertain", pk=pk, values=values)
            if sent:
                self.now.corrected[self.kind, old] = new
                self.now.replaced[new] = old
            self.now.steps.append(f"  row {old} in {server}: {new if sent else 'discarded'}")

    def _uncertain(self) -> list[tuple[int, str, str]]:
        """The open uncertain rejects of rows that replace others: each with the name of its server
        and the number of the row. None while another kind is the present one.
        """
        found = query(self.installation.own, UNCERTAIN_REJECTS, [self.rows.number, self.kind])
        return [one for one in found if one[2] in self.now.replaced]

    @step
    def discard(self) -> None:
        self._do("discard", kind=self.kind)

    def expect_refused(self, error: str) -> None:
        told = self.transfer()
        self._expect(told == error, f"{told}, not {error}")

    def expect_done(self) -> None:
        told = self.transfer()
        self._expect(told in ("succeeded", "rejects"), f"not done: {told}")

    def expect_given_up(self, rows: int) -> None:
        """The administrator gave a wrong answer about so many rows in doubt."""
        given_up = self.facts.forgone
        self._expect(given_up == rows, f"{given_up} rows are given up, not {rows}")

    @step
    def expect_no_place(self, *place: str) -> None:
        """`set_position` knows that this batch says nothing."""
        arguments = ["set_position", SERVERS[self.server], self.kind, *place]
        result = self._do("command", arguments=arguments)
        self._expect(result["code"] != 0, f"set_position {place}: {result['said'].strip()}")

    def possible(self) -> dict[str, bool]:
        """Which steps make sense now; those that are not named always do."""
        # Where the position is lost, the log and our own database alone know that there was one:
        # if both go back to before it too, nobody is left who could.
        positions = self.have_positions()
        settled = not any(facts.refused for facts in self.now.flows.values())
        is_docked = self.server in self.now.docked - self.now.cut_off
        others = {server for server, _ in self.now.flows} - {self.server}
        return {
            "transfer": is_docked,
            "stage_and_transfer": is_docked,
            "break_a_transfer": is_docked,
            "stop_a_transfer": is_docked,
            "end_late": bool(self.late),
            "end_prepared": bool(self.prepared()),
            "settle": bool(self.facts.refused) and is_docked,
            "go_back": bool(self.copies()) and positions,
            "dump": positions,
            "restore_dump": bool(self.now.dumps) and positions,
            "read_from_standby": is_docked,
            # A docked server whose tasks are off, and that has no position, holds no purge back.
            "purge": settled and self.have_positions(*self.now.docked),
            "take_back": self.can_take_back(),
            "break_an_undo": self.can_take_back(),
            "send_again": settled,
            "decide_uncertain": settled and bool(self._uncertain()),
            # What a server has read that can't be asked, is not shown.
            "decide": settled and not self.now.cut_off,
            "cut_off": is_docked and settled and others <= self.now.docked - self.now.cut_off,
            "reach": self.server in self.now.cut_off,
            "leave_behind": self.server in self.now.cut_off & self.now.docked
            and not self.is_left(self.server),
            "wait_again": self.is_left(self.server),
            # A copy whose position is not put yet would lose the batch at which it was made.
            "undock": is_docked
            and settled
            and len(self.now.docked) > 1
            and self.have_positions(self.server),
            "dock": self.server not in self.now.docked,
            "clone": settled
            and bool(others)
            and self.have_positions(self.server)
            # Only the position of the copy knows a batch that shop All has lost.
            and not any(self.is_batch_lost(self.server, kind) for kind in self.kinds),
            "back_up_vendor": positions and settled and not self.is_in_the_middle(self.server),
            "restore_vendor": positions and settled and self._can_restore_vendor(),
        }

    def _can_restore_vendor(self) -> bool:
        backup = self.now.backup
        if backup is None or backup.server not in self.now.docked:
            return False
        _, rejects = self._at(backup.server)
        present, mirrored = (self.server, self.kind), set()
        for kind in backup.facts:
            self.go_to(backup.server, kind)
            mirrored |= self._mirrored()
        self.go_to(*present)
        known = all(self._is_known(facts.truth) for facts in backup.facts.values())
        return known and dict(rejects).keys() <= mirrored

    def finish(self) -> None:
        """Every writer ends, the administrator settles what is refused: then all has arrived."""
        while self.late:
            self.end_late(commit=True)
        while self.prepared():
            self.end_prepared(commit=True)
        for server in sorted(self.now.cut_off):
            self.reach(server)
        for server in {server for server, _ in self.now.flows} - self.now.docked:
            self.dock(server)
        for _ in range(8):
            if not self._try_all() and not self._decide_all_changes():
                self._expect_undos_known()
                return
        self._expect(False, "the refusals never end")

    def _decide_all_changes(self) -> bool:
        """Decides of all changed rows; returns whether there was any."""
        decided = False
        for kind in [*self.now.values]:
            self.go_to(self.server, kind)
            decided |= self._decide_all()
        return decided

    def _try_all(self) -> bool:
        """Runs all flows, and settles what is refused; returns whether anything was."""
        refused = False
        for flow in self.now.flows:
            self.go_to(*flow)
            if self.transfer() in WAYS_OUT:
                refused = True
                self.settle()
        return refused
