"""Rows into the staging tables, once for each Idempotency-Key: see `loading.load_once`."""

import codecs
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from transfer.causes.api_calls import (
    BODY_TOO_LARGE,
    BUSY_READING,
    CHARSET,
    CONTENT_TYPE,
    CUT_OFF,
    IDEMPOTENCY_KEY,
)
from transfer.causes.files import TOO_LARGE_FOR_A_CALL
from transfer.engine.kinds import KINDS
from transfer.errors import FileRefused, TransferError
from transfer.http_api.access import Key, check_scope
from transfer.http_api.door import VERSION
from transfer.http_api.shapes import Refused
from transfer.installed import installed_kinds
from transfer.loading.body import Encrypted, NoPlace, places
from transfer.loading.load_once import BYTES_IN_CALL, FORMATS, ROWS_IN_CALL, load_once
from transfer.models.api_keys import Scope
from transfer.models.tasks import KindChoices

router = Router(tags=["Rows"], auth=Key())
CHUNK = 1 << 20
KEY_FORM = re.compile("[!-~]{8,200}")
TYPES = {"application/json": "json", "text/csv": "csv"}
# Of a CSV: what Python calls the charset of the header → how it is read.
ENCODINGS = {
    "ascii": "utf-8-sig",
    "utf-8": "utf-8-sig",
    "cp1251": "cp1251",
    "cp866": "cp866",
    "utf-16": "utf-16",
}
FIELDS = "; ".join(f"{kind.name}: {', '.join(kind.names)}" for kind in KINDS.values())
CALL = {
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "required": True,
            "description": (
                "Visible ASCII characters, best a UUID: another for each load. The same call again "
                "gets the same answer and loads nothing."
            ),
            "schema": {
                "type": "string",
                "minLength": 8,
                "maxLength": 200,
                "pattern": f"^{KEY_FORM.pattern}$",
            },
        },
        {
            "in": "header",
            "name": "Prefer",
            "required": False,
            "description": (
                "respond-async: more than 100,000 rows or 4 MB are loaded after the answer, which "
                "has status 202. Without it they are refused with status 413."
            ),
            "schema": {"type": "string"},
        },
    ],
    "requestBody": {
        "required": True,
        "description": (
            "The rows: a JSON list with an object for each, up to 16 MB; or a CSV with headings, "
            "up to 256 MB, in the charset of Content-Type, else detected. Above 100,000 rows or "
            f"4 MB: see the header Prefer. Fields: {FIELDS}. With `reject`, "
            "such as R12-345, a row replaces a rejected one."
        ),
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": {"type": ["string", "number", "null"]},
                    },
                },
                "example": [{"account": "4100000011", "amount": "250.00"}],
            },
            "text/csv": {"schema": {"type": "string"}},
        },
    },
}


class Loaded(Schema):
    """The rows are in the staging table."""

    id: UUID = Field(description="Of the load: GET loads/{id} says where its rows are.")
    kind: KindChoices
    rows: int


class Ordered(Schema):
    """The rows have arrived. All of them will be loaded, or none."""

    id: UUID = Field(description="Of the load: GET loads/{id} says whether it is loaded.")
    kind: KindChoices
    state: Literal["received", "waiting"] = Field(
        description=(
            "received: a worker will load them; waiting: they are above a limit of the key, so a "
            "second person has to approve them on the pages, within seven days."
        )
    )


@router.post(
    "rows/{kind}",
    response={
        201: Loaded,
        202: Ordered,
        **dict.fromkeys((400, 403, 408, 409, 413, 415, 422, 429, 503), Refused),
    },
    openapi_extra=CALL,
    summary="Load rows: all of them or none, once for each Idempotency-Key",
)
def load_rows(
    request: HttpRequest,
    response: HttpResponse,
    kind: KindChoices,
) -> Any:
    check_scope(request, Scope.to_load(kind))
    idempotency_key = request.headers.get("Idempotency-Key", "")
    if not KEY_FORM.fullmatch(idempotency_key):
        raise TransferError(IDEMPOTENCY_KEY)
    form = TYPES.get(request.content_type or "")
    if form is None:
        raise TransferError(CONTENT_TYPE)
    # The names in the header Prefer (RFC 7240), without their values.
    names = re.split("[,;]", request.headers.get("Prefer", ""))
    preferences = {name.partition("=")[0].strip().lower() for name in names}
    may_wait = "respond-async" in preferences
    check_length(request, FORMATS[form], may_wait=may_wait)
    encoding = encoding_of(request) if form == "csv" else ""
    with received(request) as body:
        loaded = load_once(
            installed_kinds()[kind],
            body,
            request.api_key,  # type: ignore[attr-defined]
            request.actor,  # type: ignore[attr-defined]
            idempotency_key=idempotency_key,
            form=form,
            encoding=encoding,
            may_wait=may_wait,
        )
    if loaded.rows is None:
        response.headers["Location"] = f"/api/{VERSION}loads/{loaded.token}"
        if loaded.is_waiting:
            return Status(202, {"id": loaded.token, "kind": kind, "state": "waiting"})
        response.headers["Preference-Applied"] = "respond-async"
        return Status(202, {"id": loaded.token, "kind": kind, "state": "received"})
    if loaded.is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return Status(201, {"id": loaded.token, "kind": kind, "rows": loaded.rows})


@contextmanager
def received(request: HttpRequest) -> Iterator[Encrypted]:
    """Give the whole body, on the disk for the time of the block: see `loading.body`.

    Raises TransferError.
    """
    with closing(Encrypted()) as body:
        try:
            with places.place(f"key {request.api_key.pk}"):  # type: ignore[attr-defined]
                while chunk := request.read(CHUNK):
                    body.append(chunk)
        except NoPlace:
            raise TransferError(BUSY_READING) from None
        if body.size < int(request.META.get("CONTENT_LENGTH") or 0):
            raise TransferError(CUT_OFF)
        yield body


def encoding_of(request: HttpRequest) -> str:
    """Return the encoding that the header Content-Type names; "" if it names none.

    Raises TransferError.
    """
    charset = (request.content_params or {}).get("charset", "")
    if not charset:
        return ""
    with suppress(LookupError):
        if encoding := ENCODINGS.get(codecs.lookup(charset).name):
            return encoding
    raise TransferError(CHARSET)


def check_length(request: HttpRequest, most: int, *, may_wait: bool) -> None:
    """Refuses what is declared too large before it is read. Raises TransferError."""
    declared = int(request.META.get("CONTENT_LENGTH") or 0)
    if declared > most:
        raise TransferError(BODY_TOO_LARGE, most=most >> 20)
    if declared > BYTES_IN_CALL and not may_wait:
        raise FileRefused(TOO_LARGE_FOR_A_CALL, rows=ROWS_IN_CALL, most=BYTES_IN_CALL >> 20)
