"""The grid of time: every task of every server on one axis; of many servers a line each, folded."""

from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from transfer.pages import links
from transfer.pages.history.tables import GridLine, GridTable
from transfer.pages.parts import folds
from transfer.pages.shown.task_groups import MANY
from transfer.pages.shown.time_grid import WINDOWS, Group, grid_of


class Fold(NamedTuple):
    """A server of the page. `url` opens it or folds it; "" if it is always open."""

    group: Group
    is_open: bool
    url: str


@require_safe
def grid(request: HttpRequest) -> HttpResponse:
    """The last hours; `hours` and the open servers are in the address."""
    asked = request.GET.get("hours", "")
    hours = next((one for one in WINDOWS if str(one) == asked), WINDOWS[0])
    shown = grid_of(hours)
    opened = folds.opened(request, [group.key for group in shown.groups if group.key is not None])
    is_folded = len(shown.groups) >= MANY
    found = []
    for group in shown.groups:
        if not is_folded or group.key is None:
            found.append(Fold(group, True, ""))
        elif group.key in opened:
            found.append(Fold(group, True, folds.url_of(request, opened - {group.key})))
        else:
            found.append(Fold(group, False, folds.url_of(request, opened | {group.key})))
    context = {
        "history": "grid",
        "grid": shown,
        "table": GridTable(
            [GridLine(group.name, line) for group in shown.all_groups for line in group.lines],
            prefix="grid-",
        ),
        "folds": found,
        "is_folded": is_folded,
        "windows": [(one, links.with_query(request.get_full_path(), hours=one)) for one in WINDOWS],
        **folds.urls(request),
    }
    return render(request, "history/grid.html", context)
