"""Problems that a program takes, as the buttons of the overview do."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from pydantic import Field, StrictBool

from transfer.http_api.access import Key
from transfer.http_api.shapes import Refused
from transfer.http_api.state import Taken, taken
from transfer.models import Incident
from transfer.models.api_keys import Scope
from transfer.problems import taking
from transfer.problems.kinds import KINDS

router = Router(tags=["Problems"], auth=Key(Scope.PROBLEMS))
REFUSALS = {404: Refused, 409: Refused}
LONGEST_NOTE = 500


class Take(Schema, extra="forbid"):
    """What is done about the problem."""

    note: str = Field("", max_length=LONGEST_NOTE, description="Shown beside the problem.")
    over: StrictBool = Field(False, description="Also if somebody else has taken it.")


class LookedAfter(Schema):
    """A problem, and who looks after it."""

    id: int
    taken: Taken | None


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


def visible(number: int) -> Incident:
    """The problem with this number, unless only administrators see it. Raises Http404."""
    hidden = [code for code, kind in KINDS.items() if kind.is_for_administrators]
    return get_object_or_404(Incident.objects.exclude(code__in=hidden), pk=number)


def looked_after(incident: Incident) -> dict[str, Any]:
    """A problem as a LookedAfter."""
    return {"id": incident.pk, "taken": taken(incident) if incident.is_taken else None}
