"""Which kind of change a file holds, by its headings."""

from dataclasses import dataclass
from itertools import chain

from transfer.engine.kinds import KINDS, Kind
from transfer.loading import files
from transfer.loading.headings import missing, recognised
from transfer.models import Upload


@dataclass(frozen=True)
class Anything:
    """Read as whatever it is: by the columns of every kind, none of which has to be there."""

    title: str = "?"  # no sheet is called so
    names: tuple[str, ...] = tuple(dict.fromkeys(chain(*(one.names for one in KINDS.values()))))
    needed: tuple[tuple[str, ...], ...] = ()
    secrets: frozenset[str] = frozenset(chain(*(one.secrets for one in KINDS.values())))


def kind_of(upload: Upload) -> Kind | None:
    """The kind of which most columns are there; None where the headings tell none, or two.

    Raises FileRefused.
    """
    layout = files.detect(Anything(), upload.open, is_utf8=upload.is_utf8, chosen={})
    matches = {
        kind.name: len({*recognised(kind, list(layout.headings))} & {*kind.names})
        for kind in KINDS.values()
        if layout.header and not missing(kind, recognised(kind, list(layout.headings)))
    }
    best = max(matches.values(), default=0)
    names = [name for name, columns in matches.items() if columns == best]
    return KINDS[names[0]] if len(names) == 1 else None
