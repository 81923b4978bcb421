"""The phrases of the sentences and hints of problems."""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from transfer.causes.runs import QUEUE_STUCK
from transfer.errors import TransferError
from transfer.models import MaintenanceTask
from transfer.models.failing import saved_error
from transfer.models.tasks import KindChoices
from transfer.text import formats
from transfer.text.explain import Explanation, explain

Params = dict[str, Any]  # of a problem, as they are saved


def task_name(params: Params) -> str:
    """The task of a problem."""
    kind = params["kind"]
    if kind in KindChoices.values:
        names = {"kind": KindChoices(kind).label, "server": params["server"]}
        return _("%(kind)s → %(server)s") % names
    return str(MaintenanceTask.Kind(kind).label)


def moment(params: Params, name: str = "since") -> str:
    at = params.get(name)
    return formats.moment(datetime.fromisoformat(at)) if at else formats.NOTHING


def clock(params: Params, name: str = "since") -> str:
    """A moment that fits after "since" and "until"."""
    at = params.get(name)
    return formats.bound(datetime.fromisoformat(at)) if at else formats.NOTHING


def cause(params: Params) -> Explanation:
    if params.get("interrupted"):
        return Explanation(_("The process that ran it is gone."), "")
    return explain(saved_error(params["code"], params["error"]))


def stuck(params: Params) -> Explanation:
    return explain(TransferError(QUEUE_STUCK, since=clock(params)))


def waits(params: Params) -> str:
    return formats.rows_wait(params["n"])


def guards(params: Params) -> Explanation:
    """Without the SQL for another role, which `Problem.sql` has."""
    return explain(saved_error(params["code"], {**params["error"], "script": ""}))


def together(first: str, second: str) -> str:
    """Return two texts as one. The first may end with a command, which has no full stop."""
    first = first.strip()
    if first and not first.endswith((".", "!", "?")):
        first += "."
    return f"{first} {second}".strip()
