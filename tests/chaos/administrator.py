"""What a careful administrator does about refusals: he knows what happened, looks, and decides."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

from tests.chaos.happened import step
from tests.chaos.loads import Loads
from tests.chaos.promise import SERVERS
from tests.chaos.rows import ROWS
from tests.databases import query
from transfer.engine.shop_all.batch_log import FIND

# What may be refused, each with what an administrator does about it.
WAYS_OUT = {
    "history_changed": "rebase",
    "shop_all_restored": "rebase",
    "records_missing": "rebase",
    "restored_from_dump": "rebase",
    "position_overtaken": "rebase",
    "future_transactions": "rebase",
    "position_lost": "set_position",
    "beginning_undecided": "set_position",
    "reader_shared": "separate",
    "rows_purged": "accept_purged",
    "rows_missing": "accept_purged",
    "batch_forgotten": "vouch",
    "rows_doubtful": "rebase",
    "rows_prepared": "rebase",
}

# As the product tells an administrator.
PURGED = re.compile(r"up to ([0-9]+) rows")
MISSING = "has not received were purged"
COUNTED = re.compile(r"([a-z]+) → (.+?): [0-9]+ rows stay moved, ([0-9]+) wait")
TOO_EARLY = re.compile(r"Give a time later than (.+?): when")
SENT = re.compile(r": ([0-9]+) rows would be sent")
MOVED = """
    pg_visible_in_snapshot(xid, %(read_through)s) or coalesce(
        pg_visible_in_snapshot(xid, %(reading)s)
            and (xid, id) <= (%(last_xid)s::xid8, %(last_id)s), false)
"""
NAMED = """
    select reader::text, number, token::text, coalesce(reading, read_through)::text
      from datatransfer.position where origin = %s and kind = %s and number > 0
"""
KEPT = "may have reached"  # what a rebase says of a correction that a server may have
# The rows of a kind that purges have removed.
REMOVED = "select number from purged_for_the_test where kind = %s"
STATES = """
    select state from transfer_rejectedrow where kind = %s and payload->>%s = %s
"""
POSITION = """
    select read_through::text, reading::text, last_xid::text, last_id,
           exists (select from datatransfer.position as other
                    where other.reader = one.reader and other.origin <> one.origin
                      and other.rows_applied + other.rows_unchanged + other.rows_rejected
                          > one.rows_applied + one.rows_unchanged + one.rows_rejected)
      from datatransfer.position as one where origin = %s and kind = %s
"""


class Administrator(Loads):
    @step
    def settle(self) -> None:
        """Takes the way out of the refusal of the present flow."""
        way = WAYS_OUT[self.facts.refused]
        getattr(self, f"_{way}")()
        self.facts.refused = ""

    def _rebase(self) -> None:
        """He knows when the history ended that the bonus servers have rows of.

        All bonus servers have to be docked, and have a position.
        """
        self._drop_writers()
        for server in [server for server in SERVERS if (server, self.kind) in self.now.flows]:
            if server not in self.now.docked:
                self._dock(server)
        present = self.server, self.kind
        for flow in self.now.flows:
            self.go_to(*flow)
            if not self.has_position():
                self._reach(self.server)
                self._set_position()
        self.go_to(*present)
        after = max(self._ends()) if len(self.now.branches) > 1 else 0
        new = ["--restored-at", self.now.branches[after]]
        said = self._manage("rebase_shop_all", *(new if after else ["--no-writes-since-restore"]))
        self._expect_open_again(said)
        self.now.rebased = len(self.now.branches)
        for (server, _), facts in self.now.flows.items():
            if server not in self.now.cut_off:
                facts.branch = len(self.now.branches) - 1
            if WAYS_OUT.get(facts.refused) == "rebase":
                facts.refused = ""
        # Rows have new numbers now: of his tables alone, no batch from before tells them any more.
        self.now.backup = None

    def _expect_open_again(self, said: str) -> None:
        """A reject is open again if the row that was sent in its place is gone, and no server has
        it; or the rebase says that it may have reached one.
        """
        gone = {
            (kind, old): new
            for (kind, old), new in self.now.corrected.items()
            if new not in self._history(kind)
        }
        for server in {server for server, _ in self.now.flows} if gone else ():
            arrived, rejects = self._at(server)
            received = {*arrived, *dict(rejects)}
            gone = {old: new for old, new in gone.items() if new not in received}
        for (kind, old), new in gone.items():
            states = query(self.installation.own, STATES, [kind, ROWS[kind].number, old])
            is_kept = f"{kind}: the correction" in said and KEPT in said
            self._expect(
                is_kept or ("resent",) not in states,
                f"{new} is gone, and the reject of {old} stays closed: {states}",
            )

    def _ends(self) -> list[int]:
        """Where the histories of shop All begin that follow those of positions without a batch.

        If no position has lost its batch, of all positions.
        """
        ends, of_all = [], []
        for (server, kind), facts in self.now.flows.items():
            of_all.append(min(facts.branch + 1, len(self.now.branches) - 1))
            if self.is_batch_lost(server, kind):
                ends.append(of_all[-1])
        return ends or of_all

    def is_batch_lost(self, server: str, kind: str) -> bool:
        """Whether shop All lacks the batch that the position of a flow names."""
        found = query(self.dsn(server), NAMED, [self._origin(), kind])
        return any(query(self.shop_all, FIND, batch[:2]) != [batch[1:]] for batch in found)

    def _set_position(self) -> None:
        place = ["--start"]
        if self.facts.truth is not None:
            reader, number = self.facts.truth
            place = ["--batch", str(number), "--reader", reader]
        self._put(*place)

    def _separate(self) -> None:
        self._put("--as-of-clone")

    def _accept_purged(self) -> None:
        self._put()

    def _vouch(self) -> None:
        """The log reaches back no further: he knows whether shop All went back as well."""
        if self.facts.branch < len(self.now.branches) - 1:
            self._rebase()
        else:
            self._put("--shop-all-is-whole")

    def _put(self, *place: str) -> None:
        self.facts.is_placed = True
        self._manage("set_position", SERVERS[self.server], self.kind, *place)

    def _manage(self, *arguments: str) -> str:
        """Runs a command, and returns what it says. Rows that are purged are accepted: no more than
        those may be missing. Of those that are in doubt he looks into the bonus servers.
        """
        result = self._do("command", arguments=list(arguments))
        while "rollback prepared" in result["cried"]:
            self.end_prepared(commit=True)
            result = self._do("command", arguments=list(arguments))
        if "--data-went-back" in result["cried"]:
            arguments = (*arguments, "--data-went-back")
            result = self._do("command", arguments=list(arguments))
        if too_early := TOO_EARLY.search(result["cried"]):
            later = datetime.fromisoformat(too_early[1]) + timedelta(microseconds=1)
            arguments = (*arguments[:-1], later.isoformat(" "))
            result = self._do("command", arguments=list(arguments))
        asks_first = "rebase" in result["cried"] and "--doubtful" not in result["cried"]
        if arguments[0] == "set_position" and result["code"] and asks_first:
            self._rebase()
            result = self._do("command", arguments=list(arguments))
        arguments, result = self._answered(arguments, result)
        lost = PURGED.search(result["cried"])
        if lost or MISSING in result["cried"]:
            if lost:
                self.facts.forgone += int(lost[1])
            else:
                self.facts.given_up |= self._purged_and_missing(self.server, self.kind)
            arguments = (*arguments, "--accept-purged")
            result = self._do("command", arguments=list(arguments))
        arguments, result = self._answered(arguments, result)
        self._expect(result["code"] == 0, f"{arguments}: {json.dumps(result)}")
        self.now.steps.append(f"  {' '.join(arguments)}: {result['said'].strip()}")
        return str(result["said"])

    def _answered(self, arguments: tuple[str, ...], result: Any) -> tuple[tuple[str, ...], Any]:
        """The command with the answers that it has asked for, and what came of it."""
        if "--doubtful" in result["cried"]:
            arguments = (*arguments, *self._look(arguments))
            result = self._do("command", arguments=list(arguments))
        return arguments, result

    def _purged_and_missing(self, server: str, kind: str) -> set[str]:
        """The rows that purges have removed, and a server has neither received nor rejected."""
        arrived, rejects = self._at(server)
        purged = {number for (number,) in query(self.shop_all, REMOVED, [kind])}
        return purged - {*arrived, *dict(rejects)}

    def _look(self, command: tuple[str, ...]) -> list[str]:
        """What he answers about rows in doubt, after looking for them in the bonus servers.

        Where one answer can't be right for all rows of a flow, he takes them as moved, and the
        missing ones are given up.
        """
        waiting = [self._counts(command, answer) for answer in ("moved", "waiting")]
        answers = []
        for flow in waiting[0]:
            if doubtful := waiting[1][flow] - waiting[0][flow]:
                if (
                    command[0] == "set_position"
                ):  # of before a rebase: he counts all that is missing
                    missing = self._count_missing(*flow, before="--all") - waiting[0][flow]
                else:
                    missing = self._count_missing(*flow, before=command[-1])
                if missing >= doubtful:
                    answers += self._answer(flow, "waiting")
                else:
                    self.now.flows[flow].forgone += max(missing, 0)
                    answers += self._answer(flow, "moved")
        return answers

    def _answer(self, flow: tuple[str, str], answer: str) -> list[str]:
        server, kind = flow
        return ["--doubtful", SERVERS[server], kind, answer]

    def _counts(self, rebase: tuple[str, ...], answer: str) -> dict[tuple[str, str], int]:
        """How many rows would wait for each flow if that were the answer for all of them."""
        present = (self.server, self.kind)
        is_of_one = rebase[0] == "set_position"
        flows = [present] if is_of_one else [*self.now.flows]
        answers = [word for flow in flows for word in self._answer(flow, answer)]
        arguments = [*rebase, *answers, "--dry-run"]
        said = self._do("command", arguments=arguments)["said"]
        if is_of_one and (sent := SENT.search(said)):
            return {present: int(sent[1])}
        servers = {name: server for server, name in SERVERS.items()}
        found = {(servers[name], kind): int(rows) for kind, name, rows in COUNTED.findall(said)}
        return {flow: rows for flow, rows in found.items() if flow in self.now.flows}

    def _count_missing(self, server: str, kind: str, before: str) -> int:
        """Rows that the position of a flow calls moved, and its bonus server does not have; of
        those from before a time, or all, if that is an option and no time.

        Where it has received rows since that the position does not know, all others as well.
        """
        present = self.server, self.kind
        self.go_to(server, kind)
        found = query(self.bonus, POSITION, [self._origin(), self.kind])
        names = ("read_through", "reading", "last_xid", "last_id", "is_overtaken")
        position = dict(zip(names, found[0], strict=True)) if found else {"is_overtaken": True}
        condition = "true" if position["is_overtaken"] else MOVED
        rows = query(
            self.shop_all,
            f"select {self.rows.number} from {self.rows.staging} "
            f"where created_at < %(before)s::timestamptz and ({condition})",
            position | {"before": "infinity" if before.startswith("--") else before},
        )
        missing = {number for (number,) in rows} - self._accounted()
        missing -= self.facts.mirrored & self._mirrored()
        self.go_to(*present)
        return len(missing)

    def _origin(self) -> str:
        return str(query(self.shop_all, "select origin::text from datatransfer.origin")[0][0])
