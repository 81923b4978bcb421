"""Problems that a program takes and mutes, as the buttons of their pages do."""

from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router, Schema
from pydantic import AwareDatetime, BeforeValidator, Field, StrictBool

from transfer.causes.api_calls import INVALID
from transfer.errors import FieldsWrong
from transfer.http_api.access import Key
from transfer.http_api.shapes import Refused, written_out
from transfer.http_api.state import Muted, Taken, muted, taken
from transfer.models import Incident
from transfer.models.api_keys import Scope
from transfer.problems import taking
from transfer.problems.kinds import FOR_ADMINISTRATORS

router = Router(tags=["Problems"], auth=Key(Scope.PROBLEMS))
REFUSALS = {404: Refused, 409: Refused}
LONGEST_NOTE = 500


class Take(Schema, extra="forbid"):
    """What is done about the problem."""

    note: str = Field("", max_length=LONGEST_NOTE, description="Shown beside the problem.")
    over: StrictBool = Field(False, description="Also if somebody else has taken it.")


class Mute(Schema, extra="forbid"):
    """Until when nobody gets messages about the problem, and why."""

    until: Annotated[AwareDatetime, BeforeValidator(written_out)] | None = Field(
        None, description="With a zone. Null: until the problem gets worse."
    )
    reason: str = Field(
        min_length=1, max_length=LONGEST_NOTE, description="Shown beside the problem."
    )


class LookedAfter(Schema):
    """A problem, who looks after it, and who has muted it."""

    id: int
    taken: Taken | None
    muted: Muted | None


@router.post(
    "problems/{int:id}/take",
    response={200: LookedAfter, **REFUSALS},
    summary="Take a problem, in the name of the key",
)
def take_problem(request: HttpRequest, id: int, body: Take) -> Any:
    one = visible(id)
    taking.take(one, request.actor, note=body.note, over=body.over)  # type: ignore[attr-defined]
    return looked_after(one)


@router.post(
    "problems/{int:id}/give_back",
    response={200: LookedAfter, **REFUSALS},
    summary="Give a problem back: nobody looks after it any more",
)
def give_back_problem(request: HttpRequest, id: int) -> Any:
    one = visible(id)
    taking.give_back(one, request.actor)  # type: ignore[attr-defined]
    return looked_after(one)


@router.post(
    "problems/{int:id}/mute",
    response={200: LookedAfter, **REFUSALS, 422: Refused},
    summary="Send nobody messages about a problem, until a time or until it gets worse",
)
def mute_problem(request: HttpRequest, id: int, body: Mute) -> Any:
    if body.until and body.until <= timezone.now():
        refused = FieldsWrong(INVALID)
        message = _("The time has to be in the future.")
        refused.fields = [{"field": "until", "code": "past", "message": message}]
        raise refused
    one = visible(id)
    actor = request.actor  # type: ignore[attr-defined]
    taking.mute(one, actor, until=body.until, reason=body.reason)
    return looked_after(one)


@router.post(
    "problems/{int:id}/unmute",
    response={200: LookedAfter, **REFUSALS},
    summary="Let messages about a problem go on",
)
def unmute_problem(request: HttpRequest, id: int) -> Any:
    one = visible(id)
    taking.unmute(one, request.actor)  # type: ignore[attr-defined]
    return looked_after(one)


def visible(number: int) -> Incident:
    """The problem with this number, unless only administrators see it. Raises Http404."""
    return get_object_or_404(Incident.objects.exclude(code__in=FOR_ADMINISTRATORS), pk=number)


def looked_after(incident: Incident) -> dict[str, Any]:
    """A problem as a LookedAfter."""
    return {"id": incident.pk, "taken": taken(incident), "muted": muted(incident)}
