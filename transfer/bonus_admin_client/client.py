"""The client of a bonus server's administration port.

The contract is reference_bonus_server/README.md.

A vendor's own protocol takes its place by another module with this class. Every failure
is a TransferError.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

from transfer.bonus_admin_client.contract import Account, Endpoint, Status
from transfer.bonus_admin_client.http import ANSWER_BYTES, AdminPort
from transfer.causes.bonus_servers import API_BUSY, API_NONSENSE
from transfer.causes.connections import CONNECTION_LOST, PORT_CLOSED
from transfer.errors import TransferError

ANSWER_SECONDS = 5.0
PAUSES = (0.2, 0.5)  # before what only reads is asked again
WORTH_ANOTHER_TRY = (CONNECTION_LOST, PORT_CLOSED, API_BUSY)
PAGE_ROWS = 5000
MOST_PAGES = 40
PAGE_BYTES = 8 << 20  # 1,600 for each account of a page; the reference server needs 200
LONGEST_TEXT = 200  # characters
LONGEST_LIST = 16 << 20  # characters of all codes and logins together


class BonusApi:
    """What can be asked of one server, from any number of threads."""

    def __init__(self, endpoint: Endpoint, seconds: float = ANSWER_SECONDS) -> None:
        self._port = AdminPort(endpoint, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._port.close()

    def status(self) -> Status:
        return self._understood(
            lambda answer: Status(
                _text(answer["name"]), _text(answer["version"]), _time(answer["time"])
            ),
            self._read("/status"),
        )

    def accounts(self) -> list[Account]:
        """Reads all accounts, page by page: at most PAGE_ROWS * MOST_PAGES of them."""
        collected: list[Account] = []
        left = LONGEST_LIST
        after = ""
        for _page in range(MOST_PAGES):
            path = f"/accounts?limit={PAGE_ROWS}&after={quote(after, safe='')}"
            answer = self._read(path, PAGE_BYTES)
            page, following = self._understood(
                lambda answer: (
                    [_account(one) for one in answer["accounts"]],
                    None if answer["next"] is None else _text(answer["next"]),
                ),
                answer,
            )
            left -= sum(len(one.register) + len(one.login) for one in page)
            if len(page) > PAGE_ROWS or left < 0:
                break
            collected += page
            if following is None:
                return [*{one.register: one for one in collected}.values()]
            if following == after:
                break
            after = following
        raise self._port.error(API_NONSENSE)

    def create(self, register: str, shop: str, name: str) -> Account:
        """The new account with its secret. Raises API_REGISTER_EXISTS."""
        answer = self._port.call(
            "POST", "/accounts", {"register": register, "shop": shop, "name": name}
        )
        return self._understood(
            lambda answer: _account(answer, secret=_text(answer["secret"])), answer
        )

    def delete(self, register: str) -> None:
        """Raises API_REGISTER_UNKNOWN."""
        self._port.call("DELETE", self._path(register))

    def set_blocked(self, register: str, blocked: bool) -> Account:
        """Raises API_REGISTER_UNKNOWN."""
        action = "block" if blocked else "unblock"
        return self._understood(
            _account, self._port.call("POST", f"{self._path(register)}/{action}")
        )

    def _path(self, register: str) -> str:
        return f"/accounts/{quote(register, safe='')}"

    def _understood(self, read: Callable[[Any], Any], answer: Any) -> Any:
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._port.error(API_NONSENSE, type(error).__name__) from None

    def _read(self, path: str, most_bytes: int = ANSWER_BYTES) -> Any:
        """Asks again when the connection failed or the server was busy; never after a time-out."""
        until = time.monotonic() + self._port.seconds
        for pause in PAUSES:
            try:
                return self._port.call("GET", path, most_bytes=most_bytes)
            except TransferError as error:
                if error.cause not in WORTH_ANOTHER_TRY or time.monotonic() + pause >= until:
                    raise
                time.sleep(pause)
        return self._port.call("GET", path, most_bytes=most_bytes)


def _account(answer: Any, secret: str = "") -> Account:
    return Account(
        register=_text(answer["register"]),
        login=_text(answer["login"]),
        created=_time(answer["created"]),
        last_seen=None if answer["last_seen"] is None else _time(answer["last_seen"]),
        blocked=answer["blocked"] is True,
        secret=secret,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > LONGEST_TEXT or "\0" in value:
        raise ValueError("no text")
    value.encode()  # half a character can't be stored
    return value


def _time(value: Any) -> datetime:
    when = datetime.fromisoformat(_text(value))
    if when.tzinfo is None or not 1900 < when.year < 2200:
        raise ValueError("a time without an offset, or of another age")
    return when.astimezone(UTC)  # PostgreSQL takes no offset of a day
