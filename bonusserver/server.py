"""HTTP and TLS by the standard library: a thread per connection, one request on each.

Enough for a demo and for tests in a LAN. The whole body is read before Django is asked, so that
a slow caller holds a thread but neither a database connection nor a place among those at work.
"""

import json
import logging
import socket
import ssl
import sys
import time
from http import HTTPStatus
from io import BytesIO
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore
from typing import Any, cast
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

log = logging.getLogger("bonusserver")

LARGEST_BODY = 64 * 1024
LONGEST_LINE = 65536
WORKING_AT_ONCE = 16
DISCARDED = 16 * 1024 * 1024

CODES = {
    HTTPStatus.BAD_REQUEST: ("bad_request", "This is not a complete HTTP request."),
    HTTPStatus.REQUEST_TIMEOUT: ("request_timeout", "The request did not arrive in time."),
    HTTPStatus.LENGTH_REQUIRED: ("length_required", "The body must come with a Content-Length."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "body_too_large",
        f"The body is larger than {LARGEST_BODY} bytes.",
    ),
    HTTPStatus.REQUEST_URI_TOO_LONG: ("uri_too_long", "The request line is too long."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "headers_too_large",
        "The headers are too many or too long.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: ("busy", "The server is busy; try again."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal_error", "The server made a mistake."),
}


def error_body(status: HTTPStatus) -> bytes:
    code, message = CODES[status]
    return json.dumps({"error": code, "message": message}).encode()


class Unacceptable(Exception):
    """A request that is refused before Django is asked."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class Server(ThreadingMixIn, WSGIServer):
    """One port. `environ` goes with every request; `patience` is how many seconds a silent caller,
    or one that finds all places at work taken, is waited for.

    Raises OSError where the port is taken.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    application: Any

    def __init__(
        self,
        address: tuple[str, int],
        app: Any,
        environ: dict[str, str],
        tls: ssl.SSLContext | None,
        patience: float,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.tls = tls
        self.patience = patience
        self.at_work = BoundedSemaphore(WORKING_AT_ONCE)
        super().__init__(address, Handler)
        self.base_environ.update(environ)
        self.base_environ["wsgi.url_scheme"] = self.scheme
        self.application = app

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    @property
    def url(self) -> str:
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"{self.scheme}://{host}:{self.server_port}"

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service for our name, which may take long.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = cast("tuple[str, int]", self.server_address[:2])
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.settimeout(self.patience)
        if self.tls:
            # The handshake waits for the caller: it belongs into the caller's thread.
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.info("A connection broke off: %s", type(sys.exc_info()[1]).__name__)

    def stop(self) -> None:
        """No new requests; those at work may end, while our patience lasts."""
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + self.patience
        for _ in range(WORKING_AT_ONCE):
            self.at_work.acquire(timeout=max(0.0, deadline - time.monotonic()))


class Handler(WSGIRequestHandler):
    server: Server

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def handle(self) -> None:
        try:
            body = self.read_request()
            if body is None:
                self.discard()
            else:
                self.answer(body)
        except TimeoutError:
            self.send_error(HTTPStatus.REQUEST_TIMEOUT)
        except Unacceptable as refusal:
            self.send_error(refusal.status)
            self.discard()

    def read_request(self) -> bytes | None:
        """The body; None where there was no request, or http.server has refused it already.

        Raises Unacceptable, TimeoutError.
        """
        self.command = self.request_version = self.requestline = ""
        self.raw_requestline = self.rfile.readline(LONGEST_LINE + 1)
        if len(self.raw_requestline) > LONGEST_LINE:
            raise Unacceptable(HTTPStatus.REQUEST_URI_TOO_LONG)
        if not self.parse_request():
            return None
        length = self.length_of_body()
        body = self.rfile.read(length)
        if len(body) < length:
            raise Unacceptable(HTTPStatus.BAD_REQUEST)
        return body

    def length_of_body(self) -> int:
        if "Transfer-Encoding" in self.headers:
            raise Unacceptable(HTTPStatus.LENGTH_REQUIRED)
        length = self.headers.get("Content-Length", "0").strip()
        if not (length.isascii() and length.isdigit()):
            raise Unacceptable(HTTPStatus.BAD_REQUEST)
        if len(length) > 9 or int(length) > LARGEST_BODY:
            raise Unacceptable(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return int(length)

    def answer(self, body: bytes) -> None:
        """Raises Unacceptable where all places at work stay taken."""
        if not self.server.at_work.acquire(timeout=self.server.patience):
            raise Unacceptable(HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            answer = Answer(BytesIO(body), self.wfile, self.get_stderr(), self.get_environ())
            answer.run(self.server.application)
        finally:
            self.server.at_work.release()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """As JSON. What http.server would say repeats the request, so it is dropped."""
        status = HTTPStatus(code) if code in CODES else HTTPStatus.BAD_REQUEST
        body = error_body(status)
        self.request_version = "HTTP/1.0"  # 0.9, which rubbish counts as, has no headers
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        log.info("%s refused %s", self.server.base_environ["bonusserver.port"], int(status))

    def discard(self) -> None:
        """Reads what still comes: to close on it would reset the connection and lose the reply."""
        deadline, left = time.monotonic() + self.server.patience, DISCARDED
        self.connection.shutdown(socket.SHUT_WR)
        while left > 0 and time.monotonic() < deadline:
            received = self.connection.recv(65536)
            if not received:
                break
            left -= len(received)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the middleware logs calls, by their route."""


class Answer(SimpleHandler):
    error_status = "500 Internal Server Error"
    error_headers = [("Content-Type", "application/json")]
    error_body = error_body(HTTPStatus.INTERNAL_SERVER_ERROR)
    server_software = "bonusserver"
    wsgi_multithread = True

    def __init__(self, stdin: Any, stdout: Any, stderr: Any, environ: dict[str, Any]) -> None:
        # The process's environment holds the token and the database's password.
        self.os_environ: dict[str, str] = {}
        super().__init__(stdin, stdout, stderr, environ)

    def log_exception(self, exc_info: Any) -> None:
        # Django answers its own errors, so what comes here is a caller that went away.
        log.info("A reply broke off: %s", exc_info[0].__name__)
