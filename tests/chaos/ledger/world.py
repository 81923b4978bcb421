"""One shop All, two installations, and their servers: what a history changes."""

from __future__ import annotations

from random import Random

from tests.chaos.ledger import oracle
from tests.chaos.ledger.beginning import begin_with_nothing
from tests.chaos.ledger.bonus_server import BonusServer
from tests.chaos.ledger.chunk import Plan, commit_chunk, plan_chunk
from tests.chaos.ledger.installation import Installation
from tests.chaos.ledger.oracle import Fact, Truth, Wrong
from tests.chaos.ledger.rows import Key, Line, Refusal, Row, Sum
from tests.chaos.ledger.shop_all import ShopAll

OURS = ("s1", "s2")
THEIRS = ("t1",)
MOST_CHUNKS = 500


class World:
    """The state of a history, and what it does with every transfer.

    The second installation reads the same shop All; only ours loads and takes back.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.opposites = self.random.random() < 0.7  # balance changes; else PIN codes or cards
        self.shop = ShopAll("chain", opposites=self.opposites)
        self.installations = {"ours": Installation("ours")}
        self.owner = dict.fromkeys(OURS, "ours")
        if self.random.random() < 0.3:
            self.installations["theirs"] = Installation("theirs")
            self.owner |= dict.fromkeys(THEIRS, "theirs")
        self.servers = {name: BonusServer(name, "chain") for name in self.owner}
        self.dead: set[str] = set()
        self.known: dict[str, BonusServer] = {}  # dead servers, as they were last reached
        self.copies: list[tuple[int, ShopAll]] = []
        self.templates: list[BonusServer] = []
        self.plans: list[tuple[str, Plan]] = []
        self.began_at = dict.fromkeys(self.owner, 0)
        self.lowered_at = dict.fromkeys(self.owner, 0)  # it needs more than its registration says
        self.unnamed_gone: set[Key] = set()  # rows that a server did without, and cannot name
        self.wanted: dict[str, int] = {}  # content of a file or call: how often people meant it
        self.content_of_key: dict[str, str] = {}  # of the API: what a key was used for
        self.content: dict[str, str] = {}  # changeset of a load: its content
        self.forgot = False
        self.restores = 0  # of any database
        self.asked = dict.fromkeys(self.installations, 0)
        self.removed = False  # lines whose lifetime was over
        self.restored_after_removal = False  # maybe to a backup that is older than a lifetime
        self.truth = Truth()
        self.clock = 0
        self.trail: list[str] = []
        for name in self.installations:
            self.register(name)

    # Words of the history -------------------------------------------------------------------------

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def draw(self, prefix: str) -> str:
        """Return a random name; the history must not depend on which one."""
        return f"{prefix}{self.tick()}"

    def say(self, *words: object) -> None:
        self.trail[-1] += " " + " ".join(map(str, words))

    def pick(self) -> BonusServer:
        return self.servers[self.random.choice(sorted(self.servers))]

    @property
    def ours(self) -> Installation:
        return self.installations["ours"]

    def installation_of(self, server: str) -> Installation:
        return self.installations[self.owner[server]]

    # Shop All -------------------------------------------------------------------------------------

    def append_piece(self) -> bool:
        """Append some changesets; return whether all that were found have a line."""
        return self.shop.append(self.draw("m"), self.random.choice([1, 2, 5, 5]))

    def append_all(self) -> None:
        """Append all that is staged now: by a look that begins now."""
        if self.shop.head.looking is not None:
            self.end_look()
        self.end_look()

    def end_look(self) -> None:
        while not self.append_piece():
            pass

    def note(self, line: Line) -> Line:
        """Remember what was staged, for the oracle."""
        for row in line.rows:
            fact = Fact(row.amount, row.account, row.effect, row.of, row.root)
            self.truth.facts.setdefault((line.changeset, row.name), fact)
        self.say(line.changeset, [(row.effect, row.of, row.amount) if row.effect else row.amount
                                  for row in line.rows])  # fmt: skip
        return line

    def stage_dependent(self, rows: list[Row]) -> None:
        """Stage rows that depend on others, as our own role does it."""
        for number, row in enumerate(rows, 1):
            row.line = number
        self.note(self.shop.stage_and_append(rows, self.tick(), self.draw("m"), 5))
        self.ours.remember(self.shop)

    def look(self, installation: Installation) -> None:
        """Look at shop All before anything is moved or written: the question, and a yes."""
        if installation.lacks_what_we_saw(self.shop):
            self.say("shop_all_went_back")
            self.answer_yes(installation)
        self.append_piece()
        installation.remember(self.shop)

    def answer_yes(self, installation: Installation) -> None:
        """Say that this is the right shop All, and repeat the undos that it has lost.

        A load that is to be taken back may be staged without a line: all is appended before.
        """
        self.asked[installation.name] += 1
        if self.asked[installation.name] > self.restores:
            raise Wrong(f"{installation.name} is asked once more about one restore")
        self.append_before_answer()
        self.shop.add_answer(installation.name, self.draw("answer"), self.draw("m"))
        for load in installation.list_undos_to_repeat():
            self.take_back(load)

    def append_before_answer(self) -> None:
        self.append_all()

    def take_back(self, load: str) -> None:
        """Take a load back, or again where shop All has lost that."""
        undo = self.shop.undo(load, self.tick(), self.draw("m"), 5)
        if undo:
            self.note(undo)
            self.ours.taken_back.add(load)
            self.truth.undone_at.setdefault(load, []).append(self.clock)
            self.ours.remember(self.shop)

    # Transfers ------------------------------------------------------------------------------------

    def move(self, server: BonusServer) -> bool:
        """Move a chunk; return whether there may be more."""
        installation = self.installation_of(server.name)
        self.look(installation)
        before = server.copy()
        try:
            server.check_origin(self.shop)
            if not server.is_anchored(self.shop):
                server.go_back(self.shop, installation.confirmed(self.shop))
            self.lower_registration(server)
            plan = plan_chunk(server, self.shop, self.draw_limit())
        except Refusal as refusal:
            self.servers[server.name] = before
            self.say(server.name, refusal)
            self.settle(before, refusal)
            return True
        if any(line.removed for line in self.shop.log[server.number : plan.end]):
            raise Wrong(f"{server.name} passes a line that has gone")
        self.commit(server, plan)
        return plan.more or self.shop.head.looking is not None

    def draw_limit(self) -> int:
        return self.random.choice([2, 2, 3, 6])

    def lower_registration(self, server: BonusServer) -> None:
        if server.name not in self.dead and server.needs_from(self.shop):
            self.installation_of(server.name).lower_registration(
                self.shop, server.needs_from(self.shop) or 0, self.tick()
            )

    def commit(self, server: BonusServer, plan: Plan) -> None:
        for changeset in plan.chosen:
            line = self.shop.line(changeset)
            if line and (line.withdrawn or self.corrects_withdrawn_only(line)):
                raise Wrong(f"{server.name} reads {changeset}, which was taken back")
        one_by_one = commit_chunk(server, plan, self.draw("v"), opposites=self.opposites)
        self.say(server.name, server.number, [key for key, _ in plan.rows])
        self.unnamed_gone |= set(plan.lacking) - set(plan.gone)
        for what in ("table", "values", "seen", "rejects"):
            mine, other = getattr(server, what), getattr(one_by_one, what)
            if what == "table":
                mine, other = sorted(mine), sorted(other)
            if mine != other:
                raise Wrong(f"{server.name}: {what} is not as row by row: {mine} {other}")
        if server.is_anchored(self.shop) and server.find_missing_sum(self.shop) != Sum():
            raise Wrong(f"{server.name}: {server.find_missing_sum(self.shop)} are missing")

    def corrects_withdrawn_only(self, line: Line) -> bool:
        """Return whether these are PIN codes or cards that correct nothing but what was undone."""
        roots = {row.root[0] for row in line.rows if row.root}
        complete = len(roots) and all(row.root for row in line.rows)
        undone = {other.changeset for other in self.shop.log if other.load and other.withdrawn}
        return not self.opposites and bool(complete) and roots <= undone

    def settle(self, server: BonusServer, refusal: Refusal) -> None:
        """Answer a question as people do."""
        if refusal.code == "rows_purged":
            self.check_purged(server, refusal.changesets)
            server.skip(refusal.changesets)
            server.set_version(self.draw("v"))
        elif refusal.code == "rows_differ":
            for changeset in refusal.changesets:
                line = self.shop.line(changeset)
                assert line
                line.gone = len(line.deleted)
        elif refusal.code == "history_too_old":
            excused = server.trace.went_back and any(line.removed for line in self.shop.log)
            if not (excused or server.trace.merged or self.restored_after_removal):
                raise Wrong(f"{server.name}: its history is not too old")
            self.begin_nothing(server.name)
        elif refusal.code == "shop_all_went_back":
            self.answer_yes(self.installation_of(server.name))
            self.installation_of(server.name).remember(self.shop)
        else:
            raise Wrong(f"{server.name}: {refusal}")

    def check_purged(self, server: BonusServer, changesets: list[str]) -> None:
        for changeset in changesets:
            line = self.shop.line(changeset)
            if not line or not line.purged:
                raise Wrong(f"{server.name}: {changeset} is not purged")
        if not server.trace.went_back:
            raise Wrong(f"{server.name} needs {changesets}, which were purged")

    def drain(self, name: str) -> None:
        """Move everything to a server, and ask the oracle."""
        self.move_all(name)
        if self.list_without_line():  # committed below the stop of a look that had begun before
            self.move_all(name)
        if left := self.list_without_line():
            raise Wrong(f"{left} have no line in the log")
        oracle.check(self.servers[name], self.shop, self.truth)
        self.check_loads(self.servers[name])
        if self.owner[name] == "ours":  # theirs may have looked first
            self.check_undos()
        self.check_masked(self.servers[name])

    def move_all(self, name: str) -> None:
        for _ in range(MOST_CHUNKS):
            if not self.move(self.servers[name]):
                return
        raise Wrong("does not end")

    def list_without_line(self) -> list[str]:
        return [line.changeset for line in self.shop.staged if line.committed]

    def check_loads(self, server: BonusServer) -> None:
        """No file and no call has more copies on a server than people meant."""
        copies: dict[str, set[str]] = {}
        for _, (changeset, _), _ in server.trace.delivered:
            if changeset in self.content:
                copies.setdefault(self.content[changeset], set()).add(changeset)
        for content, changesets in copies.items():
            if len(changesets) > self.wanted[content]:
                raise Wrong(
                    f"{server.name}: {content} was loaded {self.wanted[content]} times, but is"
                    f" there as {changesets}"
                )

    def check_undos(self) -> None:
        """What was taken back, and shop All lost, is taken back again."""
        for load in self.ours.taken_back if not self.forgot else ():
            line = self.shop.line(load)
            if line and not (line.withdrawn or line.purged or line.deleted):
                raise Wrong(f"{load} was taken back, but is valid")

    def check_masked(self, server: BonusServer) -> None:
        """People can still see what they are asked to correct."""
        if self.opposites or server.trace.went_back or server.name in self.dead:
            return
        for key, reject in server.rejects.items():
            line = self.shop.line(key[0])
            if reject.is_open and line and line.purged and not line.withdrawn:
                raise Wrong(f"{server.name}: {key} cannot be shown, it was purged")

    # Beginnings and the registry ------------------------------------------------------------------

    def begin_nothing(self, name: str) -> None:
        """Give a server that lost its history an empty one; the vendor restores an empty table."""
        server = begin_with_nothing(name, self.shop, self.draw("v"))
        server.trace.went_back = True
        if purged := [line.changeset for _, line, _ in self.needed_by(server) if line.purged]:
            raise Wrong(f"{name} begins, and cannot go on without {purged}")
        self.put(server)
        self.say(name, "begins with nothing")
        removed = [number for number, line in enumerate(self.shop.log, 1) if line.removed]
        # Known limit: shop All restored to before lines went, when a server has begun since.
        self.copies = [
            (event, copy)
            for event, copy in self.copies
            if all(number <= len(copy.log) and copy.log[number - 1].removed for number in removed)
        ]

    def put(self, server: BonusServer) -> None:
        """Dock a server that has begun."""
        self.servers[server.name] = server
        self.dead.discard(server.name)
        self.began_at[server.name] = self.tick()
        self.lower_registration(server)

    def needs_from(self, installation: str) -> int | None:
        return self.installations[installation].needs_from(
            self.shop, self.list_docked(installation)
        )

    def list_docked(self, installation: str) -> list[BonusServer]:
        """Return the servers of an installation, dead ones as they were last reached."""
        return [
            self.known[name] if name in self.dead else server
            for name, server in self.servers.items()
            if self.owner[name] == installation
        ]

    def register(self, installation: str) -> bool:
        """Note what an installation needs; False: it does not know."""
        needs_from = self.needs_from(installation)
        if needs_from is None:
            return False
        self.installations[installation].register(self.shop, needs_from, self.tick())
        return True

    def note_purged(self, line: Line) -> None:
        """Purge a line. Nobody may need it who is anchored and whose registration is right."""
        line.purged = True
        line.deleted, line.gone = set(), 0
        for name, server in self.servers.items():
            if name in self.dead or not server.is_anchored(self.shop):
                continue
            if line.changeset not in [other.changeset for _, other, _ in self.needed_by(server)]:
                continue
            registered_at = self.shop.registered_at.get(self.owner[name], 0)
            if registered_at >= self.lowered_at[name]:
                raise Wrong(f"{name}: {line.changeset} was purged, but is needed")
            server.trace.went_back = True  # shop All forgot what its installation needs

    def needed_by(self, server: BonusServer) -> list[tuple[int, Line, int]]:
        return server.list_needed(self.shop)
