"""The door to a bonus server's administration port: the contract in bonusserver/README.md.

A vendor's own protocol takes its place by another module with this class. No Django, and no
token in a log, an error or a `repr`. Every failure is an ApiError.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

import httpx

from transfer import errors_api as errors
from transfer.errors_api import ApiError

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
TRIES = 3  # of what only reads
PAUSES = (0.2, 0.5)
PAGE_ROWS = 5000
MOST_PAGES = 40
MOST_BYTES = 16 * 1024 * 1024
EXPIRED, WRONG_NAMES = 10, {62, 64}  # OpenSSL's numbers


@dataclass(frozen=True)
class Endpoint:
    """Where a bonus server's administration port is, and the key to it."""

    name: str
    host: str
    port: int
    token: str = field(repr=False)
    tls: bool = False
    verify: bool = True
    ca: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


@dataclass(frozen=True)
class Status:
    name: str
    version: str
    time: datetime


@dataclass(frozen=True)
class Account:
    """A register's account, as the bonus server has it; `secret` only when it is new."""

    register: str
    login: str
    created: datetime
    last_seen: datetime | None
    blocked: bool
    secret: str = field(default="", repr=False)


class BonusApi:
    """Calls to one server. Each call has its time, all of it, and a connection of its own."""

    def __init__(self, endpoint: Endpoint, seconds: float = ANSWER_SECONDS) -> None:
        self.endpoint, self.seconds = endpoint, seconds
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def status(self) -> Status:
        return self._understood(
            lambda told: Status(_text(told["name"]), _text(told["version"]), _time(told["time"])),
            self._read("/status"),
        )

    def accounts(self) -> list[Account]:
        """All accounts, page by page."""
        found: list[Account] = []
        after = ""
        for _page in range(MOST_PAGES):
            told = self._read(f"/accounts?limit={PAGE_ROWS}&after={quote(after, safe='')}")
            page, following = self._understood(
                lambda told: ([_account(one) for one in told["accounts"]], told["next"]), told
            )
            found += page
            if following is None:
                return found
            if following == after or not isinstance(following, str):
                break
            after = following
        raise self._error(errors.Nonsense)

    def create(self, register: str, shop: str, name: str) -> Account:
        """The new account with its secret. Raises RegisterExists."""
        told = self._call("POST", "/accounts", {"register": register, "shop": shop, "name": name})
        return self._understood(lambda told: _account(told, secret=_text(told["secret"])), told)

    def delete(self, register: str) -> None:
        """Raises RegisterUnknown."""
        self._call("DELETE", self._path(register))

    def set_blocked(self, register: str, blocked: bool) -> Account:
        """Raises RegisterUnknown."""
        action = "block" if blocked else "unblock"
        return self._understood(_account, self._call("POST", f"{self._path(register)}/{action}"))

    def _path(self, register: str) -> str:
        return f"/accounts/{quote(register, safe='')}"

    def _understood(self, read: Callable[[Any], Any], told: Any) -> Any:
        try:
            return read(told)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._error(errors.Nonsense, type(error).__name__) from None

    def _read(self, path: str) -> Any:
        """Asked again when the connection failed or the server was busy; never after a time-out."""
        until = time.monotonic() + self.seconds
        for pause in PAUSES:
            try:
                return self._call("GET", path)
            except (errors.CutOff, errors.ApiBusy, errors.PortClosed):
                if time.monotonic() + pause >= until:
                    raise
                time.sleep(pause)
        return self._call("GET", path)

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        if not self.endpoint.token:
            raise self._error(errors.NoToken)
        with Deadline(self.seconds) as deadline:
            try:
                status, content = self._answer(deadline, method, path, body)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
                raise self._failure(error, deadline) from None
        if status >= 400:
            raise self._refusal(status, content)
        if status == 204:
            return None
        return self._understood(
            lambda content: httpx.Response(200, content=content).json(), content
        )

    def _answer(
        self, deadline: "Deadline", method: str, path: str, body: dict[str, str] | None
    ) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.endpoint.token}"}
        request = self._connected().stream(
            method, path, json=body, headers=headers, extensions={"trace": deadline.trace}
        )
        content = bytearray()
        with request as response:
            for part in response.iter_bytes():
                content += part
                if len(content) > MOST_BYTES:
                    raise httpx.RemoteProtocolError("too large")
            return response.status_code, bytes(content)

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    base_url=self.endpoint.url,
                    verify=tls_context(self.endpoint) if self.endpoint.tls else False,
                    timeout=httpx.Timeout(self.seconds, connect=min(CONNECT_SECONDS, self.seconds)),
                    # The deadline closes the connection of its own call.
                    limits=httpx.Limits(max_keepalive_connections=0),
                    trust_env=False,
                )
            return self._client

    def _error(self, kind: type[ApiError], technical: str = "", **params: object) -> ApiError:
        known = {
            "server": self.endpoint.name,
            "host": self.endpoint.host,
            "port": self.endpoint.port,
            "seconds": f"{self.seconds:g}",
        }
        return kind(technical, **{**known, "reason": technical, **params})

    def _failure(self, error: Exception, deadline: "Deadline") -> ApiError:
        causes = list(_causes(error))
        technical = f"{type(error).__name__}: {error}"[:500]
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self._error(_certificate(cause), cause.verify_message)
            if isinstance(cause, ssl.SSLError):
                return self._error(errors.NoTls, cause.reason or technical)
            if isinstance(cause, socket.gaierror | UnicodeError | httpx.InvalidURL):
                return self._error(errors.HostUnknown, technical)
            if isinstance(cause, ConnectionRefusedError):
                return self._error(errors.PortClosed, technical)
        if isinstance(error, httpx.ConnectTimeout) and not deadline.connected:
            return self._error(errors.HostSilent, technical, seconds=f"{CONNECT_SECONDS:g}")
        if deadline.passed or isinstance(error, httpx.TimeoutException):
            return self._error(errors.ApiTooSlow, technical)
        if isinstance(error, httpx.ConnectError):
            reason = next((one.strerror for one in causes if isinstance(one, OSError)), None)
            return self._error(errors.NoRoute, technical, reason=reason or technical)
        if isinstance(error, httpx.NetworkError) or "disconnected without" in technical:
            return self._error(errors.CutOff, technical)
        if "closed" in technical and isinstance(error, httpx.RemoteProtocolError):
            return self._error(errors.CutOff, technical)
        return self._error(errors.Nonsense, technical)

    def _refusal(self, status: int, content: bytes) -> ApiError:
        """What the server says of a request that it refused: only its own codes are taken over."""
        try:
            told = httpx.Response(200, content=content).json()
            code, said = str(told["error"]), str(told["message"])[:500]
        except (KeyError, TypeError, ValueError):
            code, said = "", ""
        technical = f"HTTP {status} {code} {said}".strip()
        kinds: dict[Any, type[ApiError]] = {
            401: errors.TokenRefused,
            (409, "register_exists"): errors.RegisterExists,
            (404, "register_unknown"): errors.RegisterUnknown,
            503: errors.ApiBusy,
        }
        kind = kinds.get((status, code)) or kinds.get(status)
        if kind is None and status == 409:
            kind = errors.RegisterExists
        if kind is None:
            unknown = errors.ApiBroken if status >= 500 else errors.ApiRefused
            kind = errors.Nonsense if status in (404, 405) else unknown
        return self._error(kind, technical, status=status)


class Deadline:
    """Ends a call whose server answers a byte at a time: httpx bounds each read, not their sum."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._socket = None

    @property
    def connected(self) -> bool:
        """Whether there was a connection; what came next may still have hung."""
        return self._socket is not None

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """httpx tells of every step; here, of the connection that it opened."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = info["return_value"].get_extra_info("socket")

    def _cut(self) -> None:
        self.passed = True
        connection = self._socket
        if connection is not None:
            try:
                # Past TLS, which would first wait for the other side.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                return  # it ended this very moment


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """The machine's authorities, or the server's own one alone. Raises ssl.SSLError."""
    context = ssl.create_default_context(cadata=endpoint.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificate(error: ssl.SSLCertVerificationError) -> type[ApiError]:
    if error.verify_code == EXPIRED:
        return errors.CertificateExpired
    if error.verify_code in WRONG_NAMES:
        return errors.CertificateOfAnother
    return errors.CertificateUnknown


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _account(told: Any, secret: str = "") -> Account:
    return Account(
        register=_text(told["register"]),
        login=_text(told["login"]),
        created=_time(told["created"]),
        last_seen=None if told["last_seen"] is None else _time(told["last_seen"]),
        blocked=told["blocked"] is True,
        secret=secret,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 200 or "\0" in value:
        raise ValueError("no text")
    return value


def _time(value: Any) -> datetime:
    when = datetime.fromisoformat(_text(value))
    if when.tzinfo is None:
        raise ValueError("a time without an offset")
    return when
