"""A log-in: while it waits for its second factor, and at its end.

One that waits ends with the password, and with the access. It is in the session of a browser in
which nobody is logged in yet (allauth's `Login`). "Close" and a reset of the second factors delete
such sessions, too: see `User`.
"""

from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.stagekit import clear_login, unstash_login
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, User
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare

from transfer.models import StartPassword
from transfer.pages.account.forms import key_of, know_browser
from transfer.pages.account.renewal import begin
from transfer.pages.middleware import BY_PASSWORD_ALONE, CHANGE_FIRST

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


def logged_in(request: HttpRequest, response: HttpResponse, user: AbstractBaseUser) -> None:
    """Notes the log-in in the audit. A session that the provider opened lasts an hour.

    After a password:

    1. a password that somebody else knows is to be changed first;
    2. a session without a second factor is marked, for roles that need one;
    3. the browser is known from now on.
    """
    used = {one["method"]: one for one in get_authentication_records(request, user)}
    how: dict[str, object] = {"factor": used["mfa"]["type"]} if "mfa" in used else {}
    if "socialaccount" in used:
        how["provider"] = settings.OIDC_NAME
        begin(request)
    elif settings.OIDC_ISSUER:
        how["emergency"] = True
    key_of(request, user.get_username()).succeed(**how)
    if "password" in used:
        if StartPassword.objects.filter(user_id=user.pk).exists():
            request.session[CHANGE_FIRST] = True
        if "mfa" not in used:
            request.session[BY_PASSWORD_ALONE] = True
        know_browser(response, request, user)
