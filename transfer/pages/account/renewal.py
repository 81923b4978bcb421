"""A session that the provider opened: it lasts an hour, and renews itself at the provider.

The refresh token is in the session, encrypted. 45 minutes after the last answer of the provider the
next request asks it again: the user keeps the session, with the role that the groups give now. If
the provider refuses, or does not answer before the hour is over, the session ends. A provider that
gives no refresh token is asked through the browser when the hour is over, without a click if the
user is still logged in there. So who loses a group loses the role within the hour.
"""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from transfer.models import User
from transfer.models.secret import cipher
from transfer.queue.locks import Space, wait_for_lock

PROVIDER, ASK_AGAIN = "provider", "ask_provider_again"  # in a session
LASTS, RENEWS_AFTER, RETRIES_AFTER = 3600, 2700, 60  # seconds
View = Callable[[HttpRequest], HttpResponse]


class Refused(Exception):
    """The provider no longer lets this user in, or gives no role."""


class NoAnswer(Exception):
    """The provider can't be asked now."""


def begin(request: HttpRequest) -> None:
    """Marks the session as opened by the provider, whose answer has just come."""
    _store(request, request.provider_token)  # type: ignore[attr-defined]


def provider_session(get_response: View) -> View:
    """Renews the session when it is time, or ends it.

    After its end the log-in page leads to the provider, which may let the user in at once.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and not _is_good(request):
            logout(request)
            request.session[ASK_AGAIN] = True
        return get_response(request)

    return middleware


def _is_good(request: HttpRequest) -> bool:
    """Whether the session goes on. One that the provider has not opened is for emergencies."""
    state, user = request.session.get(PROVIDER), request.user
    if not (state or settings.OIDC_ISSUER) or not user.is_authenticated:
        return True
    if not (state and settings.OIDC_ISSUER):
        return bool(settings.OIDC_ISSUER) and user.get_username() in settings.EMERGENCY_USERS
    now = time.time()
    if now < state["next"]:
        return True
    try:
        return _renew(request)
    except NoAnswer:
        request.session[PROVIDER] = {**state, "next": now + RETRIES_AFTER}
        return now < state["until"]
    except Refused:
        return False


@transaction.atomic
def _renew(request: HttpRequest) -> bool:
    """Asks the provider once, however many requests come together. Returns whether a role is left.

    Raises Refused, NoAnswer.
    """
    from transfer.pages.account.provider import ask_again

    wait_for_lock(Space.PROVIDER, request.user.pk or 0)
    stored = request.session.__class__(request.session.session_key).get(PROVIDER)
    if stored is None:
        raise Refused
    if stored["next"] > time.time():  # another request has done it
        request.session[PROVIDER] = stored
        return True
    user = User.objects.get(pk=request.user.pk)
    token = ask_again(request, user, cipher().decrypt(stored["token"]).decode())
    _store(request, token)
    request.session.save()
    return user.role is not None


def _store(request: HttpRequest, token: str) -> None:
    """Without a token the session lasts the hour, and ends."""
    now = time.time()
    request.session[PROVIDER] = {
        "until": now + LASTS,
        "next": now + (RENEWS_AFTER if token else LASTS),
        "token": cipher().encrypt(token.encode()).decode(),
    }
