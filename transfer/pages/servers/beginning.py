"""Which of the staged rows a bonus server has received: asked before its transfers go on."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from transfer.access import role
from transfer.causes.ledger import COPY_OF, ROWS_PURGED
from transfer.engine.skip import Lacking
from transfer.errors import PositionKnown, ServerUndecided, TransferError
from transfer.models import Actor, AuditEntry, BonusServer, TransferTask
from transfer.pages.back import done, read_or_post, refused
from transfer.runs.beginning import (
    CODES,
    COPIES,
    LACKING,
    Answer,
    Decision,
    Outcome,
    Question,
    begin,
    decide,
    question,
)
from transfer.text import formats
from transfer.text.explain import explain

SECONDS = 5  # that a page waits for the two databases of a transfer
LATER = "later"
LISTED = 100  # changesets with purged rows; the command lists all


class ServerField(forms.ModelChoiceField):
    """Required with one of the answers only, so it is not marked as optional."""

    def validate(self, value: Any) -> None:
        if value:
            super().validate(value)


class BeginningForm(forms.Form):
    """An answer for each transfer that asks."""

    use_required_attribute = False

    def __init__(self, questions: list[Question], data: Any = None) -> None:
        super().__init__(data)
        self.questions = questions
        for one in questions:
            choices = [*answers(one)]
            self.fields[one.task.kind] = forms.ChoiceField(
                label=_("What it has received"), choices=choices, widget=forms.RadioSelect
            )
            if Answer.AS_SERVER in dict(choices):
                self.fields[f"{one.task.kind}_server"] = ServerField(
                    others(one),
                    label=_("The server whose tables were copied"),
                    empty_label=_("Choose a server"),
                )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for one in self.questions:
            kind = one.task.kind
            if cleaned.get(kind) == Answer.AS_SERVER and not cleaned.get(f"{kind}_server"):
                self.add_error(f"{kind}_server", _("Choose the server."))
        return cleaned

    def decisions(self) -> Iterator[tuple[TransferTask, Decision]]:
        """Yields each transfer that is decided, with the answer."""
        for one in self.questions:
            kind, answer = one.task.kind, self.cleaned_data[one.task.kind]
            if answer == Answer.AS_SERVER:
                server, version = self.cleaned_data[f"{kind}_server"], f"{kind}_version"
                yield one.task, Decision(Answer.AS_SERVER, server, self.data.get(version, ""))
            elif answer != LATER:
                yield one.task, Decision(Answer(answer))

    @property
    def asks_what_it_has(self) -> bool:
        """Whether a position is to begin, or was lost; the others only lack purged rows."""
        return any(one.error.cause is not ROWS_PURGED for one in self.questions)

    def groups(self) -> Iterator[dict[str, Any]]:
        """Yields the parts of the page: a transfer, why it asks, and its fields."""
        for one in self.questions:
            names = [one.task.kind, f"{one.task.kind}_server"]
            yield {
                "task": one.task,
                "why": explain(one.error).sentence,
                "copied_from": one.copied_from,
                "purged": one.purged,
                "lacks": one.error.cause is ROWS_PURGED,
                "lacking": [(line, _staged(line)) for line in one.lacking[:LISTED]],
                "more": max(0, len(one.lacking) - LISTED),
                "fields": [self[name] for name in names if name in self.fields],
            }


def _staged(line: Lacking) -> datetime | None:
    return datetime.fromisoformat(line.started) if line.started else None


def others(question: Question) -> Any:
    return BonusServer.objects.exclude(pk=question.task.server_id).order_by("pk")


def answers(question: Question) -> Iterator[tuple[str, str]]:
    if question.error.cause is ROWS_PURGED:
        yield Answer.WITHOUT, _("Go on without these rows, for good")
    elif question.error.cause is COPY_OF:
        yield (
            Answer.OWN,
            _("It is a copy of the database of %(server)s: go on from where that was made")
            % {"server": question.copied_from},
        )
    else:
        rows = formats.rows(question.rows)
        yield Answer.NOTHING, _("Nothing yet: send all %(rows)s") % {"rows": rows}
        yield Answer.EVERYTHING, _("Everything until now: send only what is staged from now on")
        if others(question).exists():
            yield (
                Answer.AS_SERVER,
                _("The same as another server: its tables are a copy of that one's"),
            )
    yield LATER, _("Decide later: nothing is sent until then")


@role("administrator")
@read_or_post
def beginning(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks what a server has received, counts what the answers mean, and begins its transfers.

    The steps: the question; the same form, sent, is answered with what it means; confirmed, it is
    carried out. A transfer that has begun meanwhile is left alone.
    """
    server = get_object_or_404(BonusServer, pk=pk)
    questions, errors = ask(server, Actor.of(request))
    if not questions:
        words = errors or [_("Nothing has to be decided: its transfers have begun.")]
        return refused(request, " ".join(words), server)
    form = BeginningForm(questions, request.POST if request.method == "POST" else None)
    context = {"server": server, "form": form, "errors": errors}
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "servers/beginning.html", context, status=status)
    if "confirmed" in request.POST:
        return carry_out(request, server, form)
    return confirm(request, server, form)


@role("administrator")
@require_POST
def own_name(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a server whose database is a copy a name of its own, in all its positions."""
    server = get_object_or_404(BonusServer, pk=pk)
    for task in server.tasks.select_related("server"):
        try:
            decide(task, Decision(Answer.OWN), Actor.of(request), dry_run=False)
        except TransferError as error:
            return refused(request, f"{task}: {explain(error)}", server)
    return done(request, _("It goes on from where the copy was made, within a minute."), server)


def ask(server: BonusServer, actor: Actor) -> tuple[list[Question], list[str]]:
    """The decisions to make, and the errors of transfers for which they are unknown.

    Where nothing has to be decided, the position begins, as the next run would begin it.
    """
    questions, errors = [], []
    for task in server.tasks.select_related("server"):
        try:
            begin(task, actor, seconds=SECONDS)
        except ServerUndecided:
            with suppress(PositionKnown):  # decided a moment ago
                questions.append(question(task, SECONDS))
        except TransferError as error:
            errors.append(f"{task}: {explain(error)}")
    return questions, errors


def confirm(request: HttpRequest, server: BonusServer, form: BeginningForm) -> HttpResponse:
    points: list[str] = []
    versions = {}
    for task, decision in form.decisions():
        try:
            outcome = decide(task, decision, Actor.of(request), dry_run=True)
        except TransferError as error:
            form.add_error(task.kind, str(explain(error)))
        else:
            points.extend(meaning(task, decision, outcome))
            if outcome.version:
                versions[f"{task.kind}_version"] = outcome.version
    if form.errors:
        context = {"server": server, "form": form}
        return render(request, "servers/beginning.html", context, status=422)
    if not points:
        messages.info(request, _("Nothing was decided. Nothing is sent until then."))
        return redirect(server)
    context = {
        "title": _("Begin the transfers to %(server)s like this?") % {"server": server},
        "text": _(
            "If an answer is wrong, rows are lost or sent twice, and no command can take that back."
        ),
        "points": points,
        "hidden": {
            "confirmed": 1,
            **versions,
            **{name: form[name].data or "" for name in form.fields},
        },
        "action": _("Begin"),
        "back": reverse("server_beginning", args=[server.pk]),
        "danger": True,
    }
    return render(request, "confirm.html", context)


def meaning(task: TransferTask, decision: Decision, outcome: Outcome) -> Iterator[str]:
    """Yields what an answer means for the next run of a transfer."""
    kind, rows = task.get_kind_display(), formats.rows(outcome.sent)
    words = {"kind": kind, "rows": rows, "server": decision.server}
    if decision.answer == Answer.NOTHING:
        yield _("%(kind)s: it has received nothing. The next run sends %(rows)s.") % words
    elif decision.answer == Answer.EVERYTHING:
        yield _("%(kind)s: it has received everything. Rows that are staged now are not sent.") % (
            words
        )
    elif decision.answer == Answer.AS_SERVER:
        yield _("%(kind)s: it has received what %(server)s has. The next run sends %(rows)s.") % (
            words
        )
        if outcome.copied_after:
            at = {"server": decision.server, "at": formats.moment(outcome.copied_after)}
            yield (
                _(
                    "That is right only if the tables were copied after %(at)s, when %(server)s "
                    "last received rows."
                )
                % at
            )
    elif decision.answer == Answer.WITHOUT:
        yield _("%(kind)s: it goes on. The next run sends %(rows)s.") % words
    else:
        yield _("%(kind)s: it is a copy of the other server. The next run sends %(rows)s.") % words
    if outcome.skipped:
        gone = {"kind": kind, "rows": formats.rows(outcome.skipped)}
        yield _("%(kind)s: %(rows)s were purged from shop All. It never gets them.") % gone


def carry_out(request: HttpRequest, server: BonusServer, form: BeginningForm) -> HttpResponse:
    for task, decision in form.decisions():
        try:
            outcome = decide(task, decision, Actor.of(request), dry_run=False)
        except TransferError as error:
            messages.error(request, f"{task}: {explain(error)}")
            continue
        words = _("%(task)s has begun. The next run sends %(rows)s.")
        rows = formats.rows(outcome.sent)
        messages.success(request, words % {"task": task, "rows": rows})
    return redirect(server)


def undecided(tasks: list[TransferTask]) -> str:
    """Names those of a server's tasks, from `attach_runs`, that may have to be decided.

    Our own database alone is asked: the last run was refused by one of the questions and nothing
    was decided since, or there was neither a run nor a decision of any of its tasks.
    """
    codes = CODES - LACKING - COPIES
    is_new = all(_has_not_begun(task) for task in tasks)
    asking = [task for task in tasks if is_new or _asks(task, codes)]
    return ", ".join(str(task.get_kind_display()) for task in asking)


def lacking(tasks: list[TransferTask]) -> str:
    """Likewise those that lack purged rows, and refuse until somebody decides."""
    asking = [task for task in tasks if _asks(task, LACKING)]
    return ", ".join(str(task.get_kind_display()) for task in asking)


def copies(tasks: list[TransferTask]) -> str:
    """Return the server of whose database this one's is a copy, by the last runs; or nothing."""
    asking: list[Any] = [task for task in tasks if _asks(task, COPIES)]
    return str(asking[0].last_run.error_params["other"]) if asking else ""


def _has_not_begun(task: Any) -> bool:
    return task.last_run is None and not _decisions(task).exists()


def _asks(task: Any, codes: set[str]) -> bool:
    run = task.last_run
    if run is None or run.error_code not in codes:
        return False
    return not _decisions(task).filter(at__gte=run.finished_at).exists()


def _decisions(task: TransferTask) -> Any:
    return AuditEntry.objects.about(task).filter(action=AuditEntry.Action.POSITION)
