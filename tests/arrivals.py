"""Where messages arrive: a real mail server and a real HTTP server."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message


class Inbox(Message):
    """All mails, in the order of their arrival.

    `refuses` is the answer to every recipient, `rejects` that to every message.
    """

    def __init__(self):
        super().__init__()
        self.mails = []
        self.refuses = ""
        self.rejects = ""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refuses:
            return self.refuses
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        return self.rejects or await super().handle_DATA(server, session, envelope)

    def handle_message(self, message):
        self.mails.append(message)


@pytest.fixture
def inbox(settings):
    handler = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = port
    yield handler
    controller.stop()


@pytest.fixture
def listener():
    """An HTTP server; `answer` is the status that it gives, `posts` what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.posts.append((dict(self.headers), body))
            self.send_response(self.server.answer)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.posts, listener.answer = [], 200
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield listener
    listener.shutdown()
    listener.server_close()
