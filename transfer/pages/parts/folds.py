"""Which folds the user has opened, each about one bonus server: the address of the page says so.

So Back, a reload and a link show what was open, and a refresh brings the content of these alone.
"""

import re
from collections.abc import Collection

from django.http import HttpRequest

from transfer.pages import links

OPEN, ALL = "open", "all"
KEY = re.compile(r"\d{1,9}", re.ASCII)


def opened(request: HttpRequest, shown: Collection[int]) -> set[int]:
    """Return the keys of the servers that the address opens, of those that the page shows."""
    given = request.GET.get(OPEN, "")
    if given == ALL:
        return set(shown)
    return {int(key) for key in KEY.findall(given)} & set(shown)


def url_of(request: HttpRequest, opened: Collection[int]) -> str:
    """Return the address of the page with the folds of these servers open."""
    keys = ",".join(map(str, sorted(opened)))
    return links.with_query(request.get_full_path(), **{OPEN: keys or None})


def urls(request: HttpRequest) -> dict[str, str]:
    """Return the addresses with all groups open, and with those alone that have a problem."""
    here = request.get_full_path()
    return {
        "all_open": links.with_query(here, **{OPEN: ALL}),
        "all_folded": links.with_query(here, **{OPEN: None}),
    }
