"""Two people change the same thing: the second one sees the first change, and is asked."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from transfer.models import AuditEntry
from transfer.models.schedules import ChangedMeanwhile
from transfer.pages import links
from transfer.pages.parts.audit_sentences import details, sentence
from transfer.pages.parts.audit_words import in_a_line
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.text import formats


def posted_version(request: HttpRequest) -> int | None:
    """The version that the page of the sender showed."""
    return formats.number_in(request.POST.get("seen"))


def who_did_what(entry: AuditEntry | None) -> list[str]:
    """Who changed what, when and why; [] if there is no entry."""
    if entry is None:
        return []
    points = [f"{sentence(entry)}, {formats.ago(entry.at)}", in_a_line(details(entry))]
    if entry.reason:
        points.append(_("Reason: %(reason)s") % {"reason": entry.reason})
    return [point for point in points if point]


def ask_again(
    request: HttpRequest, conflict: ChangedMeanwhile, action: str, back: str
) -> HttpResponse:
    """Shows the other's change and asks whether to go on."""
    sent = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name not in ("csrfmiddlewaretoken", "seen")
    ]
    confirmation = Confirmation(
        title=_("Someone else changed this first: %(task)s") % {"task": conflict.task},
        text=_(
            "The task was changed after you opened the page. Your change has not been made yet."
        ),
        points=who_did_what(conflict.entry),
        hidden=[("seen", conflict.task.version), *sent],
        action=action,
        back=back,
        here=links.of_task(conflict.task),
    )
    return ask_to_confirm(request, confirmation, status=409)
