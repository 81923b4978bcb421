"""Runs that the user has just started: the page shows their progress until it is left."""

import re
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from transfer.models import MaintenanceRun, TransferRun
from transfer.models.run_base import Run, State
from transfer.pages import links
from transfer.runs import workers

KEY = re.compile(r"(maintenance-)?(\d{1,18})", re.ASCII)
MOST = 100


def url_of(url: str, runs: Iterable[Run]) -> str:
    """The address of a page that shows the progress of these runs."""
    keys = ",".join(run.key for run in runs)
    plain, hash_, place = url.partition("#")
    return links.with_query(plain, run=keys or None, changed=None, v=None) + hash_ + place


def context(request: HttpRequest) -> dict[str, Any]:
    """The runs that the address names, and when the queued ones start."""
    keys = request.GET.get("run", "").split(",")
    matches = [match for key in keys[:MOST] if (match := KEY.fullmatch(key))]
    runs: list[Run] = []
    for model, prefix in ((TransferRun, None), (MaintenanceRun, "maintenance-")):
        if numbers := [match[2] for match in matches if match[1] == prefix]:
            runs += model._default_manager.filter(pk__in=numbers).order_by("pk")
    queued = sum(run.state == State.QUEUED for run in runs)
    return {
        "started": runs,
        "when": workers.when_it_starts(queued) if queued else "",
        "left": links.with_query(request.get_full_path(), run=None),
    }
