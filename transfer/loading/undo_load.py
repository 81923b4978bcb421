"""Takes a load back, once: what the engine does to its rows, and what our own database notes of it.

Why pressing twice, or dying, takes nothing back twice: what shop All calls an undo is made of what
it calls the load (`engine/shop_all/undo.py`). Every attempt finds an undo that has committed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from psycopg2 import sql

from transfer.approvals import rows as entered
from transfer.approvals.gate import entering, note
from transfer.causes.loads import LOAD_IS_UNDO, LOAD_LOST
from transfer.engine.kind import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo import undo, undo_again
from transfer.errors import LoadNotUndoable, TransferError
from transfer.loading.lost import note_lost, with_undos
from transfer.models import Actor, LogPlace, Settings, Upload
from transfer.text import formats

State = Upload.State

# The rows of a load, secrets masked. By the primary key and the index on the names of rows.
ROWS = """
    select {payload} from {staged} join datatransfer.load
        on load.xid = ours.xid and load.started = ours.started
     where load.changeset = {changeset}::uuid order by ours."row"
"""


def order(load: Upload, actor: Actor) -> Upload:
    """Order the undo of a load, and return it; a worker does it.

    One that was ordered before goes on, and one that shop All has lost by a restore begins again.
    Raises LOAD_IS_UNDO; LOAD_LOST where shop All does not have the load; TransferError.
    """
    require_can_be_undone(load)
    fields = {
        "kind": load.kind,
        "input_method": Upload.InputMethod.UNDO,
        "name": str(load) if load.is_by_api else load.name,
        "good": load.good,
        "created_by": actor.name,
        "user_id": actor.user.pk if actor.user else None,
        "state": State.READY,
    }
    ordered, _is_new = Upload.objects.get_or_create(undoes=load, defaults=fields)
    if ordered.state in (State.EXPIRED, State.DISCARDED, State.DECLINED, State.LOST):
        ordered.go_on(State.READY, created_at=timezone.now(), closed_at=None)
    ordered.confirm(actor)
    return ordered


def require_can_be_undone(load: Upload, *, seconds: float | None = None) -> None:
    """Raise LOAD_IS_UNDO, LOAD_LOST where shop All lacks the load, or TransferError if it does not
    say.

    With `seconds` a page waits.
    """
    if load.is_undo:
        raise LoadNotUndoable(LOAD_IS_UNDO)
    note_lost(with_undos([load]), seconds=seconds)
    if load.state != State.LOADED:
        raise LoadNotUndoable(LOAD_LOST)


def rows_of(load: Upload, seconds: float) -> entered.Rows:
    """Sum up the rows that taking the load back would stage. A page waits. Raises TransferError."""
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", secret=False, seconds=seconds) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        return entered.of_load(shop_all.database, load.kind_spec, str(load.changeset))


def is_noted(load: Upload) -> bool:
    """Return whether shop All has noted that the load was taken back. Raises TransferError."""
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", secret=False) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        return shop_all.loads.get(shop_all.names.of_undo(str(load.changeset))) is not None


def work(upload: Upload) -> None:
    """Take back the load that the upload undoes. Raises TransferError."""
    load, kind = upload.undoes, upload.kind_spec
    if load is None:
        raise LoadNotUndoable(LOAD_LOST)
    changeset, by = str(load.changeset), upload.confirmed_by
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", secret=bool(kind.secrets)) as shop_all:
        with shop_all.database.transaction(commit=False):
            is_done = shop_all.loads.get(shop_all.names.of_undo(changeset)) is not None
            rows = entered.of_load(shop_all.database, kind, changeset)
        with entering_again(is_done, by, rows, upload):
            done = undo(shop_all, kind, changeset, comment_of(upload), by)
            upload.amount = done.amount if kind.appends else None
            upload.note_loaded(done.rows, done.changeset)
        note_log(kind, shop_all)


@contextmanager
def entering_again(is_done: bool, by: str, rows: entered.Rows, upload: Upload) -> Iterator[None]:
    """Ask whether the undo needs a second person, unless shop All has it already."""
    if not is_done:
        with entering(by, upload.input_method, rows, upload):
            yield
        return
    with transaction.atomic():
        note(by, upload.input_method, rows, upload)
        yield


@dataclass
class Again:
    """What was taken back once more: how many loads, and which of them could not be, with why."""

    done: int = 0
    refused: list[tuple[Upload, TransferError]] = field(default_factory=list)


def again(kind: Kind) -> Again:
    """Take loads back once more whose undos shop All has lost by a restore.

    Called with the confirmation of a restored shop All. Loads that it has lost as well are left
    out: nobody gets their rows. A server that has the undo already does nothing. Raises
    TransferError.
    """
    undone = [*Upload.objects.ever_undone().filter(kind=kind.name).select_related("undo")]
    note_lost(with_undos(undone))
    wanted = [one for one in undone if (one.state, one.undo.state) == (State.LOADED, State.LOST)]
    outcome = Again()
    if not wanted:
        return outcome
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", secret=bool(kind.secrets)) as shop_all:
        for load in wanted:
            comment, by = comment_of(load.undo), load.undo.confirmed_by
            done, refused = undo_again(shop_all, kind, [str(load.changeset)], comment, by)
            outcome.done += len(done)
            outcome.refused += [(load, error) for error in refused.values()]
        note_log(kind, shop_all)
    note_lost([load.undo for load in wanted])
    return outcome


def note_log(kind: Kind, shop_all: ShopAll) -> None:
    """Note in our own history how far the log goes, so that a restore which loses this is noticed.

    A log that lacks what our history has seen stays a question to an administrator: see
    `engine/knowledge`.
    """
    with shop_all.snapshot():
        origin, place = shop_all.identity.origin(), shop_all.log.end(kind)
        seen = LogPlace.objects.seen().get((origin, kind.name))
        if seen is None or shop_all.log.has(kind, seen):
            LogPlace.objects.note_end(origin, kind.name, place)


def comment_of(upload: Upload) -> str:
    """Return what the opposite rows say: which file, who, when.

    In the installation's language, not that of the page, and in characters that most encodings
    have.
    """
    with translation.override(settings.LANGUAGE_CODE):
        at = timezone.localtime(upload.confirmed_at or timezone.now(), Settings.load().zone)
        return _('Undo of "%(file)s" by %(who)s, %(when)s') % {
            "file": upload.undoes,
            "who": upload.confirmed_by,
            "when": f"{formats.date_in_numbers(at)} {formats.zone_name(at)}",
        }


def rest(load: Upload, seconds: float) -> Iterator[dict[str, str | None]]:
    """Yield the rows of a load of PIN codes or cards, secrets masked.

    What a bonus server has received of them stays there when the load is taken back: they are what
    has to be loaded with the right values. Of balance changes nothing is left. Raises
    TransferError.
    """
    kind = load.kind_spec
    if kind.appends:
        return
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", secret=True, seconds=seconds) as shop_all,
        shop_all.snapshot(kind),
    ):
        query = sql.SQL(ROWS).format(
            payload=sql.SQL(kind.payload),
            staged=kind.staged,
            changeset=sql.Literal(str(load.changeset)),
        )
        for (row,) in shop_all.database.stream("rest", query):
            yield row
