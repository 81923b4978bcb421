"""HTTP and TLS of one port: asyncio receives a request, and then a thread of Django answers it.

A slow caller therefore holds neither a thread nor a database connection. No ready-made server does
what the contract asks: gunicorn, uvicorn and cheroot refuse in plain text or HTML, and let silent
callers stay or hold others up.
"""

import asyncio
import logging
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from typing import Any, cast
from urllib.parse import unquote

import h11
from django.core.handlers.asgi import ASGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse

from reference_bonus_server.replies import Refused

log = logging.getLogger("reference_bonus_server")

LIMIT = 64 * 1024  # bytes of a body, and of what comes before it
MOST_LINES = 102  # a request line, a hundred headers and an empty line
PLACES = 16  # requests at work at once


class Port:
    """`environ` goes with every request. `patience` is how many seconds a request may take to
    arrive, to get one of the places at work, and to have its reply taken.
    """

    def __init__(self, environ: dict[str, str], patience: float) -> None:
        self.environ, self.patience = environ, patience
        self.django = get_wsgi_application()
        self.places = asyncio.Semaphore(PLACES)
        self.threads = ThreadPoolExecutor(PLACES)

    async def open(self, host: str, number: int, tls: ssl.SSLContext | None) -> str:
        """Returns the URL. Raises OSError or OverflowError where the port can't be had."""
        timeout = self.patience if tls else None
        self.server = await asyncio.start_server(
            self.converse, host, number, limit=LIMIT, ssl=tls, ssl_handshake_timeout=timeout
        )
        address, number = self.server.sockets[0].getsockname()[:2]
        scheme, name = "https" if tls else "http", f"[{address}]" if ":" in address else address
        return f"{scheme}://{name}:{number}"

    async def close(self) -> None:
        """Lets no new requests in. Those at work may end, while the patience lasts."""
        self.server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                for _ in range(PLACES):
                    await self.places.acquire()

    async def converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            try:
                await self.answer(reader, writer)
            except Refused as refusal:
                log.info(
                    "%s refused %s", self.environ["reference_bonus_server.port"], refusal.status
                )
                await self.send(refusal.reply(), writer)
            await self.discard(reader, writer)
        # Timeouts and failures of TLS are OSErrors; the end of the server cancels.
        except (OSError, asyncio.CancelledError) as error:
            log.info("A connection broke off: %s", type(error).__name__)
            writer.transport.abort()  # A caller who takes nothing would keep it open.
        finally:
            writer.close()

    async def answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Raises Refused, OSError."""
        slow = Refused(408, "request_timeout", "The request did not arrive in time.")
        busy = Refused(503, "busy", "The server is busy; try again.")
        request: HttpRequest = await self.wait(request_from(reader), slow)
        request.META.update(self.environ)
        await self.wait(self.places.acquire(), busy)
        loop = asyncio.get_running_loop()
        try:
            response = await loop.run_in_executor(self.threads, self.response_to, request)
            await self.send(response, writer)
        finally:
            self.places.release()

    async def wait(self, awaitable: Awaitable[Any], refusal: Refused) -> Any:
        """Raises `refusal` where the patience ends first."""
        try:
            return await asyncio.wait_for(awaitable, self.patience)
        except TimeoutError:
            raise refusal from None

    def response_to(self, request: HttpRequest) -> HttpResponse:
        response = self.django.get_response(request)
        response.close()  # Django closes the thread's database connection with it.
        return cast("HttpResponse", response)

    async def send(self, response: HttpResponse, writer: StreamWriter) -> None:
        response["Cache-Control"] = "no-store"  # It may hold a secret or a balance.
        response["Connection"] = "close"
        response["Content-Length"] = len(response.content)
        status = f"HTTP/1.1 {response.status_code} {response.reason_phrase}\r\n"
        writer.transport.set_write_buffer_limits(0)  # The wait is then for the last byte.
        writer.write(status.encode() + response.serialize())
        await asyncio.wait_for(writer.drain(), self.patience)

    async def discard(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Reads what still comes: to close on it would reset the connection and lose the reply."""
        if writer.can_write_eof():
            writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                while await reader.read(LIMIT):
                    pass


async def request_from(reader: StreamReader) -> HttpRequest:
    """Raises Refused (400, 411, 413, 414, 431)."""
    try:
        head = await head_from(reader)
        body = await reader.readexactly(length_of_body(dict(head.headers)))
    except (asyncio.IncompleteReadError, h11.RemoteProtocolError):
        raise Refused(400, "bad_request", "This is not a complete HTTP request.") from None
    path, _, query = head.target.decode().partition("?")
    scope = {"method": head.method.decode(), "path": unquote(path), "query_string": query}
    return ASGIRequest({**scope, "headers": head.headers}, BytesIO(body))


async def head_from(reader: StreamReader) -> h11.Request:
    """Raises Refused (414, 431), IncompleteReadError, RemoteProtocolError."""
    try:
        lines = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        lines = await reader.read(LIMIT)
    if b"\n" not in lines:
        raise Refused(414, "uri_too_long", "The request line is too long.")
    if not lines.endswith(b"\r\n\r\n") or lines.count(b"\n") > MOST_LINES:
        raise Refused(431, "headers_too_large", "The headers are too many or too long.")
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=2 * LIMIT)
    parser.receive_data(lines)
    head = parser.next_event()
    if not isinstance(head, h11.Request) or head.http_version not in {b"1.0", b"1.1"}:
        raise h11.RemoteProtocolError("an unknown version of HTTP")
    return head


def length_of_body(headers: dict[bytes, bytes]) -> int:
    """Raises Refused (411, 413)."""
    if b"transfer-encoding" in headers:
        raise Refused(411, "length_required", "The body must come with a Content-Length.")
    length = int(headers.get(b"content-length", 0))
    if length > LIMIT:
        raise Refused(413, "body_too_large", f"The body is larger than {LIMIT} bytes.")
    return length
