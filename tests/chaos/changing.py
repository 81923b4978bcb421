"""Staged rows whose values are changed, and what an operator decides of those read before.

The tests know every value that a row has ever had. Which changes wait for a decision is noted in
shop All, so that it goes back in time with the rows.
"""

from typing import Any

from tests.chaos.happened import step
from tests.chaos.head_office import HeadOffice
from tests.chaos.promise import SERVERS
from tests.chaos.rows import REFUSED, ROWS, UNDO
from tests.databases import connected, query, run

NOTE = """
    insert into changed_for_the_test (kind, number, id) values (%s, %s, %s)
        on conflict (kind, number) do update set decision = null
"""
# A confirmed decision survives a crash, also if the database's default is off.
DECIDED = """
    set synchronous_commit = on;
    update changed_for_the_test set decision = %s where kind = %s and number = %s
"""
# The changed rows of a kind that are staged, what was decided of each, and its value.
CHANGED = """
    select changed.number, decision, row.{value}
      from changed_for_the_test as changed join {staging} as row using (id) where kind = %s
"""


class Changing(HeadOffice):
    @step
    def change(self, place: int, value: str, *, refused: bool = False) -> None:
        """Head office changes a staged row; to one that the vendor's table refuses, if so said.

        `place` says which of the rows of the present kind. One that was sent again stays as it is.
        """
        made = "no" if refused else "good"
        names = f"{self.rows.number}, id, {self.rows.value}"
        staged = query(self.shop_all, f"select {names} from {self.rows.staging} order by id")
        known = [
            one for one in staged if not self.now.sent_again[one[0]] and not one[0].startswith(UNDO)
        ]
        if known:
            number, id_, before = known[place % len(known)]
            values = self.rows.values_of(made, number) | {self.rows.value: value}
            del values[self.rows.number]
            after = self._update(number, id_, values)
            self.now.values[self.kind].setdefault(number, set()).update([before, after])
            self.now.steps.append(f"  row {number}: {before!r}, now {after!r}")

    def _update(self, number: str, id_: int, values: dict[str, Any]) -> Any:
        """Changes a staged row and notes it; returns its new value."""
        columns = ", ".join(f"{name} = %s" for name in values)
        update = f"update {self.rows.staging} set {columns} where id = %s"
        with connected(self.shop_all) as writer:
            writer.autocommit = False
            run(writer, NOTE, [self.kind, number, id_])
            update = f"{update} returning {self.rows.value}"
            ((after,),) = run(writer, update, [*values.values(), id_])
            writer.commit()
        return after

    @step
    def decide(self, decision: str) -> None:
        """An operator decides of the first changed row of the kind: "send" or "leave"."""
        if undecided := self._undecided():
            self._decide(*next(iter(undecided.items())), decision)

    def _decide(self, number: str, servers: list[str], decision: str) -> None:
        amount = None
        if decision == "send" and self.kind == "balances":
            amount = self._difference(number, servers)
            decision = "leave" if amount is None else decision
        how = {"number": number, "decision": decision, "amount": amount}
        done = self._do("decide_changed", kind=self.kind, column=self.rows.number, **how)
        self._expect(done == 1, f"{done} rows are decided on, not {number}")
        query(self.shop_all, DECIDED, [decision, self.kind, number])
        self.now.sent_again[number] += decision == "send"
        self.now.steps.append(f"  row {number}: {decision} {amount or ''}")

    def _undecided(self) -> dict[str, list[str]]:
        """The changed rows that the product shows, each with the servers that had read it."""
        return dict(self._do("undecided", kind=self.kind, column=self.rows.number))

    def _difference(self, number: str, servers: list[str]) -> str | None:
        """What the servers that had read a balance change before its change lack of it; None if a
        careful operator can't say so by one number.
        """
        staged = query(
            self.shop_all,
            f"select {self.rows.value} from {self.rows.staging} "
            f"where {self.rows.number} = %s and not {self.rows.judgement} = any(%s)",
            [number, [*REFUSED]],
        )
        held = {
            value
            for server, name in SERVERS.items()
            if name in servers
            for value in self._values_at(server, self.kind, [number]).values()
        }
        if len(staged) != 1 or len(held) != 1:
            return None
        difference = staged[0][0] - held.pop()
        return str(difference) if difference else None

    def _values_at(self, server: str, kind: str, numbers: list[str]) -> dict[str, Any]:
        """What a bonus server holds of these rows; of balance changes, the sum of each."""
        rows = ROWS[kind]
        value = f"sum({rows.value})" if kind == "balances" else f"max({rows.value})"
        held = f"select {rows.number}, {value} from {rows.target}"
        found = query(
            self.dsn(server), f"{held} where {rows.number} = any(%s) group by 1", [numbers]
        )
        return dict(found)

    def check(self) -> None:
        """Each server holds of a changed row one of the values that it has had."""
        super().check()
        for kind, values in self.now.values.items():
            for server in {server for server, _ in self.now.flows}:
                held = self._values_at(server, kind, [*values])
                wrong = {one: str(held[one]) for one in held if held[one] not in values[one]}
                self._expect(not wrong, f"values that no row has had, in {server}: {wrong}")

    def _expect_changes_shown(self) -> None:
        """After a transfer: where its server holds another value than a changed row has, the
        product says so; or the row was sent again, and the server has rejected it.
        """
        changed = self._changed()
        if not changed:
            return
        held = self._values_at(self.server, self.kind, [*changed])
        other: dict[str | None, set[str]] = {None: set(), "send": set(), "leave": set()}
        for number, (decision, value) in changed.items():
            if held.get(number, value) != value and value not in (None, ""):  # was not blanked
                other[decision].add(number)
        shown = self._undecided() if other[None] else {}
        name = SERVERS[self.server]
        hidden = {
            number
            for number in other[None]
            # What a copy of another server has read is shown under that one's name.
            if not (shown.get(number) if self.facts.is_placed else name in shown.get(number, []))
        }
        self._expect(not hidden, f"changed, and not shown: {sorted(hidden)}")
        lacking = other["send"] - {number for number, _ in self._at(self.server)[1]}
        is_settled = self.facts.is_incomplete
        self._expect(is_settled or not lacking, f"sent again, and not arrived: {sorted(lacking)}")

    def _changed(self) -> dict[str, tuple[str | None, Any]]:
        """The changed rows of the present kind: what was decided, and the staged value."""
        if self.kind not in self.now.values:
            return {}
        names = {"value": self.rows.value, "staging": self.rows.staging}
        found = query(self.shop_all, CHANGED.format(**names), [self.kind])
        return {number: (decision, value) for number, decision, value in found}

    def _decide_all(self) -> bool:
        """Decides of all that is shown, of the present kind; returns whether anything was."""
        undecided = self._undecided()
        for number, servers in undecided.items():
            self._decide(number, servers, "send")
        return bool(undecided)
