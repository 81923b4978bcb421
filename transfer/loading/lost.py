"""Loads that shop All has lost by a restore: the file can be loaded again, and the call repeated.

Whether something was loaded is answered by shop All alone. Our own record of a load that it lost is
shown as lost, and never answers for it. Undos are loads, too.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from django.conf import settings
from django.db.models import Exists, OuterRef

from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import Upload

AT_ONCE = 10_000
SECONDS = 2.0
"""How long a page or a list waits for shop All."""

State = Upload.State


def lost(loads: Sequence[Upload], *, seconds: float | None = None) -> list[Upload]:
    """Return those of these loads that shop All does not have. With `seconds` a page waits.

    Raises TransferError where shop All can't be asked.
    """
    named = [load for load in loads if load.changeset is not None]
    if not named:
        return []
    dsn = settings.SHOP_ALL_DATABASE_URL
    with (
        ShopAll(dsn, "restored", secret=True, seconds=seconds) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        known: set[str] = set()
        for first in range(0, len(named), AT_ONCE):
            names = [str(load.changeset) for load in named[first : first + AT_ONCE]]
            known |= shop_all.loads.named(names).keys()
    return [load for load in named if str(load.changeset) not in known]


def note_lost(loads: Iterable[Upload], *, seconds: float | None = None) -> None:
    """Note of each of these loads, which are loaded or lost, whether shop All has it now.

    A restore to a later copy may bring a load back, unless its rows were loaded once more since,
    which have the same name. Raises TransferError.
    """
    recorded = [load for load in loads if load.is_recorded and load.changeset is not None]
    gone = {load.pk for load in lost(recorded, seconds=seconds)}
    gone |= _replaced([load.pk for load in recorded if load.state == State.LOST])
    for load in recorded:
        state = State.LOST if load.pk in gone else State.LOADED
        if load.state != state and load.saved.filter(state=load.state).update(state=state):
            load.state = state


def _replaced(lost: list[int]) -> set[int]:
    """Return those of these loads whose rows were loaded once more since, under the same name."""
    later = Upload.objects.recorded().filter(
        changeset=OuterRef("changeset"), closed_at__gt=OuterRef("closed_at")
    )
    found = Upload.objects.filter(Exists(later), pk__in=lost) if lost else Upload.objects.none()
    return {*found.values_list("pk", flat=True)}


def look_for_lost_loads(loads: Iterable[Upload], seconds: float = SECONDS) -> bool:
    """Note what shop All has of loads that are about to be shown, and of their undos.

    Return whether it answers. Where it does not, they are shown as we know them.
    """
    with suppress(TransferError):
        note_lost(with_undos(loads), seconds=seconds)
        return True
    return False


def with_undos(loads: Iterable[Upload]) -> list[Upload]:
    """Return these loads and their undos."""
    found: list[Upload] = []
    for load in loads:
        undo = getattr(load, "undo", None)  # `select_related` reads it along
        found += [load] if undo is None else [load, undo]
    return found
