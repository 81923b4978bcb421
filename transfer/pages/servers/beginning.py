"""Which of the staged rows a new bonus server has received: asked before its transfers begin."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from transfer.access import role
from transfer.engine.errors import RowsMissing, RowsPurged
from transfer.engine.restore.set_position import Outcome, Request
from transfer.errors import TransferError
from transfer.models import Actor, AuditEntry, BonusServer, TransferTask
from transfer.pages.back import read_or_post, refused
from transfer.runs.beginning import EndedBatch, Question, question
from transfer.runs.positions import (
    CODES,
    QUESTIONS,
    RECEIVED,
    WITHOUT_PURGED,
    begin,
    put_position,
)
from transfer.text import formats
from transfer.text.explain import explain

LACKING = {RowsPurged.code, RowsMissing.code}  # their question is another one
SECONDS = 5  # that a page waits for the two databases of a transfer
BATCH, WITHOUT, LATER = "batch", "without", "later"


class BatchField(forms.ChoiceField):
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
            is_copy = one.clone is not None and not one.clone.is_itself
            choices = [*answers(one)]
            self.fields[one.task.kind] = forms.ChoiceField(
                label=_("What it has received"),
                choices=choices,
                initial="as-of-clone" if is_copy else None,
                widget=forms.RadioSelect,
            )
            if BATCH in dict(choices):
                self.fields[f"{one.task.kind}_batch"] = BatchField(
                    label=_("For a copy: the last batch that had ended when it was made"),
                    choices=[("", _("Choose a batch")), *batches_by_server(one)],
                )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for one in self.questions:
            kind = one.task.kind
            if cleaned.get(kind) == BATCH and not cleaned.get(f"{kind}_batch"):
                self.add_error(f"{kind}_batch", _("Choose the batch."))
        return cleaned

    def requests(self) -> Iterator[tuple[TransferTask, str, Request]]:
        """Yields each transfer that is decided, with the answer and what it asks of the engine."""
        for one in self.questions:
            answer = self.cleaned_data[one.task.kind]
            if answer == BATCH:
                reader, number = self.cleaned_data[f"{one.task.kind}_batch"].split("/")
                batch = Request(batch=int(number), reader=reader, accept_purged=True)
                yield one.task, answer, batch
            elif answer == WITHOUT:
                yield one.task, answer, WITHOUT_PURGED
            elif answer != LATER:
                # The page says how many purged rows it never gets, before that is confirmed.
                yield one.task, answer, replace(RECEIVED[answer], accept_purged=True)

    @property
    def asks_what_it_has(self) -> bool:
        """Whether a position is to begin, or was lost; the others only lack purged rows."""
        return any(not isinstance(one.error, RowsPurged) for one in self.questions)

    def groups(self) -> Iterator[dict[str, Any]]:
        """Yields the parts of the page: a transfer, why it asks, and its fields."""
        for one in self.questions:
            names = [one.task.kind, f"{one.task.kind}_batch"]
            yield {
                "task": one.task,
                "why": explain(one.error).sentence,
                "clone": one.clone,
                "purged": one.purged,
                "lacks": isinstance(one.error, RowsPurged),
                "fields": [self[name] for name in names if name in self.fields],
            }


def answers(question: Question) -> Iterator[tuple[str, str]]:
    if isinstance(question.error, RowsPurged):
        yield WITHOUT, _("Go on without these rows")
    elif (clone := question.clone) and clone.is_itself:
        pass  # one of the two has to be undocked
    else:
        yield from beginnings(question)
    yield LATER, _("Decide later: nothing is sent until then")


def beginnings(question: Question) -> Iterator[tuple[str, str]]:
    """The answers of a server whose position is to begin; of a copy, the proposed one first."""
    if clone := question.clone:
        words = {"server": clone.server, "rows": formats.rows(clone.sent)}
        yield (
            "as-of-clone",
            _("As far as %(server)s had read when this copy of it was made: send %(rows)s") % words,
        )
    yield "nothing", _("Nothing yet: send all %(rows)s") % {"rows": formats.rows(question.rows)}
    yield "everything", _("Everything until now: send only what is staged from now on")
    if question.batches and not question.clone:
        yield BATCH, _("As far as another server had read when its tables were copied")


def batches_by_server(question: Question) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yields the batches of each bonus server, the latest first, as groups of a list."""
    for server, batches in groupby(question.batches, lambda batch: batch.server):
        yield server, [(batch.key, in_words(batch)) for batch in batches]


def in_words(batch: EndedBatch) -> str:
    begun = {"n": batch.logged.number, "begun": formats.moment(batch.logged.at)}
    if batch.ended_at is None or batch.rows is None:
        return _("Batch %(n)s, begun %(begun)s") % begun
    counted = {"ended": formats.moment(batch.ended_at), "rows": formats.rows(batch.rows)}
    return _("Batch %(n)s, begun %(begun)s, ended %(ended)s, %(rows)s") % {**begun, **counted}


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


def ask(server: BonusServer, actor: Actor) -> tuple[list[Question], list[str]]:
    """The decisions to make, and the errors of transfers for which they are unknown.

    Where nothing has to be decided, the position begins, as the next run would begin it.
    """
    questions, errors = [], []
    for task in server.tasks.select_related("server"):
        try:
            begin(task, actor, seconds=SECONDS)
        except QUESTIONS:
            questions.append(question(task, SECONDS))
        except TransferError as error:
            errors.append(f"{task}: {explain(error)}")
    return questions, errors


def confirm(request: HttpRequest, server: BonusServer, form: BeginningForm) -> HttpResponse:
    points: list[str] = []
    for task, answer, wanted in form.requests():
        try:
            outcome = put_position(task, wanted, Actor.of(request), dry_run=True)
        except TransferError as error:
            form.add_error(task.kind, str(explain(error)))
        else:
            points.extend(meaning(task, answer, wanted, outcome))
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
        "hidden": {"confirmed": 1} | {name: form.cleaned_data[name] for name in form.fields},
        "action": _("Begin"),
        "back": reverse("server_beginning", args=[server.pk]),
        "danger": True,
    }
    return render(request, "confirm.html", context)


def meaning(task: TransferTask, answer: str, request: Request, outcome: Outcome) -> Iterator[str]:
    """Yields what an answer means for the next run of a transfer."""
    kind, rows = task.get_kind_display(), formats.rows(outcome.sent)
    words = {"kind": kind, "rows": rows, "n": request.batch}
    if answer == "nothing":
        yield _("%(kind)s: it has received nothing. The next run sends %(rows)s.") % words
    elif answer == "everything":
        yield _("%(kind)s: it has received everything. Rows that are staged now are not sent.") % (
            words
        )
    elif answer == BATCH:
        yield _("%(kind)s: it has received batch %(n)s. The next run sends %(rows)s.") % words
    elif answer == WITHOUT:
        yield _("%(kind)s: it goes on. The next run sends %(rows)s.") % words
    else:
        yield _("%(kind)s: it is a copy of the other server. The next run sends %(rows)s.") % words
    if outcome.lost.rows:
        gone = {"kind": kind, "rows": formats.rows(outcome.lost.rows)}
        lost = (
            _("%(kind)s: %(rows)s were purged from shop All. It never gets them.")
            if outcome.lost.is_exact
            else _("%(kind)s: up to %(rows)s were purged from shop All. It never gets them.")
        )
        yield lost % gone
    if outcome.doubt is not None:
        yield f"{kind}: {explain(outcome.doubt)}"


def carry_out(request: HttpRequest, server: BonusServer, form: BeginningForm) -> HttpResponse:
    for task, _answer, wanted in form.requests():
        try:
            outcome = begin(task, Actor.of(request), wanted)
        except TransferError as error:
            messages.error(request, f"{task}: {explain(error)}")
            continue
        if outcome is None:
            words = _("%(task)s had begun already. Nothing was changed.")
            messages.info(request, words % {"task": task})
        else:
            words = _("%(task)s has begun. The next run sends %(rows)s.")
            rows = formats.rows(outcome.sent)
            messages.success(request, words % {"task": task, "rows": rows})
    return redirect(server)


def undecided(tasks: list[TransferTask]) -> str:
    """Names those of a server's tasks, from `attach_runs`, that may have to be decided.

    Our own database alone is asked: no position of the task is known to it, or the last run was
    refused by one of the questions and no position was set since.
    """
    asking = [task for task in tasks if not task.readers or _asks(task, CODES - LACKING)]
    return ", ".join(str(task.get_kind_display()) for task in asking)


def lacking(tasks: list[TransferTask]) -> str:
    """Likewise those that lack purged rows, and refuse until somebody decides."""
    asking = [task for task in tasks if _asks(task, LACKING)]
    return ", ".join(str(task.get_kind_display()) for task in asking)


def _asks(task: Any, codes: set[str]) -> bool:
    run = task.last_run
    if run is None or run.error_code not in codes:
        return False
    entries = AuditEntry.objects.about(task).filter(action=AuditEntry.Action.POSITION)
    return not entries.filter(at__gte=run.finished_at).exists()
