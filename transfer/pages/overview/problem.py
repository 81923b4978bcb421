"""One problem: what it means, and who looks after it."""

from collections.abc import Callable
from functools import wraps
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
from transfer.pages.back import done, failed, next_url, refused
from transfer.pages.fields import reason_field
from transfer.pages.parts import audit_sentences
from transfer.pages.parts.pauses import PauseForm
from transfer.problems import history, kinds, taking
from transfer.problems.kinds import FOR_ADMINISTRATORS, Code
from transfer.text import formats

MOST_AT_ONCE = 1000  # problems that one press takes

View = Callable[..., HttpResponse]
Change = Callable[[HttpRequest, Incident], HttpResponse | None]


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


def hidden_from(user: Any) -> list[Code]:
    """Return the codes of problems that this user may not see."""
    return [] if has_role(user, Role.ADMINISTRATOR) else FOR_ADMINISTRATORS


def visible(request: HttpRequest) -> Any:
    """Return the incidents that this user may see."""
    return Incident.objects.exclude(code__in=hidden_from(request.user))


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


def change(words: Any) -> Callable[[Change], View]:
    """Make a view of a function that changes one problem.

    The view redirects to the page that had the button, and says there what was done, `words`, or
    why nothing was. The function may answer with a page of its own instead.
    """

    def decorate(function: Change) -> View:
        @role("operator")
        @require_POST
        @wraps(function)
        def view(request: HttpRequest, pk: int) -> HttpResponse:
            one = get_object_or_404(visible(request), pk=pk)
            to = next_url(request, one.get_absolute_url())
            try:
                answer = function(request, one)
            except TransferError as error:
                return failed(request, error, to)
            return answer or done(request, str(words), to)

        return view

    return decorate


@change(gettext_lazy("You have taken the problem."))
def take(request: HttpRequest, one: Incident) -> HttpResponse | None:
    """Take the problem with a note; sent with `over`, also from somebody else."""
    form = TakeForm(request.POST)
    if not form.is_valid():
        return refused(request, " ".join(map(str, form.errors["note"])), one)
    note, over = form.cleaned_data["note"], "over" in request.POST
    taking.take(one, Actor.of(request), note=note, over=over)
    return None


@change(gettext_lazy("Nobody looks after the problem any more."))
def give_back(request: HttpRequest, one: Incident) -> None:
    taking.give_back(one, Actor.of(request))


@change(gettext_lazy("Nobody gets messages about this problem."))
def mute(request: HttpRequest, one: Incident) -> HttpResponse | None:
    """Mute this one problem; the page asks again where the form is not filled in."""
    form = MuteForm(request.POST)
    if not form.is_valid():
        return _page(request, one, form)
    until, reason = form.cleaned_data["moment"], form.cleaned_data["reason"]
    taking.mute(one, Actor.of(request), until=until, reason=reason)
    return None


@change(gettext_lazy("Messages about this problem go on."))
def unmute(request: HttpRequest, one: Incident) -> None:
    taking.unmute(one, Actor.of(request))


def named_by(request: HttpRequest) -> list[Incident]:
    """Return the open problems that the form names by their numbers, separated by commas."""
    texts = request.POST.get("problems", "").split(",")[:MOST_AT_ONCE]
    numbers = [number for text in texts if (number := formats.number_in(text))]
    return list(visible(request).open().filter(pk__in=numbers).order_by("pk"))


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
    return failed(request, error, to)
