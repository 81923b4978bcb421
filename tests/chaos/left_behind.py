"""Bonus servers that can't be reached for a while, and that purges leave behind.

The product knows the way to a bonus server; the tests know another one. So the promise is checked
of a server that the product can't reach, too.
"""

from typing import Any

from tests.chaos.administrator import Administrator
from tests.chaos.happened import step
from tests.chaos.promise import SERVERS
from tests.databases import query

# Whether our own database says that a server is left behind.
IS_LEFT = """
    select exists (select from transfer_leftbehind as one
                     join transfer_transfertask as task on task.id = one.task_id
                     join transfer_bonusserver as server on server.id = task.server_id
                    where server.name = %s)
"""

# Whether our own database knows a position of the transfer: it has run since it was docked.
HAS_BEGUN = """
    select cardinality(task.readers) > 0 from transfer_transfertask as task
      join transfer_bonusserver as server on server.id = task.server_id
     where server.name = %s and task.kind = %s
"""


class LeftBehind(Administrator):
    @step
    def cut_off(self, server: str) -> None:
        """The product can't reach the server any more."""
        self.way_to(server).unlink()
        self.now.cut_off.add(server)

    @step
    def reach(self, server: str) -> None:
        """The product reaches the server again."""
        self._reach(server)

    @step
    def leave_behind(self, server: str) -> None:
        options = ["--reason", "it burned", "--yes"]
        done = self._do("command", arguments=["server", "leave-behind", SERVERS[server], *options])
        self._expect(done["code"] == 0, f"leaving behind: {done}")

    @step
    def wait_again(self, server: str) -> None:
        """The administrator takes back that the server is left behind; refused where it lacks rows
        that are purged. Of a copy that has not run yet the product knows nothing: its first run
        says what it lacks.
        """
        done = self._do("command", arguments=["server", "take-back", SERVERS[server]])
        lacking = {
            number
            for name, kind in self.now.flows
            if name == server and self._has_begun(server, kind)
            for number in self._purged_and_missing(server, kind)
        }
        self._expect(
            done["code"] != 0 or not lacking or self._lacks_by_decision(server),
            f"taken back, and {server} lacks {sorted(lacking)}: {done}",
        )
        self.now.refusals["taking back"] += done["code"] != 0

    def _has_begun(self, server: str, kind: str) -> bool:
        found = query(self.installation.own, HAS_BEGUN, [SERVERS[server], kind])
        return found == [(True,)]

    def _lacks_by_decision(self, server: str) -> bool:
        flows = [facts for (name, _), facts in self.now.flows.items() if name == server]
        return any(facts.is_incomplete or facts.given_up for facts in flows)

    def is_left(self, server: str) -> bool:
        found = query(self.installation.own, IS_LEFT, [SERVERS[server]])
        return bool(found[0][0])

    @step
    def purge(self) -> None:
        """Removes what all servers have read; nothing while one is cut off, and not left behind."""
        kept = any(
            server in self.now.docked and not self.is_left(server) for server in self.now.cut_off
        )
        removed = self._do("purge")
        self._expect(
            not kept or removed == 0 or isinstance(removed, str),
            f"{removed} rows are purged without a server",
        )

    @step
    def expect_no_purge(self) -> None:
        removed = self._do("purge")
        self._expect(isinstance(removed, str), f"{removed} rows are purged")

    def expect_complete(self, server: str) -> None:
        """The server has received or rejected every row, also those that are purged."""
        for kind in self.kinds:
            arrived, rejects = self._at(server)
            lacking = self._history(kind) - {*arrived, *dict(rejects)}
            self._expect(not lacking, f"{server} lacks {sorted(lacking)}")

    def _expect_missing(self, params: dict[str, Any]) -> None:
        """The number that a refusal names is that of the rows that the server lacks."""
        facts = self.facts
        if not (facts.is_incomplete or facts.given_up or facts.is_placed):
            lacking = self._purged_and_missing(self.server, self.kind)
            named = int(params["rows"])
            self._expect(named == len(lacking), f"{named} rows are missing, not {sorted(lacking)}")
