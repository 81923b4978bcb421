"""What people are told of restores, in sentences of the reader's language."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from transfer.text import formats

Params = Mapping[str, Any]


def sentence(code: str, params: Params) -> str:
    """Return what has happened, as a line of the overview."""
    return SENTENCES[code](params)


def note(code: str, params: Params) -> str:
    """Return what has to be done by people, below that line; empty if nothing has."""
    return _compare_with_vendor(params) if code == "server_restored" else ""


def points(code: str, params: Params) -> list[str]:
    """Return what it means, and what to do, a sentence each."""
    return POINTS[code](params)


def _of_shop_all(params: Params) -> str:
    if not params["changesets"]:
        return _("Shop All was restored to an earlier time")
    words = _("Shop All was restored: it has lost %(rows)s that bonus servers have")
    return words % {"rows": formats.rows(params["rows"])}


def _of_server(params: Params) -> str:
    rows = sum(about["rows"] for about in params["kinds"].values())
    words = _("%(server)s was restored to an earlier time: it is sent %(rows)s again")
    return words % {"server": params["server"], "rows": formats.rows(rows)}


def _points_of_shop_all(params: Params) -> list[str]:
    found = []
    if params["servers"]:
        words = _("These servers keep the lost rows, and do not get them again: %(servers)s.")
        found.append(words % {"servers": ", ".join(params["servers"])})
    if params["changesets"]:
        found.append(
            _(
                "Other servers lack them. Load the files again that are listed here, or repeat the "
                "calls: a row is applied only where it is missing."
            )
        )
        found.append(
            _(
                "Rows that head office wrote by SQL and writes again are new rows: servers that "
                "have the lost ones would count them twice."
            )
        )
    if params["undos"]:
        found.append(
            _("Undos that shop All has lost are staged again, if it still has their load.")
        )
    if params["refused"]:
        words = _(
            "These loads could not be taken back again, since rows of them are gone: %(loads)s."
        )
        found.append(words % {"loads": ", ".join(params["refused"])})
    if params["silent"]:
        words = _("These servers did not answer, so what they have is not counted: %(servers)s.")
        found.append(words % {"servers": ", ".join(params["silent"])})
    return found


def _points_of_server(params: Params) -> list[str]:
    sent = _("The transfers send again by themselves what it has lost, each row once.")
    return [sent, _compare_with_vendor(params)]


def _compare_with_vendor(params: Params) -> str:
    """Say from when to when registers wrote what is gone."""
    times = [about["from"] for about in params["kinds"].values() if about["from"]]
    ends = [about["to"] for about in params["kinds"].values()]
    span = {"to": formats.bound(_moment(max(ends)), zone=True)}
    if times:
        words = _(
            "What registers wrote there between %(from)s and %(to)s is lost on it: let the vendor "
            "compare that."
        )
        span["from"] = formats.bound(_moment(min(times)))
    else:
        words = _(
            "What registers wrote there before %(to)s, since its backup was made, is lost on it: "
            "let the vendor compare that."
        )
    return words % span


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


SENTENCES = {"shop_all_restored": _of_shop_all, "server_restored": _of_server}
POINTS = {"shop_all_restored": _points_of_shop_all, "server_restored": _points_of_server}
