"""Which of the staged rows a bonus server has received: asked before its transfers go on."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from transfer.access import role
from transfer.causes.ledger import TABLE_NOT_EMPTY
from transfer.errors import PositionKnown, ServerUndecided, TransferError
from transfer.models import Actor, BonusServer, TransferTask
from transfer.pages.back import done, read_or_post, refused
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.servers.beginning_form import ASKED, SHOWN_EMPTY, BeginningForm
from transfer.runs.beginning import (
    CODES,
    COPIES,
    LACKING,
    Answer,
    Decision,
    Outcome,
    Question,
    begin,
    copied_from,
    decide,
    decisions_of,
    question,
)
from transfer.text import formats
from transfer.text.explain import explain

SECONDS = 5  # that a page waits for the two databases of a transfer


@role("administrator")
@read_or_post
def beginning(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks what a server has received, counts what the answers mean, and begins its transfers.

    The steps: the question; the answers; what they mean, unless we have found them in the server's
    own database; confirmed, they are carried out. A transfer that has begun meanwhile is left
    alone. Where a table that was shown as empty is not empty any more, it is asked again.
    """
    server = get_object_or_404(BonusServer, pk=pk)
    questions, errors = ask_for_questions(server, Actor.of(request))
    if not questions:
        words = errors or [_("Nothing has to be decided: its transfers have begun.")]
        return refused(request, " ".join(words), server)
    if request.method != "POST":
        return show(request, server, BeginningForm(questions), errors)
    form = BeginningForm(questions, request.POST)
    if not form.is_valid():
        return show(request, server, form, errors, status=422)
    if filled := [*form.filled()]:
        return show(request, server, BeginningForm(questions), [*filled, *errors], status=409)
    decided = [*form.decisions()]
    if not decided:
        messages.info(request, _("Nothing was decided. Nothing is sent until then."))
        return redirect(server)
    if "confirmed" in request.POST or form.is_harmless:
        return carry_out(request, server, decided)
    return confirm(request, server, form, decided)


def show(
    request: HttpRequest,
    server: BonusServer,
    form: BeginningForm,
    errors: list[str],
    status: int = 200,
) -> HttpResponse:
    context = {"server": server, "form": form, "errors": errors}
    return render(request, "servers/beginning.html", context, status=status)


@role("administrator")
@require_POST
def own_name(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a server whose database is a copy a name of its own, in all its positions."""
    server = get_object_or_404(BonusServer, pk=pk)
    for task in server.tasks.select_related("server"):
        try:
            decide(task, Decision(Answer.OWN), Actor.of(request), dry_run=False)
        except TransferError as error:
            messages.error(request, f"{task}: {explain(error)}")
            return redirect(server)
    return done(request, _("It goes on from where the copy was made, within a minute."), server)


def ask_for_questions(server: BonusServer, actor: Actor) -> tuple[list[Question], list[str]]:
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


def confirm(
    request: HttpRequest,
    server: BonusServer,
    form: BeginningForm,
    decided: Iterable[tuple[Question, Decision]],
) -> HttpResponse:
    """Shows what the answers mean, and asks once more."""
    points: list[str] = []
    versions: list[tuple[str, object]] = []
    for asked, decision in decided:
        task = asked.task
        try:
            outcome = decide(task, decision, Actor.of(request), dry_run=True)
        except TransferError as error:
            form.add_error(form.field_of(asked), f"{task.get_kind_display()}: {explain(error)}")
        else:
            points.extend(meaning(asked, decision, outcome))
            if outcome.version:
                versions.append((f"{task.kind}_version", outcome.version))
    if form.errors:
        return show(request, server, form, [], status=422)
    confirmation = Confirmation(
        title=_("Begin the transfers to %(server)s like this?") % {"server": server},
        text=_(
            "If an answer is wrong, rows are lost or sent twice, and no command can take that back."
        ),
        points=points,
        hidden=[
            ("confirmed", 1),
            *versions,
            *((name, form[name].data or "") for name in form.fields),
            *((ASKED, kind) for kind in form.asked),
            *((SHOWN_EMPTY, kind) for kind in form.empty),
        ],
        action=_("Begin"),
        back=reverse("server_beginning", args=[server.pk]),
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


def meaning(asked: Question, decision: Decision, outcome: Outcome) -> Iterator[str]:
    """Yields what an answer means for the next run of a transfer."""
    task = asked.task
    kind, rows = task.get_kind_display(), formats.rows(outcome.sent)
    words = {"kind": kind, "rows": rows, "server": decision.server}
    if decision.answer == Answer.NOTHING:
        yield _("%(kind)s: it has received nothing. The next run sends %(rows)s.") % words
        if not asked.is_empty:
            table = {"kind": kind, "table": task.kind_spec.quoted_target}
            yield (
                _(
                    "%(kind)s: its table %(table)s is not empty. Rows in it that came from shop "
                    "All arrive a second time."
                )
                % table
            )
    elif decision.answer == Answer.EVERYTHING:
        yield _("%(kind)s: it has received everything. Rows that are staged now are not sent.") % (
            words
        )
        if asked.is_empty:
            staged = {"kind": kind, "table": task.kind_spec.quoted_target}
            yield _("%(kind)s: its table %(table)s is empty. These rows never arrive there.") % (
                staged
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


def carry_out(
    request: HttpRequest, server: BonusServer, decided: Iterable[tuple[Question, Decision]]
) -> HttpResponse:
    """Carries out each decision by itself, and leads to the server, or to what is asked again."""
    begun, rows, is_asked_again = [], 0, False
    for asked, decision in decided:
        try:
            outcome = decide(asked.task, decision, Actor.of(request), dry_run=False)
        except TransferError as error:
            messages.error(request, f"{asked.task}: {explain(error)}")
            is_asked_again = is_asked_again or error.cause is TABLE_NOT_EMPTY
        else:
            begun.append(str(asked.task.get_kind_display()))
            rows += outcome.sent
    if begun:
        words = _("Begun: %(kinds)s. The next run sends %(rows)s.")
        messages.success(request, words % {"kinds": ", ".join(begun), "rows": formats.rows(rows)})
    return redirect("server_beginning", server.pk) if is_asked_again else redirect(server)


def undecided(tasks: list[TransferTask]) -> str:
    """Names those of a server's tasks, from `attach_runs`, that may have to be decided.

    Our own database alone is asked: the last run was refused by one of the questions and nothing
    was decided since, or there was neither a run nor a decision of any of its tasks.
    """
    codes = CODES - LACKING - COPIES
    is_new = all(
        task.last_run is None and not decisions_of(task).exists()  # type: ignore[attr-defined]
        for task in tasks
    )
    asking = [task for task in tasks if is_new or _asks(task, codes)]
    return ", ".join(str(task.get_kind_display()) for task in asking)


def lacking(tasks: list[TransferTask]) -> str:
    """Likewise those that lack purged rows, and refuse until somebody decides."""
    asking = [task for task in tasks if _asks(task, LACKING)]
    return ", ".join(str(task.get_kind_display()) for task in asking)


def copies(tasks: list[TransferTask]) -> str:
    """Return of which server's database this one's is a copy, by the last runs; or nothing."""
    asking: list[Any] = [task for task in tasks if _asks(task, COPIES)]
    return copied_from(asking[0].last_run.error_params) if asking else ""


def _asks(task: Any, codes: set[str]) -> bool:
    run = task.last_run
    if run is None or run.error_code not in codes:
        return False
    return not decisions_of(task).filter(at__gte=run.finished_at).exists()
