"""Calls to a bonus server's administration port by HTTP, each bounded in time, size and trust.

No token is in a log, an error or a `repr`. Every failure is a TransferError.
"""

import json
import socket
import ssl
import threading
from contextlib import suppress
from typing import Any, Self

import httpx2

from transfer.bonus_admin_client.contract import Endpoint
from transfer.bonus_admin_client.ports import Port, challenged
from transfer.causes.bonus_servers import (
    API_BROKEN,
    API_BUSY,
    API_CERTIFICATE_EXPIRED,
    API_CERTIFICATE_OF_ANOTHER,
    API_CERTIFICATE_UNKNOWN,
    API_NO_TLS,
    API_NO_TOKEN,
    API_NONSENSE,
    API_REFUSED,
    API_REGISTER_EXISTS,
    API_REGISTER_UNKNOWN,
    API_SERVICE_PORT,
    API_TOKEN_REFUSED,
)
from transfer.causes.cause import Cause
from transfer.causes.connections import (
    CONNECTION_LOST,
    HOST_SILENT,
    HOST_UNKNOWN,
    PORT_CLOSED,
    TOO_SLOW,
    UNREACHABLE,
)
from transfer.errors import TransferError
from transfer.parties import server

CONNECT_SECONDS = 3.0
ANSWER_BYTES = 64 << 10  # of an answer about one account, or none
# By OpenSSL's number of what is wrong with one; 62 is a name, 64 an address.
CERTIFICATES: dict[int, Cause] = {
    10: API_CERTIFICATE_EXPIRED,
    62: API_CERTIFICATE_OF_ANOTHER,
    64: API_CERTIFICATE_OF_ANOTHER,
}


class AdminPort:
    """The admin port of a server. Each call has its time, all of it, and its own connection."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        self.endpoint, self.seconds = endpoint, seconds
        self.connect_seconds = min(CONNECT_SECONDS, seconds)
        self._client: httpx2.Client | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, str] | None = None,
        most_bytes: int = ANSWER_BYTES,
    ) -> Any:
        """The JSON of the answer; None if it has no body. Raises TransferError.

        An answer of more than `most_bytes` is API_NONSENSE: as JSON it takes up to 30 times as much
        memory.
        """
        if not self.endpoint.token:
            raise self.error(API_NO_TOKEN)
        with Deadline(self.seconds) as deadline:
            try:
                status, headers, content = self._answer(deadline, method, path, body, most_bytes)
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
                raise self._failure(error, deadline) from None
        if status >= 400:
            raise self._refusal(status, headers, content)
        if status == 204:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self.error(API_NONSENSE, type(error).__name__) from None

    def _answer(
        self,
        deadline: "Deadline",
        method: str,
        path: str,
        body: dict[str, str] | None,
        most_bytes: int,
    ) -> tuple[int, httpx2.Headers, bytes]:
        # A compressed answer is read as it is, and so is no JSON: a few bytes could unpack to
        # gigabytes.
        headers = {
            "Authorization": f"Bearer {self.endpoint.token}",
            "Accept-Encoding": "identity",
        }
        request = self._connected().stream(
            method, path, json=body, headers=headers, extensions={"trace": deadline.trace}
        )
        content = bytearray()
        with request as response:
            for part in response.iter_raw():
                content += part
                if len(content) > most_bytes:
                    raise httpx2.RemoteProtocolError("too large")
            return response.status_code, response.headers, bytes(content)

    def _connected(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx2.Client(
                    base_url=self.endpoint.url,
                    verify=tls_context(self.endpoint) if self.endpoint.tls else False,
                    timeout=httpx2.Timeout(self.seconds, connect=self.connect_seconds),
                    # The deadline closes the connection of its own call.
                    limits=httpx2.Limits(max_keepalive_connections=0),
                    trust_env=False,
                )
            return self._client

    def error(self, cause: Cause, technical: str = "", **params: object) -> TransferError:
        """Return the error with what is known of the server and of the call."""
        known: dict[str, object] = {
            "server": self.endpoint.name,
            "host": self.endpoint.host,
            "port": self.endpoint.port,
            "seconds": f"{self.seconds:g}",
            "reason": technical,
        }
        return TransferError(cause, technical, party=server(self.endpoint.name), **known | params)

    def _failure(self, error: Exception, deadline: "Deadline") -> TransferError:
        causes: list[BaseException] = []
        latest: BaseException | None = error
        while latest is not None:
            causes.append(latest)
            latest = latest.__cause__ or latest.__context__
        technical = f"{type(error).__name__}: {error}"[:500]
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                wrong = CERTIFICATES.get(cause.verify_code, API_CERTIFICATE_UNKNOWN)
                return self.error(wrong, cause.verify_message)
            if isinstance(cause, ssl.SSLError):
                return self.error(API_NO_TLS, cause.reason or technical)
            if isinstance(cause, socket.gaierror | UnicodeError | httpx2.InvalidURL):
                return self.error(HOST_UNKNOWN, technical)
            if isinstance(cause, ConnectionRefusedError):
                return self.error(PORT_CLOSED, technical)
        if isinstance(error, httpx2.ConnectTimeout) and not deadline.connected:
            return self.error(HOST_SILENT, technical, seconds=f"{self.connect_seconds:g}")
        if deadline.passed or isinstance(error, httpx2.TimeoutException):
            return self.error(TOO_SLOW, technical, reason=f"> {self.seconds:g} s")
        if isinstance(error, httpx2.ConnectError):
            reason = next((one.strerror for one in causes if isinstance(one, OSError)), None)
            return self.error(UNREACHABLE, technical, reason=reason or technical)
        is_closed = "closed" in technical and isinstance(error, httpx2.RemoteProtocolError)
        if (
            isinstance(error, httpx2.NetworkError)
            or "disconnected without" in technical
            or is_closed
        ):
            return self.error(CONNECTION_LOST, technical)
        return self.error(API_NONSENSE, technical)

    def _refusal(self, status: int, headers: httpx2.Headers, content: bytes) -> TransferError:
        """What the server says of a request that it refused: only its own codes are taken over."""
        if status == 401 and challenged(headers) == Port.SERVICE:
            return self.error(API_SERVICE_PORT, f"HTTP {status}")
        try:
            answer = json.loads(content)
            code, message = self._quoted(answer["error"]), self._quoted(answer["message"])
        except (KeyError, TypeError, ValueError, RecursionError):
            code, message = "", ""
        technical = f"HTTP {status} {code} {message}".strip()
        known: dict[Any, Cause] = {
            401: API_TOKEN_REFUSED,
            (404, "register_unknown"): API_REGISTER_UNKNOWN,
            404: API_NONSENSE,
            405: API_NONSENSE,
            409: API_REGISTER_EXISTS,
            503: API_BUSY,
        }
        unknown = API_BROKEN if status >= 500 else API_REFUSED
        cause = known.get((status, code)) or known.get(status, unknown)
        return self.error(cause, technical, status=status)

    def _quoted(self, answer: Any) -> str:
        """Its beginning, without our token, and without what our database can't store."""
        text = str(answer).replace(self.endpoint.token, "••••")[:500]
        return text.encode(errors="replace").decode().replace("\0", "")


class Deadline:
    """Ends a call whose server answers a byte at a time: httpx2 bounds each read, not their sum."""

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
        """httpx2 tells of every step; here, of the connection that it opened."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = info["return_value"].get_extra_info("socket")

    def _cut(self) -> None:
        self.passed = True
        if (connection := self._socket) is not None:
            with suppress(OSError):  # it ended this very moment
                # Past TLS, which would first wait for the other side.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """The machine's authorities, or the server's own one alone. Raises ssl.SSLError."""
    context = ssl.create_default_context(cadata=endpoint.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
