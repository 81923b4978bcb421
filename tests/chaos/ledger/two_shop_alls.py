"""The question by our own history: installations that are pointed at the wrong shop All.

`ours` transfers from the real shop All, `test` (a copy of our own database) from a test copy of it;
`other` is a shop All of another chain. By mistake either installation is pointed at another shop
All. Whoever is asked answers rightly: "yes" if it is his shop All, else he corrects the address.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.chaos.ledger.bonus_server import BonusServer
from tests.chaos.ledger.chunk import commit_chunk, plan_chunk
from tests.chaos.ledger.installation import Installation
from tests.chaos.ledger.oracle import Wrong
from tests.chaos.ledger.rows import Refusal, Row
from tests.chaos.ledger.shop_all import ShopAll

STEPS = 60  # of a history
PIECE = 100  # changesets of an append: more than there ever are


class Pointed:
    """An installation, the shop All that it is pointed at, and its servers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shop = name
        self.history = Installation(name)
        self.warned = False  # only the oracle: it went on although this shop All lacks its history
        self.servers = {
            which: BonusServer(f"{name}-{which}", "chain") for which in ("quick", "lagging")
        }


class TwoShopAlls:
    """The state of a history. The oracle: no row of another shop All reaches a server of ours."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.shops = {
            "ours": ShopAll("chain"),
            "test": ShopAll("chain"),
            "other": ShopAll("another chain"),
        }
        self.both = [Pointed("ours"), Pointed("test")]
        self.copies: list[ShopAll] = []
        self.staged_in: dict[str, str] = {}  # changeset: the shop All in which it was staged
        self.inherited: set[str] = set()  # changesets that the test copy has from the real one
        self.clock = 0
        self.trail: list[str] = []

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def draw(self, prefix: str) -> str:
        return f"{prefix}{self.tick()}"

    def say(self, *words: object) -> None:
        self.trail[-1] += " " + " ".join(map(str, words))

    def shop_of(self, pointed: Pointed) -> ShopAll:
        return self.shops[pointed.shop]

    # The question ---------------------------------------------------------------------------------

    def ask(self, pointed: Pointed) -> bool:
        """Look before anything is moved or written; return whether this is the right shop All."""
        if self.is_asked(pointed):
            if not self.answer(pointed):
                return False
            pointed.warned = False
        shop, history = self.shop_of(pointed), pointed.history
        pointed.warned = pointed.warned or not self.could_not_know(pointed)
        shop.append(self.draw("m"), PIECE)
        remember(history, shop)
        return True

    def is_asked(self, pointed: Pointed) -> bool:
        """Return whether our own history does not fit: another chain, or lines that are lost."""
        shop, history = self.shop_of(pointed), pointed.history
        if history.is_another_origin(shop):
            return True
        return history.lacks_what_we_saw(shop) and not is_answered(pointed, shop)

    def answer(self, pointed: Pointed) -> bool:
        self.say("asked")
        if pointed.shop != pointed.name:
            pointed.shop = pointed.name
            self.say("no")
            return False
        shop = self.shop_of(pointed)
        shop.append(self.draw("m"), PIECE)
        shop.add_answer(pointed.name, self.draw("answer"), self.draw("m"))
        remember(pointed.history, shop)
        self.repeat_undos(pointed)
        return True

    def repeat_undos(self, pointed: Pointed) -> None:
        for load in pointed.history.list_undos_to_repeat():
            self.take_back(pointed, load)

    def could_not_know(self, pointed: Pointed) -> bool:
        """Return whether this shop All has everything that this installation has ever seen."""
        history, shop = pointed.history, self.shop_of(pointed)
        return history.origin in ("", shop.origin) and shop.has(*history.last_seen)

    def take_back(self, pointed: Pointed, load: str) -> None:
        shop = self.shop_of(pointed)
        known = self.could_not_know(pointed)
        line = shop.undo(load, self.tick(), self.draw("m"), PIECE)
        if not line:
            return
        if pointed.shop != pointed.name and not known:
            raise Wrong(f"{pointed.name} takes {load} back in {pointed.shop}'s shop All")
        self.staged_in.setdefault(line.changeset, pointed.name)
        pointed.history.taken_back.add(load)
        remember(pointed.history, shop)
        self.say(line.changeset)

    def move(self, pointed: Pointed, which: str) -> None:
        if not self.ask_before_moving(pointed):
            return
        shop = self.shop_of(pointed)
        server = pointed.servers[which].copy()
        known = self.could_not_know(pointed) and not pointed.warned
        try:
            server.check_origin(shop)
            if not server.is_anchored(shop):
                server.go_back(shop, pointed.history.confirmed(shop))
            plan = plan_chunk(server, shop, 3)
        except Refusal as refusal:
            if refusal.code not in ("shop_all_went_back", "another_origin"):
                raise Wrong(refusal.code) from None
            self.answer(pointed)
            return
        commit_chunk(server, plan, self.draw("v"), opposites=True)
        self.say(server.name, [key for key, _ in plan.rows])
        self.check_rows(pointed, [key[0] for key, _ in plan.rows], known=known)
        pointed.servers[which] = server

    def ask_before_moving(self, pointed: Pointed) -> bool:
        return self.ask(pointed)

    def check_rows(self, pointed: Pointed, changesets: list[str], *, known: bool) -> None:
        """Rows that belong to another shop All may move only where nobody could know."""
        ours = self.inherited if pointed.name == "test" else set()
        strange = [
            changeset
            for changeset in changesets
            if self.staged_in[changeset] != pointed.name and changeset not in ours
        ]
        if strange and pointed.shop == "other":
            raise Wrong(f"{pointed.name} received {strange} of another chain")
        if strange and pointed.shop != pointed.name and not known:
            raise Wrong(f"{pointed.name} received {strange} from {pointed.shop}'s shop All")


def remember(history: Installation, shop: ShopAll) -> None:
    history.remember(shop)


def is_answered(pointed: Pointed, shop: ShopAll) -> bool:
    """Return whether an answer makes the question needless. None does: it moves `last_seen`."""
    return False


# Steps --------------------------------------------------------------------------------------------


def write(world: TwoShopAlls, pointed: Pointed) -> None:
    """Head office loads rows into a shop All; it knows its own."""
    where = world.random.choice([pointed.name, pointed.name, pointed.name, "other"])
    shop = world.shops[where]
    started = world.tick()
    changeset = f"f{started}"
    line = shop.stage([Row(10, line=1)], shop.begin(), started, changeset, load=True)
    line.committed = True
    world.staged_in[changeset] = where
    world.say(where, changeset)


def take_back(world: TwoShopAlls, pointed: Pointed) -> None:
    if world.ask(pointed):
        log = world.shop_of(pointed).log
        if found := [line.changeset for line in log if line.load and not line.withdrawn]:
            world.take_back(pointed, world.random.choice(found))


def look(world: TwoShopAlls, pointed: Pointed) -> None:
    world.ask(pointed)


def move(world: TwoShopAlls, pointed: Pointed) -> None:
    world.move(pointed, world.random.choice(["quick", "quick", "quick", "lagging"]))


def mistake_address(world: TwoShopAlls, pointed: Pointed) -> None:
    pointed.shop = world.random.choice([name for name in world.shops if name != pointed.name])
    world.say(pointed.name, "->", pointed.shop)


def correct_address(world: TwoShopAlls, pointed: Pointed) -> None:
    pointed.shop, pointed.warned = pointed.name, False


def copy_shop(world: TwoShopAlls, pointed: Pointed) -> None:
    world.copies = [*world.copies[-4:], world.shops["ours"].copy()]


def restore_shop(world: TwoShopAlls, pointed: Pointed) -> None:
    if world.copies:
        world.shops["ours"] = world.random.choice(world.copies).copy()
        world.shops["ours"].restart(world.tick(), new_cluster=False)


def make_test_copy(world: TwoShopAlls, pointed: Pointed) -> None:
    """The test environment is copied from the real one: shop All, our database, servers."""
    ours, test = world.both
    if ours.shop != "ours":
        return
    world.shops["test"] = world.shops["ours"].copy()
    world.shops["test"].restart(world.tick(), new_cluster=False)
    world.inherited = set(world.staged_in)
    test.shop, test.warned = "test", False
    test.history.copy_history(ours.history)
    test.servers = {which: server.copy() for which, server in ours.servers.items()}
    for server in test.servers.values():
        server.name = server.name.replace("ours", "test")


def forget(world: TwoShopAlls, pointed: Pointed) -> None:
    """Our own database is restored to a state without history."""
    pointed.history.forget()


Step = Callable[[TwoShopAlls, Pointed], None]
FREQUENCIES: dict[Step, float] = {
    write: 8, take_back: 2, look: 5, move: 12, mistake_address: 2, correct_address: 1, copy_shop: 2,
    restore_shop: 1.5, make_test_copy: 0.7, forget: 0.3,
}  # fmt: skip


def play(seed: int) -> TwoShopAlls:
    """Play a history to its end. Raises Wrong, with what happened."""
    world = TwoShopAlls(seed)
    try:
        for step in world.random.choices(list(FREQUENCIES), list(FREQUENCIES.values()), k=STEPS):
            world.trail.append(step.__name__)
            step(world, world.random.choice(world.both))
    except Wrong as error:
        raise Wrong("\n".join([*world.trail, f"seed {seed}: {error}"])) from None
    return world
