"""An installation of Data Transfer: its own history, the question, loads, and the registry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.chaos.ledger.bonus_server import BonusServer
from tests.chaos.ledger.names import digest_of, name_of_call, name_of_file
from tests.chaos.ledger.rows import ZERO, Refusal, Row
from tests.chaos.ledger.shop_all import Load, ShopAll


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answers to a call that loads rows."""

    status: int  # 201: loaded, 200: replayed, 409: refused
    changeset: str = ""


class Installation:
    """Our own database: what we have seen of the log, loaded and taken back.

    `last_seen` has the origin, too. Its start, line 0 of no origin, is in every log.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.origin = ""
        self.last_seen = (0, ZERO)
        self.loaded: dict[str, Load] = {}
        self.taken_back: set[str] = set()

    def copy_history(self, other: Installation) -> None:
        self.origin, self.last_seen = other.origin, other.last_seen
        self.loaded, self.taken_back = dict(other.loaded), set(other.taken_back)

    # The question ---------------------------------------------------------------------------------

    def is_another_origin(self, shop: ShopAll) -> bool:
        """Return whether this is a shop All of another chain: it is refused by name."""
        return self.origin not in ("", shop.origin)

    def lacks_what_we_saw(self, shop: ShopAll) -> bool:
        """Return whether shop All went back behind our own history: asked before all else."""
        return not shop.has(*self.last_seen)

    def remember(self, shop: ShopAll) -> None:
        self.origin, self.last_seen = shop.origin, shop.end()

    def forget(self) -> None:
        """Be restored to a state without history of the log."""
        self.origin, self.last_seen = "", (0, ZERO)

    def confirmed(self, shop: ShopAll) -> int:
        """Return the line of our last answer: forks below it are not asked about again."""
        return shop.last_answer(self.name)

    def list_undos_to_repeat(self) -> list[str]:
        """Return the loads that are taken back again after a yes."""
        return sorted(self.taken_back)

    # Loads ----------------------------------------------------------------------------------------

    def choose_file_name(self, shop: ShopAll, rows: list[Row]) -> str:
        """Return the name of a file that is to be loaded now."""
        return name_of_file(
            shop.name_key, digest_of(rows), shop.loads, self.list_refused_names(shop)
        )

    def list_refused_names(self, shop: ShopAll) -> set[str]:
        """Return the names that were taken back: a server that did so would ignore them."""
        return self.taken_back

    def is_file_lost(self, shop: ShopAll, rows: list[Row]) -> bool:
        """Return whether our history knows this file, not taken back, and shop All does not."""
        digest = digest_of(rows)
        return any(
            not load.idempotency_key
            and load.digest == digest
            and name not in shop.loads
            and name not in self.taken_back
            for name, load in self.loaded.items()
        )

    def answer_call(self, shop: ShopAll, idempotency_key: str, rows: list[Row]) -> Answer:
        """Return the answer to a call; where it is 201, the caller stages the rows.

        1. Shop All knows the key: replayed, or refused if the content is another one.
        2. Our history knows the key with other content: refused, though shop All lost that.
        3. The load was taken back, and shop All lost both: refused. The name would be ignored.
        4. Else it is loaded, whether or not our history knows it.
        """
        digest = digest_of(rows)
        name = name_of_call(shop.name_key, idempotency_key, digest)
        if known := self.find_call(shop, idempotency_key):
            changeset, load = known
            return Answer(200 if load.digest == digest else 409, changeset)
        if self.is_other_content(idempotency_key, digest) or self.was_call_taken_back(name):
            return Answer(409, name)
        return Answer(201, name)

    def find_call(self, shop: ShopAll, idempotency_key: str) -> tuple[str, Load] | None:
        """Return what shop All's `load` knows of a key; our own history never answers for it."""
        return find_key(shop.loads, idempotency_key)

    def is_other_content(self, idempotency_key: str, digest: str) -> bool:
        known = find_key(self.loaded, idempotency_key)
        return known is not None and known[1].digest != digest

    def was_call_taken_back(self, name: str) -> bool:
        return name in self.taken_back

    def record_load(self, shop: ShopAll, changeset: str, load: Load) -> None:
        """Note a load in shop All, in the transaction that stages it, and in our own history.

        Raises Refusal if the key of a call is there already: it is unique.
        """
        if load.idempotency_key and find_key(shop.loads, load.idempotency_key):
            raise Refusal("key_used", [changeset])
        shop.loads[changeset] = load
        self.loaded[changeset] = load

    # The registry ---------------------------------------------------------------------------------

    def needs_from(self, shop: ShopAll, servers: Iterable[BonusServer]) -> int | None:
        """Return the first line that our docked servers need; None: it is not known.

        `servers`: dead ones as they were when they were last reached.
        """
        least = len(shop.log) + 1
        for server in servers:
            needs_from = server.needs_from(shop)
            if needs_from is None:
                return None
            least = min(least, needs_from)
        return least

    def register(self, shop: ShopAll, needs_from: int, event: int) -> None:
        """Note what we need, with a purge."""
        shop.register(self.name, needs_from, event)

    def lower_registration(self, shop: ShopAll, needs_from: int, event: int) -> None:
        """Note at once that we need older lines: a server began, or went back."""
        if needs_from < shop.registry.get(self.name, needs_from + 1):
            shop.register(self.name, needs_from, event)


def find_key(loads: dict[str, Load], idempotency_key: str) -> tuple[str, Load] | None:
    return next(
        ((name, load) for name, load in loads.items() if load.idempotency_key == idempotency_key),
        None,
    )
