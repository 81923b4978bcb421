"""Which kind of change a file holds, by its headings."""

from itertools import chain

from transfer.engine.kind import Kind
from transfer.installed import installed_kinds
from transfer.loading import file_formats
from transfer.loading.headings import missing
from transfer.models import Upload


class Anything:
    """A file of any kind: it may have the columns of each, and none is required."""

    title = "?"  # the name of no sheet
    names = tuple(dict.fromkeys(chain(*(one.names for one in installed_kinds().values()))))
    needed: tuple[tuple[str, ...], ...] = ()
    secrets = frozenset(chain(*(one.secrets for one in installed_kinds().values())))


def kind_of(upload: Upload) -> Kind | None:
    """The kind of which most columns are there; None where the headings tell none, or two.

    Raises FileRefused.
    """
    layout = file_formats.detect(Anything(), upload.open, is_utf8=upload.is_utf8, chosen={})
    matches = {
        name: len({*layout.columns} & {*kind.names})
        for name, kind in installed_kinds().items()
        if not missing(kind, layout.columns)
    }
    best = [name for name, columns in matches.items() if columns == max(matches.values())]
    return installed_kinds()[best[0]] if len(best) == 1 else None
