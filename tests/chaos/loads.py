"""Files that head office loads, and takes back once.

Of a balance change that is taken back, a server has received the opposite if and only if it has
received the row. A row that was withdrawn is at no server.
"""

import csv
import io
from decimal import Decimal
from typing import Any

from tests.chaos.changing import Changing
from tests.chaos.happened import step
from tests.chaos.rows import UNDO, of_original
from tests.chaos.statements import Fault
from tests.databases import query

# Loads that our own database knows, the latest first.
LOADS = """
    select id, name from transfer_upload
     where kind = %s and input_method = 'command' and state = 'loaded' order by id desc
"""
# The undos that our own database counts as done, and shop All does not know.
CLAIMED = """
    select token::text, name from transfer_upload where input_method = 'undo' and state = 'loaded'
"""
KNOWN = "select token::text from datatransfer.loaded where undoes is not null"
# Rejects of balance changes that an undo has closed.
CLOSED = """
    select distinct payload->>'comment' from transfer_rejectedrow
     where kind = 'balances' and state = 'discarded' and close_reason = 'The load was taken back.'
"""
# Why a load can't be taken back.
ERRORS = "select error_code from transfer_upload where undoes_id = %s"
GONE = "the undo is not in shop All any more"
REFUSALS = {
    "undo_gone",  # shop All went back to before it, and a server may have received its rows
    "load_unknown",  # shop All went back to before it
    "rows_gone",  # they are purged, or it was restored from a dump
    *(
        "shop_all_restored",
        "records_missing",
        "position_overtaken",
    ),  # it went back to before others
    "nothing_taken_back",  # they were changed, or of PIN codes and cards: a server has read them
}
OF_POSITIONS = {
    "position_lost",
    "already_running",
    "origin_changed",
}  # PIN codes and cards are withdrawn, or stay: all servers have to say what they have read
# What a server says of an opposite row that it does not apply, though it has the original: it is
# uncertain with which amount it has that.
UNCERTAIN = "not_for_this_server"
REFUSED = "refused_by_server"  # a copy of a server that has the row may be judged otherwise


class Loads(Changing):
    @step
    def load(self, rows: list[str]) -> None:
        """Loads a file with such rows."""
        numbers = [str(next(self.numbers)) for _ in rows]
        made = [self.rows.values_of(*row) for row in zip(rows, numbers, strict=True)]
        path = self.home / f"{self.kind} {numbers[0]}.csv"
        path.write_text(as_csv(made))
        done = self._do("command", arguments=["load_staging", self.kind, str(path)])
        self._expect(done["code"] == 0, f"load: {done}")
        self.now.ever.update(numbers)

    @step
    def take_back(self, place: int = 0, fault: Fault | None = None) -> None:
        """Takes a load of the kind back, the latest if `place` is 0; perhaps one that is taken back
        already.
        """
        loads = query(self.installation.own, LOADS, [self.kind])
        if not loads:
            return
        load, name = loads[place % len(loads)]
        before = self._opposites(), self._withdrawn()
        outcome = self.product.do("command", fault, arguments=["load", "undo", str(load)])
        self._wait_for_the_dead()
        told = outcome.result
        after = self._opposites(), self._withdrawn()
        self.now.withdrawn |= after[1]
        if fault is not None or self.kind != "balances":
            self.now.forgotten |= after[1]
        self.now.steps.append(
            f"  {name}: opposite {sorted(after[0] - before[0])}, "
            f"withdrawn {sorted(after[1] - before[1])}"
        )
        if told is None or told["code"]:
            if told and GONE in told["cried"]:
                self.now.steps.append(f"  “Undo of {name}” is gone")
            self._expect_refused_undo(load, fault, told, is_unchanged=after == before)

    def _expect_refused_undo(
        self, load: int, fault: Fault | None, told: Any, *, is_unchanged: bool
    ) -> None:
        """An undo that is refused has changed nothing; one that broke may have."""
        if fault is not None:
            return
        (error,) = [code for (code,) in query(self.installation.own, ERRORS, [load])] or ["?"]
        error = "undo_gone" if told and GONE in told["cried"] else error
        allowed = REFUSALS if self.kind == "balances" else REFUSALS | OF_POSITIONS
        is_cut_off = self.now.cut_off and self.kind != "balances"
        self._expect(error in allowed or bool(is_cut_off), f"taking back: {error} {told}")
        self._expect(is_unchanged, f"refused ({error}), and rows are taken back")
        self.now.refusals[f"undo: {error}"] += 1

    def _has_withdrawn_rows(self) -> bool:
        """Whether rows are back with a restore that were withdrawn, and may count as moved."""
        return bool(self.now.forgotten & self._history())

    def expect_taken_back(self, rows: int) -> None:
        """So many rows are taken back in shop All's history."""
        opposites = self._opposites()
        self._expect(len(opposites) == rows, f"{sorted(opposites)}, not {rows} rows")

    def can_take_back(self) -> bool:
        return bool(query(self.installation.own, LOADS, [self.kind]))

    def _opposites(self) -> set[str]:
        """The rows of shop All's history that take back others."""
        return {number for number in self._history() if number.startswith(UNDO)}

    def _withdrawn(self) -> set[str]:
        """The rows of the kind that were withdrawn in shop All's history."""
        asked = "select number from withdrawn_for_the_test where kind = %s"
        return {number for (number,) in query(self.shop_all, asked, [self.kind])}

    def check(self) -> None:
        """No server has an opposite row without the original, or with another amount."""
        super().check()
        if not any(number.startswith(UNDO) for number in self.now.ever):
            return
        for server in {server for server, kind in self.now.flows if kind == "balances"}:
            arrived = {*self._at(server)[0]}
            undone = {number for number in arrived if number.startswith(UNDO)}
            alone = {one for one in undone if of_original(one) not in arrived}
            alone -= {one for one in alone if of_original(one) in self.now.forgotten}
            if not self.now.flows[server, "balances"].is_incomplete:
                self._expect(not alone, f"taken back in {server}, without the rows: {alone}")
            self._expect_opposite(server, {one for one in undone if of_original(one) in arrived})

    def _expect_opposite(self, server: str, undone: set[str]) -> None:
        """The amounts of these rows are opposite to those of the rows that they take back; where
        an operator has sent a difference, it is not.
        """
        numbers = [*undone, *map(of_original, undone)]
        held: dict[str, Decimal] = self._values_at(server, "balances", numbers)
        wrong = {
            one: (str(held[one]), str(held[of_original(one)]))
            for one in undone
            if held[one] + held[of_original(one)] and not self.now.sent_again[of_original(one)]
        }
        self._expect(not wrong, f"other amounts are taken back in {server}: {wrong}")

    def _expect_taken_back(self) -> None:
        """After a transfer: its server keeps no row that was taken back."""
        arrived, rejects = self._at(self.server)
        withdrawn = self._withdrawn() & {*arrived}
        self._expect(not withdrawn, f"withdrawn, and in {self.server}: {sorted(withdrawn)}")
        if self.kind != "balances" or self.facts.is_incomplete:
            return
        codes = dict(rejects)
        kept = {
            one
            for one in self._opposites() - {*arrived} - self.facts.given_up
            if of_original(one) in arrived and not self._may_keep(one, codes.get(one))
        }
        told = {one: codes.get(one) for one in kept}
        self._expect(not kept, f"taken back, and still in {self.server}: {told}")

    def _may_keep(self, undone: str, code: str | None) -> bool:
        """Whether a server may keep the row that this one takes back, with an open reject: its
        vendor refuses the opposite; it is uncertain with which amount it has the row, or, after it
        has lost purged rows or was made of a copy of tables, whether it has it.
        """
        is_changed = of_original(undone) in self.now.values["balances"]
        may_lack_it = bool(self.facts.given_up) or self.facts.is_placed
        return code == REFUSED or (code == UNCERTAIN and (is_changed or may_lack_it))

    def _expect_undos_known(self) -> None:
        """At the end: of what our own database calls taken back, shop All has the opposite rows, or
        the administrator was told.
        """
        known = {token for (token,) in query(self.shop_all, KNOWN)}
        lost = {name for token, name in query(self.installation.own, CLAIMED) if token not in known}
        told = {name for name in lost if any(f"“Undo of {name}”" in one for one in self.now.steps)}
        self._expect(lost == told, f"taken back only in our own database: {sorted(lost - told)}")
        if lost:
            return
        self.go_to(self.server, "balances")
        undone = {of_original(number) for number in self._opposites()}
        closed = {of_original(number) for (number,) in query(self.installation.own, CLOSED)}
        closed = (closed - undone) & self._history(self.kind)  # those of a lost load are gone
        self._expect(not closed, f"rejects are closed as taken back, and are not: {sorted(closed)}")


def as_csv(rows: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    lines = csv.DictWriter(file, [*rows[0]], delimiter=";")
    lines.writeheader()
    lines.writerows(rows)
    return file.getvalue()
