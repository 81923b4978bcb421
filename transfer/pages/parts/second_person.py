"""What pages say about rows that need a second person."""

from django.utils.translation import ngettext

from transfer.text import formats


def words_of_waiting(rows: int) -> str:
    """Return what a message says of rows that wait instead of being staged."""
    text = ngettext(
        "%(n)s row needs a second person: it is not staged, and waits until somebody approves it.",
        "%(n)s rows need a second person: they are not staged, and wait until somebody approves "
        "them.",
        rows,
    )
    return text % {"n": formats.number(rows)}
