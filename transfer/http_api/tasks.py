"""Tasks: run, pause, resume, switch. The same methods as behind the buttons of the scheduler."""

from collections.abc import Callable
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from pydantic import AwareDatetime, BeforeValidator, Field, StrictBool

from transfer.causes.api_calls import CHANGED_MEANWHILE, INVALID, RUN_IS_OPEN
from transfer.errors import FieldsWrong, TransferError
from transfer.http_api.access import Key
from transfer.http_api.shapes import Refused, written_out
from transfer.http_api.state import Run, Task, one_task
from transfer.models import TransferTask
from transfer.models.api_keys import Scope
from transfer.models.schedules import ChangedMeanwhile
from transfer.runs.start import RunIsOpen, run_now
from transfer.runs.workers import when_it_starts

router = Router(tags=["Tasks"], auth=Key(Scope.RUN))
REFUSALS = {404: Refused, 409: Refused, 422: Refused}
LONGEST_REASON = 500


class StartedRun(Run):
    """A run that was just queued."""

    starts: str = Field(description="When it starts, or why it waits: a sentence.")


class Wish(Schema, extra="forbid"):
    """Why a task is changed, and which version of it was seen."""

    reason: str = Field("", max_length=LONGEST_REASON, description="Shown beside the task.")
    version: int | None = Field(
        None,
        strict=True,
        description="The version that was read: if the task has changed since, 409.",
    )


class Pause(Wish):
    until: Annotated[AwareDatetime, BeforeValidator(written_out)] = Field(
        description="When the pause ends, with a zone."
    )


class Switch(Wish):
    enabled: StrictBool


@router.post(
    "tasks/{int:id}/run",
    response={202: StartedRun, 404: Refused, 409: Refused},
    summary="Run a task now, also one that is off or paused",
)
def run_task(request: HttpRequest, id: int) -> Any:
    task = get_object_or_404(TransferTask.objects.select_related("server"), pk=id)
    try:
        run: Any = run_now(task, request.actor)  # type: ignore[attr-defined]
    except RunIsOpen as overlap:
        raise TransferError(RUN_IS_OPEN, run=overlap.run.pk) from None
    run.starts = when_it_starts()
    return Status(202, run)


@router.post(
    "tasks/{int:id}/pause",
    response={200: Task, **REFUSALS},
    summary="Run nothing by schedule until a moment",
)
def pause_task(request: HttpRequest, id: int, body: Pause) -> Any:
    return changed(request, id, body, lambda task, **wish: task.pause(body.until, **wish))


@router.post(
    "tasks/{int:id}/resume", response={200: Task, **REFUSALS}, summary="End the pause of a task"
)
def resume_task(request: HttpRequest, id: int, body: Wish) -> Any:
    return changed(request, id, body, lambda task, **wish: task.resume(**wish))


@router.post(
    "tasks/{int:id}/switch",
    response={200: Task, **REFUSALS},
    summary="Switch a task on or off; on, it waits for its next time",
)
def switch_task(request: HttpRequest, id: int, body: Switch) -> Any:
    return changed(request, id, body, lambda task, **wish: task.switch(body.enabled, **wish))


def changed(request: HttpRequest, number: int, wish: Wish, change: Callable[..., None]) -> Any:
    """The task after the change. Raises TransferError: 409 if somebody else has changed it, 422."""
    task = get_object_or_404(TransferTask, pk=number)
    actor = request.actor  # type: ignore[attr-defined]
    try:
        change(task, actor=actor, reason=wish.reason, expected_version=wish.version)
    except ChangedMeanwhile as conflict:
        raise TransferError(CHANGED_MEANWHILE, version=conflict.task.version) from None
    except ValidationError as invalid:
        (why,) = invalid.error_dict["paused_until"]
        (message,) = why.messages
        refused = FieldsWrong(INVALID)
        refused.fields = [{"field": "until", "code": why.code, "message": message}]
        raise refused from None
    return one_task(number)
