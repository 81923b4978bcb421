"""Why a call is refused: a status, a code for programs, and a sentence for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _

from transfer.errors import FileRefused, TransferError
from transfer.loading.body import RETRY_AFTER
from transfer.loading.faults import (
    BadRows,
    BusyWithTheSame,
    CallTakenBack,
    FileTooLarge,
    LargeCallOpen,
    OtherContent,
    TooLargeForACall,
)
from transfer.loading.report import fault_named
from transfer.models import BadLine
from transfer.models.api_keys import Scope
from transfer.text.explain import explain


class Refusal(Exception):
    """A call that is answered by an error."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str = "",
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.headers = status, headers
        self.body: dict[str, Any] = {"code": code, "message": message}
        if hint:
            self.body["hint"] = hint
        if errors:
            self.body["errors"] = [*errors]

    def response(self) -> JsonResponse:
        """Return the answer, with letters as they are."""
        as_they_are = {"ensure_ascii": False}
        return JsonResponse(
            self.body, status=self.status, headers=self.headers, json_dumps_params=as_they_are
        )


def not_found(message: str = "") -> Refusal:
    return Refusal(404, "not_found", message or _("There is nothing at this address."))


def no_key() -> Refusal:
    """Says the same of a missing, unknown, expired and revoked key."""
    message = _("The call has no valid API key.")
    hint = _(
        "Send the header “Authorization: Bearer KEY”. An administrator makes keys, and sees there "
        "whether a key is expired or revoked."
    )
    headers = {"WWW-Authenticate": "Bearer"}
    return Refusal(401, "no_key", message, hint=hint, headers=headers)


def too_many_calls(limit: int, seconds: int) -> Refusal:
    message = _("The key has used up its %(limit)s calls for this minute.") % {"limit": limit}
    headers = {"Retry-After": str(seconds)}
    hint = _("Wait until the minute ends: the header Retry-After says how many seconds.")
    return Refusal(429, "too_many_calls", message, hint=hint, headers=headers)


def scope_missing(scope: Scope) -> Refusal:
    message = _("The key does not allow this: “%(scope)s”.") % {"scope": scope.label}
    hint = _("Use a key that allows it; an administrator can make one.")
    return Refusal(403, "scope_missing", message, hint=hint)


def no_length() -> Refusal:
    message = _("The call does not say how long its body is.")
    hint = _("Send the header Content-Length, and the body in one piece instead of in chunks.")
    return Refusal(411, "no_length", message, hint=hint)


def busy_reading() -> Refusal:
    message = _("Too many calls are being received at this moment: of all programs, or of yours.")
    hint = _("Make the same call again later: the header Retry-After says in how many seconds.")
    headers = {"Retry-After": str(RETRY_AFTER)}
    return Refusal(503, "busy_reading", message, hint=hint, headers=headers)


def cut_off() -> Refusal:
    message = _("The body ended before its length was reached, so nothing was loaded.")
    hint = _("Make the same call again.")
    return Refusal(400, "cut_off", message, hint=hint)


def too_slow() -> Refusal:
    message = _("The body came too slowly, so nothing was done.")
    hint = _("Make the same call again, over a faster connection or in smaller parts.")
    return Refusal(408, "too_slow", message, hint=hint)


# Statuses of refusals that have other reasons than the values of rows.
STATUSES = {
    FileTooLarge.code: 413,
    TooLargeForACall.code: 413,
    OtherContent.code: 409,
    CallTakenBack.code: 409,
    BusyWithTheSame.code: 409,
    LargeCallOpen.code: 429,
}


def of_error(error: TransferError) -> Refusal:
    """What a database, a server or a check has refused; its technical text stays inside."""
    explained = explain(error)
    status = STATUSES.get(error.code, 422) if isinstance(error, FileRefused) else 503
    is_for_later = status in (429, 503) or error.code == BusyWithTheSame.code
    headers = {"Retry-After": str(RETRY_AFTER)} if is_for_later else {}
    return Refusal(
        status,
        error.code,
        explained.sentence,
        hint=explained.hint,
        errors=_fields_of(error),
        headers=headers,
    )


def _fields_of(error: TransferError) -> list[dict[str, Any]]:
    """The rows and fields that the error is about."""
    if isinstance(error, BadRows):
        return bad_rows(error.lines)
    if "row" not in error.params:
        return []
    named = {"row": int(error.params["row"]), "field": error.params.get("field", "")}
    return [{**named, "code": error.code, "message": explain(error).sentence}]


def bad_rows(lines: Iterable[BadLine]) -> list[dict[str, Any]]:
    """Row, field and reason of each; PIN codes are masked."""
    shown = []
    for bad in lines:
        reason = explain(fault_named(bad.code))
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


def own_database_away() -> Refusal:
    message = _("The database of Data Transfer does not answer.")
    hint = _("Make the same call again later.")
    return Refusal(503, "own_database", message, hint=hint, headers={"Retry-After": "10"})


def unexpected() -> Refusal:
    """An error that is logged under the number of the request."""
    message = _("An unexpected error.")
    hint = _("The header X-Request-ID has the number under which the log names it.")
    return Refusal(500, "unexpected", message, hint=hint)
