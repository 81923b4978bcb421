"""What surrounds every request: the authentication of its port, its line in the log, its errors."""

import logging
from collections.abc import Callable
from importlib import import_module
from time import perf_counter

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from reference_bonus_server.replies import Refused

log = logging.getLogger("reference_bonus_server")
KNOWN_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class PortMiddleware:
    """Without the authentication of the port nothing is reached, not even an unknown path."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = perf_counter()
        port = request.META["reference_bonus_server.port"]
        request.urlconf = f"reference_bonus_server.{port}_port"
        try:
            import_module(request.urlconf).authenticate(request)
            response = self.get_response(request)
        except Exception as error:
            response = reply_to(error)
        log.info("%s %s", port, log_line(request, response, perf_counter() - start))
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse:
        return reply_to(exception)


def log_line(request: HttpRequest, response: HttpResponse, seconds: float) -> str:
    """It has the route and not the path, so that nothing of a caller's URL reaches the log."""
    method = request.method if request.method in KNOWN_METHODS else "?"
    route = request.resolver_match.route if request.resolver_match else "-"
    caller = getattr(request, "register", None)
    register = f" register={caller.register}" if caller else ""
    return f"{method} {route} {response.status_code} {seconds * 1000:.0f}ms{register}"


def reply_to(error: Exception) -> HttpResponse:
    if isinstance(error, Refused):
        return error.reply()
    if isinstance(error, OperationalError | InterfaceError):
        log.error("The database did not answer: %s", str(error).partition("\n")[0])
        return Refused(
            503, "unavailable", "The server can't reach its database now.", Retry_After="5"
        ).reply()
    log.error("A request failed", exc_info=error)
    return Refused(500, "internal_error", "The server made a mistake; its log says more.").reply()
