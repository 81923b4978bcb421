"""What the answers of the API look like. Moments have a zone; sums are text, with all digits."""

import re
from typing import Annotated, Any

from django.db.models import QuerySet, TextChoices
from ninja import Query, Schema
from pydantic import AwareDatetime, Field, WithJsonSchema

from transfer.errors import TransferError
from transfer.models import BonusServer
from transfer.text.explain import explain

WRITTEN_OUT = re.compile(r"\d{4}-\d\d-\d\dT", re.IGNORECASE)


def written_out(moment: Any) -> Any:
    """Refuses seconds since 1970, which pydantic would take. Raises ValueError."""
    if not isinstance(moment, str) or not WRITTEN_OUT.match(moment):
        raise ValueError("a moment such as 2027-01-01T08:00:00+03:00")
    return moment


def one_of(choices: type[TextChoices], description: str = "") -> WithJsonSchema:
    """The choices in the place of a field: the document has one name for all classes `State`."""
    about = {"description": description} if description else {}
    return WithJsonSchema({"type": "string", "enum": choices.values, **about})


class Problem(Schema):
    """Why something failed: a code for programs, a sentence for people."""

    code: str
    message: str
    hint: str = ""


class RefusedField(Schema):
    """What is wrong with a row, or with a field of the call."""

    row: int | None = Field(None, description="The row of the body, from 1; of a CSV, its line.")
    field: str = ""
    code: str = ""
    message: str
    hint: str = ""
    value: str = Field("", description="What was sent; a PIN code as ••••.")


class Refused(Problem):
    """The body of every answer with a status from 400 on."""

    errors: list[RefusedField] = []


class Named(Schema):
    """A bonus server."""

    id: int
    name: str


class LastRun(Schema):
    """A run, in short."""

    id: int
    state: str
    finished_at: AwareDatetime | None


def problem_of(error: TransferError | None) -> Any:
    """An error as a Problem; None without one."""
    if error is None:
        return None
    explained = explain(error)
    return {"code": error.code, "message": explained.sentence, "hint": explained.hint}


def named(server: BonusServer) -> dict[str, Any]:
    return {"id": server.pk, "name": server.name}


LARGEST = 500
LARGEST_NUMBER = 2**63 - 1  # of a row

After = Annotated[
    int | None, Query(None, ge=0, le=LARGEST_NUMBER, description="`next` of the page before.")
]
Limit = Annotated[int, Query(100, ge=1, le=LARGEST, description="Items on a page, at most.")]
All = Annotated[int, Query(LARGEST, ge=1, le=LARGEST, description="Items, at most.")]


def page(rows: QuerySet[Any], after: int | None, limit: int, *, latest_first: bool = False) -> Any:
    """The items after the one with that number, and `next`: the number to go on after, or None."""
    order, beyond = ("-pk", "pk__lt") if latest_first else ("pk", "pk__gt")
    if after is not None:
        rows = rows.filter(**{beyond: after})
    items = list(rows.order_by(order)[: limit + 1])
    more = len(items) > limit
    items = items[:limit]
    return {"items": items, "next": items[-1].pk if more else None}
