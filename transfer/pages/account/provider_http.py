"""HTTP to the company's provider: all calls for one request of a browser have one deadline.

allauth calls by `requests`, whose time limit is one for each read: a provider that answers a byte
at a time would hold a thread of the web server for hours.
"""

import io
import ssl
import time
from typing import Any

import httpx2
import requests
from django.conf import settings
from django.http import HttpRequest
from requests.adapters import BaseAdapter

from transfer.bonus_admin_client.http import Deadline

SECONDS = 10.0
MOST_BYTES = 1 << 20  # of an answer


def session_for(request: HttpRequest) -> requests.Session:
    """Return a session whose calls end by the deadline of the browser's request."""
    if not hasattr(request, "provider_deadline"):
        request.provider_deadline = time.monotonic() + SECONDS  # type: ignore[attr-defined]
    session = requests.Session()
    session.verify = settings.OIDC_CA or True
    bounded = Bounded(request.provider_deadline)  # type: ignore[attr-defined]
    for scheme in ("https://", "http://"):
        session.mount(scheme, bounded)
    return session


class Bounded(BaseAdapter):
    """Sends for `requests`, until `ends_at` (of `time.monotonic`)."""

    def __init__(self, ends_at: float) -> None:
        super().__init__()
        self.ends_at = ends_at

    def send(  # type: ignore[override]  # streams, proxies and client certificates are not used
        self, request: requests.PreparedRequest, *, verify: Any = True, **_options: Any
    ) -> requests.Response:
        """Return the answer. Raises ConnectionError, Timeout."""
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise requests.Timeout("no time is left", request=request)
        response = requests.Response()
        response.request, response.url = request, str(request.url)
        try:
            with Deadline(left) as deadline, client(left, verify) as sender:
                answer, content = receive(sender, request, deadline)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise requests.ConnectionError(type(error).__name__, request=request) from error
        response.status_code, response.reason = answer.status_code, answer.reason_phrase
        response.headers.update(answer.headers)
        response.raw = io.BytesIO(content)
        return response

    def close(self) -> None:
        """Do nothing: each call closes its connection."""


def client(seconds: float, verify: bool | str) -> httpx2.Client:
    """Return a client that trusts the authority in the file `verify`, or those of `requests`."""
    authorities = verify if isinstance(verify, str) else requests.certs.where()
    context = ssl.create_default_context(cafile=authorities)
    return httpx2.Client(verify=context, timeout=seconds)


def receive(
    sender: httpx2.Client, request: requests.PreparedRequest, deadline: Deadline
) -> tuple[httpx2.Response, bytes]:
    """Return the answer and its content. Raises httpx2.HTTPError, also if it is too large."""
    # A compressed answer could unpack to gigabytes.
    headers = {**dict(request.headers), "Accept-Encoding": "identity"}
    content = bytearray()
    with sender.stream(
        str(request.method),
        str(request.url),
        content=request.body,  # type: ignore[arg-type]  # a form, as text
        headers=headers,  # type: ignore[arg-type]  # texts, whatever `requests` says
        extensions={"trace": deadline.trace},
    ) as answer:
        for part in answer.iter_raw():
            content += part
            if len(content) > MOST_BYTES:
                raise httpx2.RemoteProtocolError("too large")
        return answer, bytes(content)
