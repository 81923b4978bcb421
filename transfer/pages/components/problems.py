"""Who looks after a problem, or after several in one line, and who has muted it."""

from collections.abc import Sequence

from django.utils.html import format_html
from django.utils.translation import gettext as _

from transfer.models import Incident
from transfer.models.audit import is_of_link, without_link
from transfer.pages.components.basic import icon
from transfer.pages.components.times import moment
from transfer.pages.html import Html
from transfer.text import formats


def looked_after(incidents: Sequence[Incident]) -> Html | str:
    """`{% looked_after one.incidents %}`: who has taken them; empty if nobody has taken any."""
    taken = [one for one in incidents if one.is_taken]
    if not taken:
        return ""
    if len(incidents) > 1:
        names = ", ".join(dict.fromkeys(map(who, taken)))
        words = _("%(n)s of %(all)s taken: %(names)s") % {
            "n": formats.number(len(taken)),
            "all": formats.number(len(incidents)),
            "names": names,
        }
        return _line("user", words)
    (one,) = taken
    at = moment(one.taken_at, "bound")
    words = format_html(_("{who} has taken it, since {at}"), who=who(one), at=at)
    return _line("user", words, one.taken_note)


def muted(incidents: Sequence[Incident]) -> Html | str:
    """`{% muted one.incidents %}`: who has muted them, until when and why; empty if none is."""
    silent = [one for one in incidents if one.is_muted]
    if not silent:
        return ""
    if len(incidents) > 1:
        counts = {"n": formats.number(len(silent)), "all": formats.number(len(incidents))}
        return _line("bell-off", _("%(n)s of %(all)s muted") % counts)
    (one,) = silent
    if one.muted_until is None:
        words = format_html(_("{who} has muted it until it gets worse"), who=one.muted_by)
    else:
        until = moment(one.muted_until, "bound")
        words = format_html(_("{who} has muted it until {until}"), who=one.muted_by, until=until)
    return _line("bell-off", words, one.mute_reason)


def who(incident: Incident) -> str:
    """The name of who has taken it, and whether that was done by a link of a message."""
    if is_of_link(incident.taken_by):
        return _("%(name)s (by the link)") % {"name": without_link(incident.taken_by)}
    return incident.taken_by


def _line(icon_name: str, words: str | Html, more: str = "") -> Html:
    more = format_html(": {}", more) if more else ""
    return format_html(
        '<div class="state-line">{}<span>{}{}</span></div>', icon(icon_name), words, more
    )


def untaken(incidents: Sequence[Incident]) -> str:
    """`{{ one.incidents|untaken }}`: the numbers of those that nobody has taken, for a form."""
    return ",".join(str(one.pk) for one in incidents if not one.is_taken)
