"""A log-in that waits for its second factor: it ends with the password, and with the access.

It is in the session of a browser in which nobody is logged in yet (allauth's `Login`). "Close" and
a reset of the second factors delete such sessions, too: see `User`.
"""

from typing import Any

from allauth.account.internal.stagekit import clear_login, unstash_login
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

KNOWN = "session_auth_hash"  # in the state: what Django's own sessions keep of the password


def bound_to(user: User) -> dict[str, Any]:
    """Return the state of a log-in that is good only with the present password of the user."""
    return {KNOWN: user.get_session_auth_hash()}


def end_if_outdated(request: HttpRequest) -> None:
    """End the log-in that waits in this browser if its user is closed or has another password."""
    login = unstash_login(request, peek=True)
    if login is None or login.user is None:
        return
    known = login.state.get(KNOWN)
    is_same = known is None or constant_time_compare(known, login.user.get_session_auth_hash())
    if not (login.user.is_active and is_same):
        clear_login(request)
