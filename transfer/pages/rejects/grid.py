"""A grid of rejected rows: each with a correction of its own, all of them sent at one press.

A row is sent by `resend`, as by the button of its own page. So a second press, a page that Back
brings again, or another user's press finds the row closed, and sends nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _, ngettext

from transfer.access import role
from transfer.engine.kind import Kind
from transfer.errors import ConnectionLost, TooSlow, TransferError, Unreachable
from transfer.installed import installed_kinds
from transfer.models import Actor, RejectedRow, Settings
from transfer.models.tasks import KindChoices
from transfer.pages.back import next_url, read_or_post
from transfer.pages.rejects.bulk import chosen, nothing_chosen, where_they_go
from transfer.pages.rejects.forms import GridForm
from transfer.pages.rejects.suggestions import WORDS
from transfer.pages.rejects.views import tell
from transfer.rejects import resend
from transfer.text import formats
from transfer.text.columns import heading
from transfer.text.explain import explain

AT_ONCE = 50  # rows on a page
CONCERNS_ALL = (Unreachable, ConnectionLost, TooSlow)  # the next row would fail, too


class Section(NamedTuple):
    """The rows of one transfer, with the columns that can be corrected."""

    kind: Kind
    columns: list[str]
    forms: list[GridForm]

    @property
    def title(self) -> Any:
        return KindChoices(self.kind.name).label

    @property
    def headings(self) -> list[str]:
        return [heading(name) for name in self.columns]


@dataclass
class Pressed:
    """What one press has done: what was sent, how many rows were closed before, what is left."""

    outcome: resend.Outcome = field(default_factory=resend.Outcome)
    closed: int = 0
    left: list[GridForm] = field(default_factory=list)
    stopped_by: TransferError | None = None

    @property
    def refused(self) -> int:
        return sum(bool(form.errors) for form in self.left)


@role("operator")
@read_or_post
def rejects_grid(request: HttpRequest) -> HttpResponse:
    """Shows the first of the chosen rows; sends those that were corrected."""
    if request.method == "POST":
        return send(request)
    rows = chosen(request).order_by("-created_at", "-pk")
    if not (first := rows[:AT_ONCE]):
        return nothing_chosen(request)
    return shown(request, list(sections(first)), total=rows.count(), for_all=for_all(request))


def for_all(request: HttpRequest) -> tuple[str, str] | None:
    """The words and the address of the repair of all chosen rows; None if not all have the same."""
    groups = chosen(request).groups()
    repairs = {installed_kinds()[one["kind"]].repair_of(one["code"]) for one in groups}
    count = sum(one["rows"] for one in groups)
    if len(repairs) != 1 or (repair := repairs.pop()) is None or count < 2:
        return None
    query = request.GET.copy()
    query["fix"] = repair
    words = str(WORDS[repair].all) % {"n": formats.number(count)}
    return words, reverse("rejects_resend", query=query)


def sections(rejects: Iterable[RejectedRow], data: Any = None) -> Iterator[Section]:
    """Yield the rows of each transfer with their forms, filled in by `data` or by the rows."""
    zone = Settings.load().zone
    for name, kind in installed_kinds().items():
        if rows := [one for one in rejects if one.kind == name]:
            columns = columns_to_correct(kind, {one.code for one in rows})
            yield Section(kind, columns, [GridForm(one, zone, columns, data) for one in rows])


def columns_to_correct(kind: Kind, codes: set[str]) -> list[str]:
    """The columns that the failed checks look at; all columns if one of them looks at none."""
    looked_at = [kind.columns_of(code) for code in codes]
    if not all(looked_at):
        return list(kind.names)
    return [name for name in kind.names if any(name in names for names in looked_at)]


def shown(
    request: HttpRequest,
    grid: list[Section],
    *,
    total: int = 0,
    for_all: tuple[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    rows = sum(len(section.forms) for section in grid)
    context = {
        "sections": grid,
        "rows": rows,
        "more": max(total - rows, 0),
        "for_all": for_all,
        "has_secrets": any(section.kind.secrets & {*section.columns} for section in grid),
        "points": list(where_they_go([section.kind for section in grid])),
        "back": next_url(request, reverse("rejects")),
    }
    return render(request, "rejects/grid.html", context, status=status)


def send(request: HttpRequest) -> HttpResponse:
    """Sends the corrected rows. The page shows again those that could not be sent."""
    numbers = [formats.number_in(one, 18) for one in request.POST.getlist("row")[:AT_ONCE]]
    rejects = RejectedRow.objects.filter(pk__in=filter(None, numbers))
    grid = list(sections(rejects.order_by("-created_at", "-pk"), request.POST))
    pressed = press([form for section in grid for form in section.forms], Actor.of(request))
    say(request, pressed)
    if pressed.refused or pressed.stopped_by:
        left = [
            section._replace(forms=[form for form in section.forms if form in pressed.left])
            for section in grid
        ]
        return shown(request, [section for section in left if section.forms], status=422)
    if chosen(request).exists():
        return redirect(request.get_full_path())
    return redirect(next_url(request, reverse("rejects")))


def press(forms: list[GridForm], actor: Actor) -> Pressed:
    """Sends each corrected row on its own. One that fails does not stop the others."""
    pressed = Pressed()
    for form in forms:
        if not form.reject.is_open:
            pressed.closed += 1
        elif pressed.stopped_by or not form.is_corrected():
            pressed.left.append(form)
        else:
            _send(form, actor, pressed)
    return pressed


def _send(form: GridForm, actor: Actor, pressed: Pressed) -> None:
    mine = RejectedRow.objects.filter(pk=form.reject.pk)
    try:
        outcome = resend.resend(mine, form.values, actor, repair=form.repair)
    except TransferError as error:
        form.add_error(None, str(explain(error)))
        pressed.left.append(form)
        pressed.stopped_by = error if isinstance(error, CONCERNS_ALL) else None
        return
    if outcome.faults:
        form.show_fault(next(iter(outcome.faults)))
        pressed.left.append(form)
    elif outcome.sent or outcome.waiting:
        pressed.outcome += outcome
    else:
        pressed.closed += 1


def say(request: HttpRequest, pressed: Pressed) -> None:
    if pressed.outcome.sent or pressed.outcome.waiting:
        tell(request, pressed.outcome)
    if pressed.closed:
        words = ngettext(
            "%(n)s row was closed in the meantime: it is not sent again.",
            "%(n)s rows were closed in the meantime: they are not sent again.",
            pressed.closed,
        )
        messages.warning(request, words % {"n": formats.number(pressed.closed)})
    if pressed.stopped_by:
        messages.error(request, str(explain(pressed.stopped_by)))
    elif pressed.refused:
        words = _("Not sent: %(rows)s. Each says below what is wrong.")
        messages.error(request, words % {"rows": formats.rows(pressed.refused)})
    elif not (pressed.outcome.sent or pressed.outcome.waiting or pressed.closed):
        messages.warning(request, _("Nothing was corrected, so nothing was sent."))
