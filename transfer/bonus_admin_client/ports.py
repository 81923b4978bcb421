"""Tells which of a bonus server's two ports a port is, by what it asks for without a log-in.

By the contract each port answers 401 to a request without credentials, and says in the header
WWW-Authenticate what it wants: a token (Bearer) or a register's login and secret (Basic). No secret
is sent.
"""

from contextlib import suppress
from enum import StrEnum
from typing import Any

import httpx2

SECONDS = 2.0


class Port(StrEnum):
    ADMIN = "bearer"
    SERVICE = "basic"


def challenged(headers: httpx2.Headers) -> Port | None:
    """Which port asks for a log-in in this way; None if neither does."""
    scheme = headers.get("www-authenticate", "").partition(" ")[0].lower()
    return Port(scheme) if scheme in list(Port) else None


def port_at(host: str, port: int, *, tls: bool) -> Port | None:
    """Which port answers there; None if unknown. Raises nothing.

    The certificate is not checked: nothing secret is sent, and the answer only chooses a hint.
    """
    where = f"[{host}]" if ":" in host else host
    url = f"{'https' if tls else 'http'}://{where}:{port}/status"
    options: dict[str, Any] = {"verify": False, "timeout": SECONDS, "trust_env": False}
    with (
        suppress(httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError, ValueError),
        httpx2.stream("GET", url, **options) as answer,
    ):
        return challenged(answer.headers) if answer.status_code == 401 else None
    return None
