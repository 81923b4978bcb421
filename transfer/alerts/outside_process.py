"""Posts one message to an address outside, in a process of its own with bounds.

The receiver may answer endlessly, unpack to gigabytes, drip, or redirect: that harms only this
process. It may not connect to addresses where clouds keep their secrets, start
programs, or write files. Runs without Django (`python -I outside_process.py`): reads what to send
as JSON from its standard input, since addresses hold keys, and writes how it ended as JSON.
"""

import json
import resource
import socket
import ssl
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

MEMORY = 1 << 30
CPU_SECONDS = 60
LONGEST_ANSWER = 2000  # bytes: messengers say in a few words why they refuse
FORBIDDEN = [
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local: the metadata of nearly every cloud
        "fe80::/10",
        "fd00:ec2::254/128",  # Amazon
        "fd20:ce::254/128",  # Google
        "168.63.129.16/32",  # Azure
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
    )
]
# Networks of IPv6 whose last 32 bits are an address of IPv4: compatible, and NAT64.
ENDS_WITH_IPV4 = [ip_network(one) for one in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")]
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"}
SENDING = {"socket.connect", "socket.sendto", "socket.sendmsg"}


class ForbiddenError(OSError):
    """This process may not do that."""


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    wanted = json.load(sys.stdin)
    guard = Guard()
    sys.addaudithook(guard)
    outcome = SENDERS[wanted.pop("channel")](**wanted)
    if "failed" in outcome and guard.refused_address:
        outcome = {"failed": "address"}
    json.dump(outcome, sys.stdout)
    return 0


class Guard:
    """Hears of each thing that Python is about to do, and forbids some. Raises ForbiddenError.

    What is checked is the address that a socket is about to connect to, after any look-up of a
    name and any redirect.
    """

    def __init__(self) -> None:
        self.refused_address = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in PROGRAMS:
            raise ForbiddenError(event)
        if event in SENDING and not self._may_reach(arguments[1]):
            self.refused_address = True
            raise ForbiddenError(event)

    def _may_reach(self, target: Any) -> bool:
        """A name, which Python would look up after this check, and a local socket may not."""
        try:
            return target is None or not is_forbidden(target[0])
        except (ValueError, TypeError):
            return False


def is_forbidden(address: str) -> bool:
    """Whether an address of a machine is one of FORBIDDEN, in any form. Raises ValueError."""
    forms = list(forms_of(ip_address(address)))
    return any(form in network for form in forms for network in FORBIDDEN)


def forms_of(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yields the address, and the IPv4 addresses that an IPv6 address may contain."""
    yield address
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        yield from (one for one in inner if one is not None)
        if any(address in network for network in ENDS_WITH_IPV4):
            yield IPv4Address(address.packed[-4:])


def post(address: str, content: str, headers: dict[str, str], seconds: float) -> dict[str, Any]:
    """Posts the content to a webhook. Its answer's body is not read, no redirect is followed."""
    parts = urlsplit(address)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.username is not None:
        account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = f"Basic {b64encode(account.encode()).decode()}"
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        connection = make(parts.hostname or "", parts.port, timeout=seconds)
        connection.request("POST", path, content.encode(), headers)
        return {"status": connection.getresponse().status}
    except Exception as error:
        return {"failed": reason_of(error)}


# The first that fits; the last fits all.
FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "host"),
    (UnicodeError, "host"),
    (ssl.SSLCertVerificationError, "certificate"),
    (ssl.SSLError, "tls"),
    (TimeoutError, "time"),
    (HTTPException, "http"),
    (OSError, "connection"),
    (Exception, "http"),
)


def call(address: str, content: str, headers: dict[str, str], seconds: float) -> dict[str, Any]:
    """Posts the content to an API, by the proxy of HTTPS_PROXY if there is one.

    Returns {"arrived", "status", "answer"}, or {"failed"}. No redirect is followed.
    """
    request = Request(address, content.encode(), headers)  # noqa: S310 - of messengers.py
    try:
        with build_opener(NoRedirects).open(request, timeout=seconds):
            return {"arrived": True}
    except HTTPError as error:
        answer = error.read(LONGEST_ANSWER).decode(errors="replace")
        return {"arrived": False, "status": error.code, "answer": answer}
    except Exception as error:
        return {"failed": reason_of(error)}


class NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def reason_of(error: BaseException) -> str:
    """Return why a request failed: libraries wrap the error that says it in others."""
    chain = list(chain_of(error))
    return next(why for kind, why in FAILURES if any(isinstance(one, kind) for one in chain))


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yields the error, and all that it was raised from or after."""
    if error is not None:
        yield error
        yield from chain_of(error.__cause__)
        if error.__context__ is not error.__cause__:
            yield from chain_of(error.__context__)


def notify(address: str, title: str, body: str) -> dict[str, Any]:
    """Sends by Apprise, as plain text, without following redirects.

    Returns {"arrived", "status", "answer"}: the first characters of the last answer. Or {"failed"}.
    """
    import apprise

    last = LastAnswer()
    asset = apprise.AppriseAsset(app_id="Data Transfer", http_redirects=False)
    messenger = apprise.Apprise(asset=asset)
    with last.noted():
        arrived = messenger.add(address) and messenger.notify(
            title=title, body=body, body_format=apprise.NotifyFormat.TEXT
        )
    if arrived:
        return {"arrived": True}
    if last.status:
        return {"arrived": False, "status": last.status, "answer": last.answer}
    return {"failed": last.failed or "refused"}


class LastAnswer:
    """What the last request of Apprise was answered: Apprise itself only returns "no"."""

    def __init__(self) -> None:
        self.status, self.answer, self.failed = 0, "", ""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Notes each answer, by the library that Apprise makes its requests with."""
        import requests

        send = requests.Session.send

        def noting(session: Any, request: Any, **options: Any) -> Any:
            try:
                response = send(session, request, **options)
            except requests.exceptions.ProxyError:
                self.status, self.failed = 0, "proxy"
                raise
            except Exception as error:
                self.status, self.failed = 0, reason_of(error)
                raise
            self.status = response.status_code
            self.answer = response.content[:LONGEST_ANSWER].decode(errors="replace")
            return response

        requests.Session.send = noting  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            requests.Session.send = send  # type: ignore[method-assign]


SENDERS: dict[str, Callable[..., dict[str, Any]]] = {
    "webhook": post,
    "api": call,
    "messenger": notify,
}


if __name__ == "__main__":
    sys.exit(main())
