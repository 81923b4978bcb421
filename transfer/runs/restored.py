"""Shop All lacks what was in it before: what it has lost, asked once for the whole installation.

What is lost is a query, and can be asked at any time: of our own history, and of each bonus server
that answers. The answer is that this is the right database. It loses and doubles nothing; it keeps
a test copy of shop All from being taken for the real one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from transfer.causes.ledger import SHOP_ALL_WENT_BACK
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.question import (
    LISTED,
    Lost,
    LostOfKind,
    confirm as confirm_log,
    lost_changesets,
    lost_places,
)
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ShopAllWentBack, TransferError
from transfer.installed import installed_kinds
from transfer.loading.lost import note_lost
from transfer.loading.undo_load import again
from transfer.models import (
    Actor,
    AuditEntry,
    BonusServer,
    Bulletin,
    LogPlace,
    MaintenanceTask,
    Settings,
    TransferTask,
    Upload,
)
from transfer.models.run_base import attach_runs
from transfer.runs.knowledge import knowledge_of
from transfer.runs.start import go_on, refused_for
from transfer.servers.ask import ask_all, bonus_db, shop_all

SECONDS = 600.0
"""That a command waits for the answers of all bonus servers."""

State = Upload.State


@dataclass(frozen=True)
class _Answer:
    """What a bonus server has received and shop All lacks, by kind; whether it waits for us."""

    lost: dict[str, list[Lost]]
    asks: bool


@dataclass
class Restored:
    """What shop All has lost, and whether somebody has to say that it is the right database.

    `kinds`: kind → what its log lacks, only where it lacks something. `other_origin`: it is of
    another chain than those that we have seen. `loads` and `undos`: of ours that it lacks.
    `silent`: servers that did not answer, and why. `refused`: loads that could not be taken back
    once more with the answer, and why.
    """

    asks: bool = False
    other_origin: bool = False
    kinds: dict[str, LostOfKind] = field(default_factory=dict)
    loads: list[Upload] = field(default_factory=list)
    undos: list[Upload] = field(default_factory=list)
    silent: dict[str, TransferError] = field(default_factory=dict)
    refused: list[tuple[Upload, TransferError]] = field(default_factory=list)

    @property
    def is_something(self) -> bool:
        """Whether anything is lost."""
        return bool(self.kinds or self.loads or self.undos or self.other_origin)

    @property
    def changesets(self) -> int:
        """How many lost changesets bonus servers have."""
        return sum(one.changesets for one in self.kinds.values())

    @property
    def rows(self) -> int:
        """How many rows these have."""
        return sum(one.rows for one in self.kinds.values())

    @property
    def servers(self) -> list[str]:
        """The names of the servers that have them."""
        return sorted({name for one in self.kinds.values() for name in one.servers})


def what_is_lost(seconds: float = SECONDS) -> Restored:
    """Return what shop All has lost, by our own history and by every server that answers in time.

    Changes nothing, but notes which of our loads are lost. Raises TransferError where shop All does
    not answer.
    """
    knowledge, kinds = knowledge_of(None), [*installed_kinds().values()]
    found = Restored()
    with shop_all(seconds, secret=False) as source, source.snapshot():
        origin = source.identity.origin()
        found.kinds = lost_places(kinds, source, origin, knowledge.seen)
        try:
            knowledge.check_shop_all(source, origin)
        except ShopAllWentBack:
            known_origins = {known for known, _kind in knowledge.seen}
            found.asks, found.other_origin = True, origin not in known_origins
    servers = BonusServer.objects.order_by("pk")
    ask = partial(_lost_at, origin=origin, installation=knowledge.installation)
    known: dict[str, set[str]] = {kind.name: set() for kind in kinds}
    answers = dict(ask_all(servers, ask, seconds))
    for server in servers:
        answer = answers[server]
        if isinstance(answer, TransferError):
            found.silent[server.name] = answer
            continue
        found.asks |= answer.asks
        for kind, lost in answer.lost.items():
            if lost:
                found.kinds.setdefault(kind, LostOfKind()).add(lost, known[kind])
    ours = Upload.objects.filter(state__in=[State.LOADED, State.LOST]).select_related("undoes")
    loads = [*ours.exclude(changeset=None).order_by("pk")]
    note_lost(loads, seconds=seconds)
    for load in loads:
        if load.state == State.LOST:
            (found.undos if load.is_undo else found.loads).append(load)
    return found


def _lost_at(server: BonusServer, seconds: float, origin: str, installation: str) -> _Answer:
    """Ask one server. It runs in a thread, and asks nothing of our own database."""
    lost, asks = {}, False
    with (
        shop_all(seconds, secret=False) as source,
        bonus_db(server, seconds, secret=False) as target,
    ):
        for kind in installed_kinds().values():
            with target.database.transaction(commit=False), source.snapshot():
                lost[kind.name] = [*lost_changesets(kind, source, target, origin)]
                asks |= bool(lost[kind.name]) and _waits(kind, source, target, origin, installation)
    return _Answer(lost, asks)


def _waits(
    kind: Kind, source: ShopAll, target: BonusDatabase, origin: str, installation: str
) -> bool:
    """Return whether the server's next run waits for an answer: see `move/fork.py`."""
    position = target.positions.get(origin, kind)
    if position is None or source.log.has(kind, position.place):
        return False
    fork = source.log.last_common(kind, target.positions.places(position))
    return fork is not None and fork.number >= source.log.confirmed(kind, installation)


def every_lost(seconds: float = SECONDS) -> Iterator[tuple[str, Lost]]:
    """Yield every lost changeset that a server has received, with its kind, server by server.

    A server that does not answer is left out; `what_is_lost` names it. Raises TransferError where
    shop All does not answer.
    """
    with shop_all(seconds, secret=False) as source:
        with source.snapshot():
            origin = source.identity.origin()
        for server in BonusServer.objects.order_by("pk"):
            yield from _of_server(server, source, origin, seconds)


def _of_server(
    server: BonusServer, source: ShopAll, origin: str, seconds: float
) -> Iterator[tuple[str, Lost]]:
    try:
        with bonus_db(server, seconds, secret=False) as target:
            for kind in installed_kinds().values():
                with target.database.transaction(commit=False), source.snapshot():
                    for one in lost_changesets(kind, source, target, origin):
                        yield kind.name, one
    except TransferError:
        return


def confirm(actor: Actor, seconds: float = SECONDS) -> Restored:
    """Say that this is the right shop All, if that is asked; return what it has lost. Audited.

    1. Adds a line without rows to the log of each kind, and notes in our own history how far each
       log goes.
    2. Stages undos again that shop All has lost.
    3. Tells what is lost, until somebody dismisses it; the transfers go on within a minute.

    Two processes that say so at the same time say it once. Raises TransferError where shop All does
    not answer.
    """
    with transaction.atomic():
        chosen = Settings.objects.select_for_update().get(pk=Settings.load().pk)
        found = what_is_lost(seconds)
        if not found.asks:
            return found
        kinds = [*installed_kinds().values()]
        with ShopAll(settings.SHOP_ALL_DATABASE_URL, "confirm", secret=False) as source:
            places = confirm_log(
                source,
                kinds,
                str(chosen.installation),
                _taken_back(),
                lambda kind, _loads: found.refused.extend(again(kind).refused),
            )
            with source.snapshot():
                origin = source.identity.origin()
        for kind, place in places.items():
            LogPlace.objects.note_end(origin, kind, place)
        new = {"changesets": found.changesets, "rows": found.rows, "loads": len(found.loads)}
        AuditEntry.record(actor, AuditEntry.Action.CONFIRM, chosen, new=new)
        if found.is_something:
            publish(found, actor)
    tasks = [
        *attach_runs(TransferTask.objects.with_runs()),
        *attach_runs(MaintenanceTask.objects.with_runs()),
    ]
    go_on(refused_for(SHOP_ALL_WENT_BACK, tasks))
    return found


def confirm_by_itself() -> bool:
    """Answer the question if the settings say so; return whether they do."""
    if not Settings.load().confirms_by_itself:
        return False
    confirm(Actor(""))
    return True


def _taken_back() -> Mapping[str, list[str]]:
    """Return kind → loads that our own history knows as taken back."""
    loads: dict[str, list[str]] = {}
    undos = Upload.objects.filter(state__in=[State.LOADED, State.LOST]).exclude(undoes=None)
    for kind, name in undos.values_list("kind", "undoes__changeset"):
        if name is not None:
            loads.setdefault(kind, []).append(str(name))
    return loads


def publish(found: Restored, actor: Actor) -> Bulletin:
    """Tell people what shop All has lost."""
    times = [one.first for one in found.kinds.values() if one.first]
    ends = [one.last for one in found.kinds.values() if one.last]
    params = {
        "by": actor.name,
        "changesets": found.changesets,
        "rows": found.rows,
        "first": min(times, default=None),
        "last": max(ends, default=None),
        "servers": found.servers,
        "silent": [*found.silent],
        "loads": len(found.loads),
        "undos": len(found.undos),
        "refused": [str(load) for load, _error in found.refused],
        "kinds": {kind: summary(one) for kind, one in found.kinds.items()},
    }
    loads = [
        {"load": load.pk, "kind": load.kind, "name": str(load), "rows": load.good}
        for load in [*found.loads, *found.undos]
    ]
    return Bulletin.objects.create(
        code=Bulletin.Code.SHOP_ALL_RESTORED,
        at=timezone.now(),
        params=params,
        lines=[*lines_of(found.kinds), *loads][: 2 * LISTED],
    )


def summary(lost: LostOfKind) -> dict[str, Any]:
    """Return what people are told of what a kind has lost."""
    names = ("changesets", "rows", "amount", "first", "last", "servers")
    return {name: getattr(lost, name) for name in names}


def lines_of(kinds: Mapping[str, LostOfKind]) -> Iterator[dict[str, Any]]:
    """Yield the first lost changesets of each kind."""
    for kind, lost in kinds.items():
        for one, servers in lost.listed.values():
            yield {
                "kind": kind,
                "changeset": one.changeset,
                "rows": one.rows,
                "amount": one.amount,
                "at": one.at,
                "servers": servers,
            }
