"""One problem: what it means, and who looks after it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from transfer.access import Role, has_role, role
from transfer.errors import TransferError
from transfer.models import Actor, Incident
from transfer.pages.back import done, next_url, refused
from transfer.pages.fields import reason_field
from transfer.pages.parts import audit_sentences
from transfer.pages.parts.pauses import PauseForm
from transfer.pages.parts.problems import named_by, visible
from transfer.problems import history, kinds, taking
from transfer.text.explain import explain


class MuteForm(PauseForm):
    """Until when nobody gets messages: `moment` is None until the problem gets worse."""

    WORSE = "worse"
    IN_THE_PAST = gettext_lazy("The time has to be in the future.")

    reason = reason_field(gettext_lazy("Shown beside the problem, and in the audit."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        until = self.fields["until"]
        until.label = _("Mute")
        until.choices = [*until.choices, (self.WORSE, _("until it gets worse"))]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("until") == self.WORSE:
            self.errors.pop("moment", None)
            cleaned["moment"] = None
        return cleaned


class TakeForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=500,
        required=False,
        help_text=gettext_lazy("What you do about it. Shown beside the problem, and in the audit."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


@require_safe
def problem(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows the problem, also when it has ended."""
    return _page(request, get_object_or_404(visible(request), pk=pk), MuteForm())


def _page(request: HttpRequest, one: Incident, mute_form: MuteForm) -> HttpResponse:
    is_over = one.ended_at is not None
    context = {
        "incident": one,
        "one_in_a_list": [one],
        "is_over": is_over,
        "sentence": history.what(one) if is_over else kinds.sentence(one.code, one.params),
        "hint": "" if is_over else kinds.hint(one.code, one.params),
        "mute_form": mute_form,
        "take_form": TakeForm(initial={"note": one.taken_note}),
        "is_own": one.is_taken and one.taken_by == request.user.get_username(),
    }
    if has_role(request.user, Role.ADMINISTRATOR):
        context |= {"entries": audit_sentences.latest(one), "about": f"incident-{one.pk}"}
    status = 422 if mute_form.errors else 200
    return render(request, "overview/one_problem.html", context, status=status)


@role("operator")
@require_POST
def take(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes the problem with a note; sent with `over`, also from somebody else."""
    one = get_object_or_404(visible(request), pk=pk)
    form = TakeForm(request.POST)
    if not form.is_valid():
        return refused(request, " ".join(map(str, form.errors["note"])), one)
    note, over = form.cleaned_data["note"], "over" in request.POST
    return _changed(
        request,
        one,
        lambda: taking.take(one, Actor.of(request), note=note, over=over),
        _("You have taken the problem."),
    )


@role("operator")
@require_POST
def give_back(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(visible(request), pk=pk)
    return _changed(
        request,
        one,
        lambda: taking.give_back(one, Actor.of(request)),
        _("Nobody looks after the problem any more."),
    )


@role("operator")
@require_POST
def mute(request: HttpRequest, pk: int) -> HttpResponse:
    """Mutes this one problem; the page asks again where the form is not filled in."""
    one = get_object_or_404(visible(request), pk=pk)
    form = MuteForm(request.POST)
    if not form.is_valid():
        return _page(request, one, form)
    until, reason = form.cleaned_data["moment"], form.cleaned_data["reason"]
    return _changed(
        request,
        one,
        lambda: taking.mute(one, Actor.of(request), until=until, reason=reason),
        _("Nobody gets messages about this problem."),
    )


@role("operator")
@require_POST
def unmute(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(visible(request), pk=pk)
    return _changed(
        request,
        one,
        lambda: taking.unmute(one, Actor.of(request)),
        _("Messages about this problem go on."),
    )


def _changed(
    request: HttpRequest, one: Incident, change: Callable[[], None], words: str
) -> HttpResponse:
    """Redirects to the page that had the button, which says what was done, or why nothing was."""
    to = next_url(request, one.get_absolute_url())
    try:
        change()
    except TransferError as error:
        return refused(request, str(explain(error)), to)
    return done(request, words, to)


@role("operator")
@require_POST
def take_several(request: HttpRequest) -> HttpResponse:
    """Takes those of the problems that nobody has taken, from their line on the overview."""
    to = next_url(request, reverse("overview"))
    taken, error = 0, None
    for one in named_by(request):
        try:
            taking.take(one, Actor.of(request))
            taken += 1
        except TransferError as why:  # somebody was faster
            error = why
    if taken:
        words = ngettext(
            "You have taken %(n)s problem.", "You have taken %(n)s problems.", taken
        ) % {"n": taken}
        return done(request, words, to)
    if error is None:
        return refused(request, _("The problem has ended in the meantime."), to)
    return refused(request, str(explain(error)), to)
