"""What happens at the end of each log-in: it is noted, and what is demanded first is marked."""

from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse

from transfer.models import StartPassword
from transfer.pages.account.forms import key_of, know_browser
from transfer.pages.account.renewal import begin
from transfer.pages.middleware import BY_PASSWORD_ALONE, CHANGE_FIRST


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
