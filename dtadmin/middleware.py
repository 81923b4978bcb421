"""What every request gets: the user's language and time zone, and a strict content policy."""

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from transfer.logs import about
from transfer.models.settings import known_zones

THIS_MACHINE = "127.0.0.1"

View = Callable[[HttpRequest], HttpResponse]

CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


class LanguageMiddleware(LocaleMiddleware):
    """The language that the user chose, else the installation's: not the browser's."""

    def process_request(self, request: HttpRequest) -> None:
        request.META.pop("HTTP_ACCEPT_LANGUAGE", None)
        super().process_request(request)


# "10.1.2.3:5678", "[2001:db8::1]:443" and "[2001:db8::1]": some proxies write addresses so.
WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


class TrueAddress(MiddlewareMixin):
    """Believes the address that the proxy names; no other sender's.

    The last name in the header is the proxy's own; the browser may have sent all before it. Who
    connects to a Unix socket has the address of this machine until a header names another one, so
    that the guesses of such a client are counted, too.
    """

    def process_request(self, request: HttpRequest) -> None:
        connection = request.META.get("gunicorn.socket")  # no header of the client counts
        over_socket = connection is not None and connection.family == socket.AF_UNIX
        near = THIS_MACHINE if over_socket else request.META.get("REMOTE_ADDR", "")
        with suppress(ValueError):
            request.META["REMOTE_ADDR"] = str(address(near))
        if not is_proxy(near, over_socket):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
            return
        named = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        with_port = WITH_PORT.fullmatch(named)
        if with_port:
            named = with_port[1] or with_port[2]
        with suppress(ValueError):
            request.META["REMOTE_ADDR"] = str(address(named))


def is_proxy(text: str, over_socket: bool) -> bool:
    """Whether BEHIND_PROXY means the client with this address, or one over a Unix socket."""
    if isinstance(settings.BEHIND_PROXY, str) or over_socket:
        return over_socket and settings.BEHIND_PROXY == settings.UNIX
    with suppress(ValueError):
        return any(address(text) in network for network in settings.BEHIND_PROXY)
    return False


def address(text: str) -> IPv4Address | IPv6Address:
    """Reads an address, without the network card that it may name. Raises ValueError.

    A socket that takes both kinds of addresses has those of IPv4 in a form of IPv6.
    """
    read = ip_address(text.partition("%")[0])
    return getattr(read, "ipv4_mapped", None) or read


# A proxy's own number is kept, so that its log and ours can be laid side by side.
REQUEST_NUMBER = re.compile(r"[\w.-]{8,64}", re.ASCII)


def request_number(get_response: View) -> View:
    """Gives each request a number, in every line that is logged for it and in its answer."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        number = given if REQUEST_NUMBER.fullmatch(given) else uuid4().hex
        request.number = number  # type: ignore[attr-defined]
        with about(request_id=number):
            response = get_response(request)
        response.headers["X-Request-ID"] = number
        return response

    return middleware


def time_zone(get_response: View) -> View:
    """Shows times in the zone that the user chose, else in TIME_ZONE."""

    def middleware(request: HttpRequest) -> HttpResponse:
        name = request.COOKIES.get("timezone", "")
        # Django looks up a zone that is active in a fifth of the time that the default one takes.
        with timezone.override(name if name in known_zones() else settings.TIME_ZONE):
            return get_response(request)

    return middleware


class ContentPolicy(MiddlewareMixin):
    """Forbids browsers to load anything from elsewhere, and inline scripts and styles."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
        return response
