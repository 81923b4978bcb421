"""How the API answers a call that is refused: status, code and sentence of its cause."""

from collections.abc import Iterable
from typing import Any

from django.http import JsonResponse

from transfer.causes.api_calls import METHOD, NO_KEY, TOO_MANY_CALLS
from transfer.causes.catalogue import CATALOGUE
from transfer.causes.files import BUSY_WITH_THE_SAME
from transfer.errors import BadRows, FieldsWrong, TransferError
from transfer.loading.body import RETRY_AFTER
from transfer.models import BadLine
from transfer.text.explain import explain


def answer_to(error: TransferError) -> JsonResponse:
    """Return the answer to a call that ends with the error; its technical text stays inside."""
    explained = explain(error)
    body: dict[str, Any] = {"code": error.code, "message": explained.sentence}
    if explained.hint:
        body["hint"] = explained.hint
    if errors := _fields_of(error):
        body["errors"] = errors
    return JsonResponse(
        body,
        status=error.cause.status,
        headers=_headers_of(error),
        json_dumps_params={"ensure_ascii": False},  # letters as they are
    )


def _headers_of(error: TransferError) -> dict[str, str]:
    """Return the headers by which a program knows how to go on."""
    if error.cause is NO_KEY:
        return {"WWW-Authenticate": "Bearer"}
    if error.cause is METHOD:
        return {"Allow": error.params["methods"]}
    if error.cause is TOO_MANY_CALLS:
        return {"Retry-After": error.params["seconds"]}
    if error.cause.status in (429, 503) or error.cause is BUSY_WITH_THE_SAME:
        return {"Retry-After": str(RETRY_AFTER)}
    return {}


def _fields_of(error: TransferError) -> list[dict[str, Any]]:
    """Return the rows and fields that the error is about."""
    if isinstance(error, FieldsWrong):
        return [dict(one) for one in error.fields]
    if isinstance(error, BadRows):
        return bad_rows(error.lines)
    if "row" not in error.params:
        return []
    named = {"row": int(error.params["row"]), "field": error.params.get("field", "")}
    return [{**named, "code": error.code, "message": explain(error).sentence}]


def bad_rows(lines: Iterable[BadLine]) -> list[dict[str, Any]]:
    """Return row, field and reason of each; PIN codes are masked."""
    shown = []
    for bad in lines:
        reason = explain(CATALOGUE[bad.code])
        shown.append(
            {
                "row": bad.line,
                "field": bad.columns,
                "code": bad.code,
                "message": reason.sentence,
                "hint": reason.hint,
                "value": bad.value,
            }
        )
    return shown
