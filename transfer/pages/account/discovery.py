"""The provider's discovery document: fetched once for all browsers, and kept for minutes.

Anybody can call the log-in. A provider that does not answer is asked by one thread at a time, and
then not at all for some seconds: the others say so at once, instead of waiting, too.
"""

import time
from collections.abc import Callable
from typing import Any

import requests
from django.core.cache import cache

from transfer.pages.account import provider_http

FRESH, KEPT = 300, 86_400  # seconds: used without a question; used while another thread asks
PAUSE = 10  # seconds after a failure
NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint")


def discovered(url: str, fetch: Callable[[], Any]) -> dict[str, Any]:
    """Return the document at `url`, which `fetch` reads if the one that is kept is too old.

    Raises RequestException where the provider does not answer, or has just not answered, and
    KeyError for a document without an address that is needed.
    """
    held = cache.get(_key("document", url))
    if held is not None and time.time() < held["read_at"] + FRESH:
        return dict(held["document"])
    if cache.get(_key("failed", url)):
        raise requests.ConnectionError("did not answer some seconds ago")
    if not cache.add(_key("asking", url), True, provider_http.SECONDS + 1):
        if held is not None:
            return dict(held["document"])
        raise requests.ConnectionError("is being asked by another thread")
    try:
        document = fetch()
        for name in NEEDED:
            document[name]
    except Exception:
        cache.set(_key("failed", url), True, PAUSE)
        raise
    else:
        cache.set(_key("document", url), {"document": document, "read_at": time.time()}, KEPT)
    finally:
        cache.delete(_key("asking", url))
    return dict(document)


def _key(what: str, url: str) -> str:
    return f"oidc {what} {url}".replace(" ", ":")
