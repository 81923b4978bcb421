"""Takes a load back, once: what the engine does to its rows, and what our own database notes of it.

Why pressing twice, or dying, takes nothing back twice: the undo is an upload of its own, whose
token is made of the load's (`engine/shop_all/undo.py`). Shop All notes the token in the transaction
that stages the opposite rows, and every attempt asks for it first.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    HistoryChanged,
    LoadUnknown,
    NothingTakenBack,
    PositionLost,
    UndoGone,
)
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo import TakenBack, Undo, token_of
from transfer.engine.shop_all.withdrawal import withdraw
from transfer.errors import TransferError
from transfer.loading.lost import note_lost, was_read_elsewhere
from transfer.models import Actor, BonusServer, Settings, TransferTask, Upload
from transfer.models.recorded import recorded
from transfer.rejects.closing import close_undone
from transfer.servers.ask import ask_all, bonus_db

State = Upload.State


def order(load: Upload, actor: Actor) -> Upload:
    """The undo of a load, ordered; a worker does it. One that was ordered before goes on, and one
    that is gone with a restore of shop All begins again.

    Raises LoadUnknown where the load's rows were not recorded, or it is itself an undo; UndoGone
    where a server may have received rows of an undo that is gone; TransferError where shop All
    can't say whether it is.
    """
    if load.state != State.LOADED or load.xid is None or load.is_undo:
        raise LoadUnknown
    fields = {
        "kind": load.kind,
        "input_method": Upload.InputMethod.UNDO,
        "name": load.name,
        "undoes": load,
        "good": load.good,
        "created_by": actor.name,
        "user_id": actor.user.pk if actor.user else None,
    }
    undo, _is_new = Upload.objects.get_or_create(
        token=token_of(load.token), defaults={**fields, "state": State.READY}
    )
    if (
        undo.state == State.LOADED
        and note_lost(load.kind_spec, [undo])
        and undo.state == State.LOADED
    ):
        raise UndoGone
    if undo.state in (State.EXPIRED, State.DISCARDED, State.LOST):
        undo.go_on(State.READY, created_at=timezone.now(), closed_at=None)
    undo.confirm(actor)
    return undo


def is_noted(load: Upload) -> bool:
    """Whether shop All has noted that the load was taken back. Raises TransferError."""
    kind = load.kind_spec
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo") as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        undo = Undo(shop_all, kind, load.token)
        return undo.undo_log.exists() and undo.done() is not None


def work(upload: Upload) -> None:
    """Takes back the load that the upload undoes. Raises TransferError."""
    load, kind = upload.undoes, upload.kind_spec
    if load is None:
        raise LoadUnknown
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", secret=bool(kind.secrets)) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        undo = Undo(shop_all, kind, load.token)
        undo.require()
        undo.lock()
        done = undo.done()
        with ExitStack() as positions_held:
            if done is None:
                done = _take_back(undo, load, upload, positions_held)
                upload.report = {"withdrawn": undo.withdrawn()}
            amount, left = undo.amount(done), undo.count_rest()
            with transaction.atomic():
                shop_all.database.commit()
                # Not before: a user who sends a reject again has locked it, and waits for us.
                close_undone(shop_all, kind)
                upload.amount, upload.withdrawn = amount, done.withdrawn
                upload.report = {**upload.report, "left": left}
                upload.note_loaded(done.rows, done.origin, done.xid)


def _take_back(undo: Undo, load: Upload, upload: Upload, held: ExitStack) -> TakenBack:
    """Withdraws and stages rows in the transaction under way; the positions stay locked.

    Raises NothingTakenBack; HistoryChanged, ShopAllRestored or RecordsMissing where shop All has
    gone back in time; of PIN codes and cards, why the positions can't be locked.
    """
    kind, positions, failure = upload.kind_spec, [], None
    origin = undo.rows().origin
    undo.records.check(recorded(origin))
    try:
        positions = held.enter_context(locked_positions(kind, origin))
    except HistoryChanged:
        raise
    except TransferError as error:
        if not kind.appends:
            raise
        failure = error
    chosen, withdrawn = undo.begin(), 0
    if not (failure or was_read_elsewhere(load, chosen.origin, positions)):
        withdrawn = withdraw(undo.database, kind, chosen, positions)
    rows = undo.stage(comment_of(upload)) if kind.appends else 0
    if not rows + withdrawn:
        raise NothingTakenBack
    return undo.note(rows, withdrawn)


def comment_of(upload: Upload) -> str:
    """What the opposite rows say: which file, who, when.

    In the installation's language, not that of the page, and in characters that most
    encodings have.
    """
    at = timezone.localtime(upload.confirmed_at, Settings.load().zone)
    with translation.override(settings.LANGUAGE_CODE):
        return _('Undo of "%(file)s" by %(who)s, %(when)s') % {
            "file": upload.undoes,
            "who": upload.confirmed_by,
            "when": f"{at:%Y-%m-%d %H:%M:%S %z}",
        }


@contextmanager
def locked_positions(kind: Kind, origin: str) -> Iterator[list[Position]]:
    """The positions of all docked servers, locked until the block ends.

    A server that never had one has read nothing. Raises AlreadyRunning while a transfer runs;
    PositionLost where a server does not say what it has read; PositionOvertaken where it has read
    under a later identity of shop All; what keeps a server from answering.
    """
    with ExitStack() as stack:
        positions = []
        for task in TransferTask.objects.filter(kind=kind.name).select_related("server"):
            server = task.server
            target = stack.enter_context(BonusDatabase(server.dsn, server.name, "undo"))
            stack.enter_context(target.database.transaction(commit=False))
            target.database.may_wait()
            if not target.positions.exist(kind):
                if task.readers:
                    raise PositionLost(database=server.name, kind=kind.name)
            elif target.positions.get(origin, kind) is None:
                raise PositionLost(database=server.name, kind=kind.name)
            else:
                position = target.positions.lock(origin, kind)
                target.positions.check_overtaken(position)
                positions.append(position)
        yield positions


def rest(load: Upload, seconds: float) -> Iterator[dict[str, str | None]]:
    """What can't be taken back, as rows to load instead: of balance changes those that an undo has
    left out, with the opposite amount; else those that a bonus server has read, secrets masked.

    Where a server does not answer in time, it may have read all rows. Raises TransferError.
    """
    kind = load.kind_spec
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", secret=bool(kind.secrets)) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        undo = Undo(shop_all, kind, load.token)
        undo.require()
        positions = None if kind.appends else _positions(kind, undo.rows().origin, seconds)
        for row in undo.rest(positions):
            if amount := row.get("amount"):
                row["amount"] = str(-Decimal(amount))
            yield row


def _positions(kind: Kind, origin: str, seconds: float) -> list[Position] | None:
    """The positions of all docked servers; None if one does not answer."""
    answers = dict(
        ask_all(
            [*BonusServer.objects.all()],
            lambda server, within: _position(server, within, kind, origin),
            seconds,
        )
    )
    if any(isinstance(answer, TransferError) for answer in answers.values()):
        return None
    return [answer for answer in answers.values() if isinstance(answer, Position)]


def _position(server: BonusServer, seconds: float, kind: Kind, origin: str) -> Position | None:
    with bonus_db(server, seconds) as target:
        return target.positions.existing(origin, kind)
