"""The page that asks before an action: what it shows, and the answer that shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise

Text = str | Promise


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What confirm.html shows. The button posts `form` and `hidden` to the address of the page."""

    title: Text  # the question
    text: Text  # what the action does
    action: Text  # the words of the button
    back: str  # the address that Cancel leads to
    back_name: Text = ""  # the name of the page `back`, for the breadcrumbs
    points: Sequence[Text] = ()  # what follows from the action, or what it is about, a line each
    doubts: Sequence[Text] = ()  # reasons to think twice, in a warning
    second_person: Sequence[Text] = ()  # why a second person has to approve it, in a warning
    danger: bool = False  # something stops or is lost: the button is red
    form: BaseForm | None = None  # fields to fill in, such as a reason
    hidden: Sequence[tuple[str, object]] = ()  # names and values that are posted unseen
    here: str = ""  # where switching theme or language leads, if a GET can't show the page

    def context(self) -> dict[str, Any]:
        """Return the variables of the template."""
        return dict(vars(self))


def ask_to_confirm(
    request: HttpRequest, confirmation: Confirmation, status: int = 200
) -> HttpResponse:
    """Show the page, with the status 422 if its form has errors."""
    if confirmation.form is not None and confirmation.form.errors:
        status = 422
    return render(request, "confirm.html", confirmation.context(), status=status)
