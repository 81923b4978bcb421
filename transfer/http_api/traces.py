"""The trace of an account or a card: its staged changes, where each is, what the servers hold."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import AwareDatetime, Field

from transfer.causes.api_calls import NOT_FOUND, ROW_NOT_FOUND
from transfer.causes.rows import reason_named
from transfer.errors import TransferError
from transfer.http_api.shapes import LARGEST_NUMBER, Named, Problem, Refused, named, problem_of
from transfer.installed import installed_kinds
from transfer.models.tasks import KindChoices
from transfer.runs.backlog import why
from transfer.text.columns import status_words
from transfer.text.explain import explain
from transfer.trace.compared import Compared, compared
from transfer.trace.delivery import Delivery, StagedRow
from transfer.trace.holding import shown_of
from transfer.trace.search import LONGEST
from transfer.trace.subject import trace, trace_row

router = Router(tags=["Trace"])
PageNumber = Annotated[int, Query(1, ge=1, le=10_000, description="Of 50 changes each.")]


class Delivered(Schema):
    """The outcome of a row on a bonus server."""

    server: Named
    state: str = Field(
        description="waiting; moved; counted: somebody said that the server had it when it began; "
        "rejected; without_effect: not for this server, or taken back; skipped: the server does "
        "without it; unknown."
    )
    run: int | None
    said_by: str = Field(description="Of a counted row: who said so.")
    said_at: AwareDatetime | None
    reject: int | None = Field(description="The number of the rejected row.")
    correct_as: str | None = Field(
        description="What a row that replaces the rejected one names as its `reject`: R12-345."
    )
    reason: Problem | None = Field(
        description="Why it was rejected, waits, or is not known; of a moved row: why our history "
        "alone says so."
    )


class Source(Schema):
    """Where a row comes from, if known."""

    load: str | None
    corrects: int | None = Field(
        description="The rejected row in whose place it is; of it and the others: its id, null if "
        "it is purged."
    )
    sent_by: str
    undoes: int | None = Field(description="The row that it takes back.")
    undone_by: int | None = Field(description="The row that takes it back.")
    sets: int | None = Field(description="The row whose changed amount it brings.")
    database_user: str


class Change(Schema):
    """A row of a staging table."""

    kind: KindChoices
    id: int
    staged_at: AwareDatetime | None
    values: dict[str, str | None] = Field(description="As staged; a PIN code as ••••.")
    source: Source
    servers: list[Delivered]


class Card(Schema):
    card: str
    account: str | None
    status: int | str | None = Field(description="A word of the vendor's where it means no status.")
    status_words: str
    since: AwareDatetime | None = Field(description="Null where the vendor's table has no time.")


class OtherRow(Schema):
    """A row that the server holds, of a kind that has no fields of its own in the answer."""

    values: dict[str, str | None] = Field(
        description="What it says of the account or the card, by column. Secrets are left out."
    )
    since: AwareDatetime | None = Field(description="Null where the vendor's table has no time.")


class Unread(Schema):
    """A table of the server that could not be read, and why; `hint` has the GRANT to run."""

    kind: KindChoices
    reason: Problem


class OnItsWay(Schema):
    """What of the changes on this page waits for the server."""

    changes: dict[str, int] = Field(description="By kind.")
    amount: Decimal = Field(description="The sum of the balance changes.")


class Held(Schema):
    """What a bonus server holds now."""

    server: Named
    error: Problem | None = Field(description="Why nothing is known.")
    differs: list[str] = Field(
        description="In what it differs from most servers: balance, pin, cards, on_its_way, or a "
        "kind of `others`."
    )
    balance: Decimal | None = Field(
        description="Amounts that are valid now. Null for a card, and while not known."
    )
    total: Decimal | None = Field(description="All amounts. Null likewise.")
    has_pin: bool | None
    pin_since: AwareDatetime | None = Field(
        description="When the PIN code was set; null where the vendor's table has no time."
    )
    cards: list[Card]
    others: dict[str, list[OtherRow]] = Field(
        description="Of each further kind that could be read: its rows, 20 at most."
    )
    on_its_way: OnItsWay | None
    unread: list[Unread]


class Trace(Schema):
    """The changes of an account or a card, the latest first."""

    changes: list[Change]
    has_more: bool = Field(description="Whether there is another page.")
    servers: list[Held] = Field(description="Those that differ first.")


@router.get("accounts/{path:number}", response=Trace, summary="The trace of an account")
def get_account(request: HttpRequest, number: str, page: PageNumber) -> Any:
    return traced(number, "account", page)


@router.get("cards/{path:number}", response=Trace, summary="The trace of a card")
def get_card(request: HttpRequest, number: str, page: PageNumber) -> Any:
    return traced(number, "card", page)


@router.get(
    "rows/{kind}/{int:id}",
    response={200: Change, 404: Refused},
    summary="One staged row, by its number: where it is, and why",
)
def get_row(request: HttpRequest, kind: KindChoices, id: int) -> Any:
    row = trace_row(installed_kinds()[kind], id) if id <= LARGEST_NUMBER else None
    if row is None:
        raise TransferError(ROW_NOT_FOUND)
    return change_shape(row)


def traced(number: str, column: str, page: int) -> dict[str, Any]:
    """Raises TransferError."""
    if len(number) > LONGEST or "\x00" in number:
        raise TransferError(NOT_FOUND)
    found = trace(number, column, page)
    return {
        "changes": [change_shape(row) for row in found.rows],
        "has_more": found.has_more,
        "servers": [held_shape(one, column) for one in compared(found.answers, found.coming)],
    }


def change_shape(row: StagedRow) -> dict[str, Any]:
    source = row.source
    return {
        "kind": row.kind.name,
        "id": row.id,
        "staged_at": row.created_at,
        "values": row.payload,
        "source": {
            "load": str(source.upload.token) if source.upload else None,
            "corrects": source.corrects and source.corrects.id,
            "sent_by": source.sent_by,
            "undoes": source.undoes and source.undoes.id,
            "undone_by": source.undone_by and source.undone_by.id,
            "sets": source.sets and source.sets.id,
            "database_user": source.name,
        },
        "servers": [delivered_shape(one) for one in row.deliveries],
    }


def delivered_shape(one: Delivery) -> dict[str, Any]:
    return {
        "server": named(one.server),
        "state": one.state,
        "run": one.run and one.run.pk,
        "said_by": one.said_by,
        "said_at": one.said_at,
        "reject": one.reject and one.reject.pk,
        "correct_as": one.reject and one.reject.key,
        "reason": reason_of(one),
    }


def reason_of(one: Delivery) -> Any:
    if one.code:
        explained = explain(reason_named(one.code))
        return {"code": one.code, "message": explained.sentence, "hint": explained.hint}
    if one.state == "waiting" and one.task is not None:
        return {"code": "waiting", "message": why(one.task)}
    return problem_of(one.error)


def held_shape(one: Compared, column: str) -> dict[str, Any]:
    held, is_known = one.answer.holding, one.answer.error is None
    has_balance = is_known and column == "account" and "balances" not in held.unread
    has_pin = is_known and column == "account" and "pincodes" not in held.unread
    return {
        "server": named(one.answer.server),
        "error": problem_of(one.answer.error),
        "differs": one.differs,
        "balance": held.balance if has_balance else None,
        "total": held.total if has_balance else None,
        "has_pin": held.has_pin if has_pin else None,
        "pin_since": held.pin_set_at if has_pin else None,
        "cards": [
            {
                "card": card,
                "account": account,
                "status": status,
                "status_words": status_words(status),
                "since": since,
            }
            for card, account, status, since in held.cards
        ],
        "others": {
            name: [other_shape(shown_of(installed_kinds()[name], column), row) for row in rows]
            for name, rows in held.others.items()
        },
        "on_its_way": one.coming and {"changes": one.coming.changes, "amount": one.coming.amount},
        "unread": [
            {"kind": name, "reason": problem_of(error)} for name, error in held.unread.items()
        ],
    }


def other_shape(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    *values, since = row
    return {
        "values": {name: _text(value) for name, value in zip(names, values, strict=True)},
        "since": since,
    }


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, date) else str(value)
