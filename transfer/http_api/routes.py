"""The operations of the API, and what each asks of a key."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from django.http import Http404, HttpRequest
from django.urls.resolvers import RegexPattern, URLResolver
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, ValidationError
from ninja.operation import Operation
from ninja.renderers import JSONRenderer
from pydantic import AwareDatetime, Field

from transfer.causes.api_calls import INVALID, NOT_FOUND, UNREADABLE
from transfer.errors import FieldsWrong, TransferError
from transfer.http_api import (
    loads,
    problems,
    reconciliation,
    rejected,
    rows,
    state,
    statements,
    tasks,
    traces,
)
from transfer.http_api.access import Key
from transfer.http_api.door import VERSION
from transfer.models.api_keys import Scope

PREFIX = f"/api/{VERSION}"


def refusal(words: str) -> dict[str, Any]:
    """A refusal as the document has it."""
    schema = {"$ref": "#/components/schemas/Refused"}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


# For each operation that takes a body: status → what it means.
OF_A_BODY = {
    "400": refusal("The body is not valid JSON"),
    "411": refusal("The header Content-Length is missing"),
}
# Status → what it means, for the operations that list it. The words that Python has for it differ
# from version to version, and so would the document.
OF_SOME = {"413": refusal("The body is too large")}
# For each operation: status → what it means.
REFUSALS = {
    status: refusal(words)
    for status, words in {
        "401": "No valid key",
        "403": "The key does not allow it",
        "422": "A field is missing or wrong",
        "429": "Too many calls in this minute: see the header Retry-After",
        "500": "An unexpected error",
        "503": "A database does not answer: make the same call later",
    }.items()
}


class Readable(JSONRenderer):
    """Writes JSON with letters as they are: people read it in a terminal."""

    json_dumps_params = {"ensure_ascii": False}


class Api(NinjaAPI):
    """Names each operation by its function."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__


api = Api(
    title="Data Transfer",
    version="1",
    description="What the pages of Data Transfer show and do, for programs.",
    auth=Key(Scope.READ),
    renderer=Readable(),
    docs_url=None,
    openapi_url=None,
)


def field_of(place: Sequence[Any]) -> str:
    """The name of a field by its place: "query", "limit"; "body", "body", "until"."""
    where, *names = place
    return ".".join(map(str, names[1:] or names if where == "body" else names))


class CallingKey(Schema):
    """The key of the call."""

    name: str
    scopes: list[str] = Field(description="What the key allows.")
    expires_at: AwareDatetime | None
    limit: int = Field(description="Calls a minute.")


@api.get("", auth=Key(), response=CallingKey, summary="What the key of the call allows")
def get_key(request: HttpRequest) -> Any:
    return request.api_key  # type: ignore[attr-defined]


@api.get("openapi.json", auth=Key(), response=dict[str, Any], summary="This API as OpenAPI")
def get_openapi(request: HttpRequest) -> Any:
    return document()


def document() -> dict[str, Any]:
    """The OpenAPI document, as docs/api/openapi.json has it, with how every operation refuses."""
    schema: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(path_prefix=PREFIX)))
    for methods in schema["paths"].values():
        for operation in methods.values():
            of_body = OF_A_BODY if "requestBody" in operation else {}
            of_some = {
                status: OF_SOME[status] for status in OF_SOME.keys() & operation["responses"]
            }
            responses = {**operation["responses"], **REFUSALS, **of_body, **of_some}
            operation["responses"] = dict(sorted(responses.items(), key=lambda one: str(one[0])))
    return schema


@api.exception_handler(Exception)
def leave_to_the_door(request: HttpRequest, error: Exception) -> NoReturn:
    """Lets the door answer: it does so for errors before an operation is found as well."""
    raise error


@api.exception_handler(Http404)
def answer_not_found(request: HttpRequest, error: Http404) -> NoReturn:
    raise TransferError(NOT_FOUND)


@api.exception_handler(HttpError)
def answer_http_error(request: HttpRequest, error: HttpError) -> NoReturn:
    """A body that is no JSON: django-ninja says so, and nothing else."""
    raise TransferError(UNREADABLE)


@api.exception_handler(ValidationError)
def answer_invalid(request: HttpRequest, error: ValidationError) -> NoReturn:
    """Names the fields, never their values: these may be secret."""
    refused = FieldsWrong(INVALID)
    refused.fields = [
        {"field": field_of(one["loc"]), "code": one["type"], "message": one["msg"]}
        for one in error.errors
    ]
    raise refused


api.add_router("", state.router)
api.add_router("", reconciliation.router)
api.add_router("", tasks.router)
api.add_router("", problems.router)
api.add_router("", rows.router)
api.add_router("", rejected.router)
api.add_router("", traces.router)
api.add_router("", loads.router)
api.add_router("", statements.router)

resolver = URLResolver(RegexPattern(f"^{VERSION}"), api.urls[0])
