"""The machine of time: random histories of two bonus servers and two kinds, drawn by a seed.

Four of five histories begin with an opening that is hard to meet by chance: what comes before it,
after it and within it is drawn like all the rest.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from tests.chaos import statements
from tests.chaos.administrator import WAYS_OUT
from tests.chaos.installation import DATABASES
from tests.chaos.promise import CLUSTERS, SERVERS
from tests.chaos.rows import ROWS as OF_KINDS
from tests.chaos.statements import Fault
from tests.chaos.world import World

FIRST_SEED = 22  # played with this machine: see docs/CHAOS-LOG.md
STEPS = 24  # of a history
MOST_ROWS = 8  # of a chunk
MOST_STATEMENTS = 60  # that a run sends over a connection; a fault after the last never happens

ROWS = ["good", "good", "good", "bad", "no", "odd", "here", "here"]
# A file with a row that a check rejects is not loaded.
GOOD_IN_A_FILE = [row for row in ROWS if row != "bad"]
HOW = ["commit", "commit", "commit", "forgettable", "roll back", "partly", "late", "two-phase"]
FAULTS = sorted({*statements.COPYING, *statements.COMMITTING})

# What may happen next, each as often as its number says.
ACTS = {
    "stage_and_transfer": 10,
    "stage": 2,
    "transfer": 4,
    "break_a_transfer": 2,
    "stop_a_transfer": 1,
    "end_late": 1,
    "end_prepared": 1,
    "settle": 12,
    "burn": 0.5,
    "grow_careless": 0.3,
    "crash": 0.5,
    "copy": 5,
    "go_back": 6,
    "dump": 1,
    "restore_dump": 2,
    "read_from_standby": 0.3,
    "purge": 1.5,
    "send_again": 4,
    "decide_uncertain": 6,
    "discard": 0.5,
    "load": 2,
    "take_back": 3,
    "break_an_undo": 1,
    "change": 3,
    "decide": 2,
    "undock": 1,
    "dock": 4,
    "clone": 1,
    "cut_off": 0.7,
    "reach": 3,
    "leave_behind": 4,
    "wait_again": 1,
    "back_up_vendor": 1,
    "restore_vendor": 2,
    "restore_what_one_flow_has_read": 2,
    "correct_before_others_read": 2,
    "change_what_others_have_read": 2,
    "take_back_what_one_server_has_read": 2,
    "purge_without_a_server": 2,
    "correct_what_a_server_may_lack": 1,
}
OPENINGS = [
    "restore_what_one_flow_has_read",
    "correct_before_others_read",
    "take_back_what_one_server_has_read",
    "purge_without_a_server",
    "correct_what_a_server_may_lack",
    "",
]
# They take several steps, and make sense where nothing is refused.
CALM = [*OPENINGS[:-1], "change_what_others_have_read"]


class Machine:
    """Takes one random step after another in a world."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = Random(seed)

    def play(self) -> Counter[str]:
        """A whole history; returns how often what was done and refused. Raises Violated."""
        self.world.begin("balances", self.chance.choice(["pincodes", "cards"]), servers=2)
        for flow in self.world.now.flows:
            self.world.go_to(*flow)
            self.stage_and_transfer()
        if opening := self.chance.choice(OPENINGS):
            self.world.go_to(*self.chance.choice([*self.world.now.flows]))
            getattr(self, opening)()
        for _ in range(STEPS):
            self.world.go_to(*self.chance.choice([*self.world.now.flows]))
            self.take_a_step()
        self.world.finish()
        return self.world.now.counts()

    def take_a_step(self) -> None:
        possible = self.world.possible()
        is_calm = possible["purge"] and possible["transfer"] and possible["dump"]
        is_calm = is_calm and not self.world.now.cut_off
        possible |= dict.fromkeys(CALM, is_calm)
        acts = {act: times for act, times in ACTS.items() if possible.get(act, True)}
        (act,) = self.chance.choices([*acts], [*acts.values()])
        draw: Callable[[], dict[str, Any]] = getattr(self, f"for_{act}", dict)
        getattr(self, act, getattr(self.world, act, None))(**draw())

    def rows(self) -> list[str]:
        return self.chance.choices(ROWS, k=self.chance.randint(1, 5))

    def stage_and_transfer(self) -> None:
        self.world.stage(self.rows())
        self.world.transfer(self.chance.randint(1, MOST_ROWS))

    def restore_what_one_flow_has_read(self) -> None:
        """Shop All goes back to before a batch of one flow; then another flow goes on first."""
        self.world.copy("shop_all")
        self.stage_and_transfer()
        self.world.restore("shop_all")
        read = self.world.server, self.world.kind
        flows = [flow for flow in self.world.now.flows if flow[0] in self.world.now.docked]
        self.world.go_to(*self.chance.choice([flow for flow in flows if flow != read]))
        self.stage_and_transfer()

    def correct_before_others_read(self) -> None:
        """A row is rejected by one server and sent again; another server of the kind, if there is
        one, mostly meets both at once. What replaces a balance change is the harder case.
        """
        docked = [flow for flow in self.world.now.flows if flow[0] in self.world.now.docked]
        self.world.go_to(*self.chance.choice([*docked, *(f for f in docked if f[1] == "balances")]))
        refused = self.chance.choice(["bad", "no", "odd", "here"])
        self.world.stage([*self.rows(), refused])
        self.world.transfer(self.chance.randint(1, MOST_ROWS))
        self.world.send_again(latest=True)
        others = [(server, kind) for server, kind in docked if server != self.world.server]
        same = [flow for flow in others if flow[1] == self.world.kind]
        if same and self.chance.random() < 0.7:
            self.world.go_to(*self.chance.choice(same))
            self.world.transfer(self.chance.randint(1, 2 * MOST_ROWS))

    def change_what_others_have_read(self) -> None:
        """A row is changed that a server has read or is reading; it is decided on before the next
        transfer, or after it.
        """
        self.stage_and_transfer()
        if self.chance.random() < 0.5:
            self.world.stage(self.rows())
            self.stop_a_transfer()
        self.world.change(**self.for_change())
        acts = [self.world.transfer, lambda: self.world.decide("send")]
        self.chance.shuffle(acts)
        for act in acts:
            act()

    def take_back_what_one_server_has_read(self) -> None:
        """A file is loaded, read by a server, perhaps in part, and taken back. In between a copy of
        a database is made, and perhaps put back at once.
        """
        docked = [flow for flow in self.world.now.flows if flow[0] in self.world.now.docked]
        self.world.go_to(*self.chance.choice([flow for flow in docked if flow[1] == "balances"]))
        self.world.load(self.loaded_rows())
        read = [self.stage_and_transfer, self.stop_a_transfer]
        acts = [self.chance.choice(read), lambda: self.world.copy(**self.for_copy())]
        self.chance.shuffle(acts)
        for act in acts:
            act()
        if self.chance.random() < 0.3:
            self.world.send_again(latest=True)
        self.world.take_back(0)

    def purge_without_a_server(self) -> None:
        """A server is left behind, and others go on; rows are purged that it has not received.

        Then it may be reached again, or a copy of another takes its place.
        """
        world = self.world
        left = self.chance.choice(sorted(world.now.docked))
        others = [flow for flow in world.now.flows if flow[0] in world.now.docked - {left}]
        if not others or world.now.cut_off - {left}:
            return
        if left not in world.now.cut_off:
            world.cut_off(left)
        if not world.is_left(left):
            world.leave_behind(left)
        for flow in others:
            world.go_to(*flow)
            self.stage_and_transfer()
        world.purge()
        way = self.chance.choice([world.reach, self.clone_over, world.wait_again, None])
        if way:
            way(left)

    def correct_what_a_server_may_lack(self) -> None:
        """A server has a row that the other one refuses. It goes back to before a later row, which
        is purged like the first, and goes on without: then it is not certain about corrections.
        """
        world = self.world
        if not {*SERVERS} <= world.now.docked or world.now.cut_off:
            return
        world.go_to("second", "balances")
        world.stage(["here", *self.rows()])
        self.transfer_to("bonus", "second")
        world.copy("bonus")
        world.stage(self.rows())
        self.transfer_to("bonus", "second")
        world.send_again("here", latest=True)
        world.transfer()
        world.purge()
        world.restore("bonus")
        self.transfer_to("bonus")
        if self.chance.random() < 0.8:
            world.send_again(latest=True)
            self.transfer_to("bonus")

    def transfer_to(self, *servers: str) -> None:
        """Transfers balance changes, and settles what is refused."""
        for server in servers:
            self.world.go_to(server, "balances")
            for _ in range(3):
                if self.world.transfer(self.chance.randint(1, MOST_ROWS)) not in WAYS_OUT:
                    break
                self.world.settle()

    def clone_over(self, server: str) -> None:
        self.world.go_to(*next(flow for flow in self.world.now.flows if flow[0] != server))
        if self.world.possible()["clone"]:
            self.world.clone(with_our_schema=True, into=server)

    def loaded_rows(self) -> list[str]:
        return self.chance.choices(GOOD_IN_A_FILE, k=self.chance.randint(1, 4))

    def for_load(self) -> dict[str, Any]:
        return {"rows": self.loaded_rows()}

    def for_take_back(self) -> dict[str, Any]:
        return {"place": self.chance.choice([0, 0, 1])}

    def break_an_undo(self) -> None:
        self.world.take_back(self.chance.choice([0, 1]), self.fault())

    def for_stage(self) -> dict[str, Any]:
        return {"rows": self.rows(), "how": self.chance.choice(HOW)}

    def for_transfer(self) -> dict[str, Any]:
        return {"chunk_rows": self.chance.randint(1, MOST_ROWS)}

    def stop_a_transfer(self) -> None:
        self.world.transfer(self.chance.randint(1, 2), one_chunk=True)

    def break_a_transfer(self) -> None:
        """At connecting, or at a statement of the first connection to each database. What happens
        over others is beside them: where the process dies then would be chance, and a seed would
        not repeat it.
        """
        self.world.transfer(self.chance.randint(1, MOST_ROWS), self.fault())

    def fault(self) -> Fault:
        name, how = self.chance.choice(DATABASES), self.chance.choice(FAULTS)
        if self.chance.random() < 0.75:
            return Fault(f"{name} 1", self.chance.randint(0, MOST_STATEMENTS), how)
        return Fault(name, 0, how)

    def for_end_late(self) -> dict[str, Any]:
        return {"commit": self.chance.random() < 0.5}

    for_end_prepared = for_end_late

    def for_burn(self) -> dict[str, Any]:
        return {"transactions": self.chance.choice([1, 5, 40])}

    def for_crash(self) -> dict[str, Any]:
        return {"name": self.chance.choice(CLUSTERS)}

    def for_copy(self) -> dict[str, Any]:
        return {"name": self.chance.choice(["shop_all", "shop_all", *SERVERS, "own"])}

    def go_back(self) -> None:
        """Every other time it is shop All, if there is a copy of it."""
        way = self.chance.choice([self.world.restore, self.world.promote])
        copies = self.world.copies()
        of_shop_all = [(name, number) for name, number in copies if name == "shop_all"]
        way(*self.chance.choice(self.chance.choice([copies, of_shop_all]) or copies))

    def for_restore_dump(self) -> dict[str, Any]:
        return {"fresh": self.chance.random() < 0.5}

    def for_send_again(self) -> dict[str, Any]:
        corrected = self.chance.choice(["", "", "here", "odd"])
        return {"corrected": corrected, "latest": self.chance.random() < 0.5}

    def for_change(self) -> dict[str, Any]:
        return {
            "place": -self.chance.randint(1, MOST_ROWS),  # counted from the latest
            "value": self.chance.choice(OF_KINDS[self.world.kind].values),
            "refused": self.chance.random() < 0.1,
        }

    def for_decide(self) -> dict[str, Any]:
        return {"decision": self.chance.choice(["send", "send", "leave"])}

    def for_undock(self) -> dict[str, Any]:
        return {"server": self.world.server}

    for_dock = for_undock

    def for_clone(self) -> dict[str, Any]:
        (into,) = {*SERVERS} - {self.world.server}
        return {"with_our_schema": self.chance.random() < 0.5, "into": into}

    for_cut_off = for_reach = for_leave_behind = for_wait_again = for_undock
