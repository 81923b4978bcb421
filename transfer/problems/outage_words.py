"""The sentences about an outage: while it lasts, and when it is over.

The words are made of the parameters that `outages.Evidence` gives. `silent` are the doors (admin,
service, database) that give no answer since `since`, and `ever` those that have given none since it
began.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _, ngettext

from transfer.text import formats

Params = dict[str, Any]

# What outages that are alike have in common. How much of the server is silent:
WHOLE, DATABASE, PORTS = "whole", "database", "ports"
# Or that it answers again, and its transfers catch up; that they have done so; or that all of it
# answers, and something fails for a cause.
AGAIN, OVER, CAUSE = "again", "over", "cause"


def now(params: Params) -> str:
    """What does not answer since when, and what waits; empty if all doors answer."""
    if params["answered"]:
        again = _("%(server)s is well again since %(at)s")
        if params["ever"]:
            again = _("%(server)s answers again since %(at)s")
        answers = again % {**_names(params), "at": _at(params["answered"])}
        count = params["failing"]
        if not count:
            return answers
        catch_up = ngettext("%(n)s transfer catches up", "%(n)s transfers catch up", count)
        return f"{answers}; {catch_up % {'n': formats.number(count)}}"
    if not params["silent"]:
        return ""
    names = {**_names(params, params["silent"]), "at": _at(params["since"])}
    sentence = _does_not_answer(params) % names
    return "; ".join(filter(None, [sentence, waits(params)]))


def past(params: Params) -> str:
    """What did not answer; empty if all doors always answered."""
    if not params["ever"]:
        return ""
    return _did_not_answer(params) % _names(params, params["ever"])


def several_fail(params: Params) -> str:
    """Says that several transfers fail, though all doors answer."""
    text = ngettext(
        "%(server)s: %(n)s transfer fails", "%(server)s: %(n)s transfers fail", params["failing"]
    )
    return text % {**_names(params), "n": formats.number(params["failing"])}


def waits(params: Params) -> str:
    """How many transfers wait because of it; empty if none does."""
    stops = "database" in params["doors"] or params["failing"]
    return waiting(params["waiting"]) if stops else ""


def waiting(count: int) -> str:
    """Says how many transfers wait; empty if none does."""
    text = ngettext(
        "%(n)s transfer waits, no row is lost", "%(n)s transfers wait, no row is lost", count
    )
    return text % {"n": formats.number(count)} if count else ""


def kind(params: Params) -> tuple[str, ...]:
    """What outages that are alike have in common; CAUSE with the codes of problem and error."""
    if params["answered"]:
        return (AGAIN if params["failing"] else OVER,)
    if params["silent"]:
        return (extent(params["silent"]),)
    code, of_cause = params["causes"][0]
    return (CAUSE, code, of_cause["code"])


def extent(doors: Collection[str]) -> str:
    """How much of a server is silent: one of WHOLE, DATABASE, PORTS."""
    if "database" not in doors:
        return PORTS
    return WHOLE if len(doors) > 1 else DATABASE


def hint(params: Params) -> str:
    """What to do, where that does not depend on the cause; else empty."""
    if params["answered"]:
        return _("The next runs move the rows that waited.") if params["stopped"] else ""
    if params["silent"] and extent(params["silent"]) == WHOLE:
        return _(
            "See whether the server and the network are up. The transfers continue by themselves "
            "as soon as it answers."
        )
    return ""


def leaves_transfers_alone(params: Params) -> bool:
    """Whether only a port fails, which transfers do not need."""
    return "database" not in params["doors"] and not params["failing"] and not params["answered"]


def _names(params: Params, doors: Collection[str] = ()) -> dict[str, str]:
    ports = ", ".join(str(params["ports"][door]) for door in doors if door in params["ports"])
    return {"server": params["server"] or _("Shop All"), "ports": ports}


def _at(since: str) -> str:
    return formats.bound(datetime.fromisoformat(since))


def _does_not_answer(params: Params) -> str:
    down = extent(params["silent"])
    if not params["server"] or down == WHOLE:
        return _("%(server)s has not answered since %(at)s")
    if down == DATABASE:
        return _("The database of %(server)s has not answered since %(at)s")
    return ngettext(
        "%(server)s: port %(ports)s has not answered since %(at)s",
        "%(server)s: ports %(ports)s have not answered since %(at)s",
        len(params["silent"]),
    )


def _did_not_answer(params: Params) -> str:
    was_down = extent(params["ever"])
    if not params["server"] or was_down == WHOLE:
        return _("%(server)s did not answer")
    if was_down == DATABASE:
        return _("The database of %(server)s did not answer")
    return ngettext(
        "%(server)s: port %(ports)s did not answer",
        "%(server)s: ports %(ports)s did not answer",
        len(params["ever"]),
    )
