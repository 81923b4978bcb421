"""Which kind of change a file holds, by its headings."""

from itertools import chain

from django.conf import settings

from transfer.engine.kind import Kind
from transfer.loading import files
from transfer.loading.headings import missing
from transfer.models import Upload


class Anything:
    """A file of any kind: it may have the columns of each, and none is required."""

    title = "?"  # the name of no sheet
    names = tuple(dict.fromkeys(chain(*(one.names for one in settings.KINDS.values()))))
    needed: tuple[tuple[str, ...], ...] = ()
    secrets = frozenset(chain(*(one.secrets for one in settings.KINDS.values())))


def kind_of(upload: Upload) -> Kind | None:
    """The kind of which most columns are there; None where the headings tell none, or two.

    Raises FileRefused.
    """
    layout = files.detect(Anything(), upload.open, is_utf8=upload.is_utf8, chosen={})
    matches = {
        name: len({*layout.columns} & {*kind.names})
        for name, kind in settings.KINDS.items()
        if not missing(kind, layout.columns)
    }
    best = [name for name, columns in matches.items() if columns == max(matches.values())]
    return settings.KINDS[best[0]] if len(best) == 1 else None
