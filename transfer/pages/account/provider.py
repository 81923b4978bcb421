"""Log-ins at the company's provider by OIDC: who is let in, and with which role."""

import logging
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.base import AuthError
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from requests import RequestException
from requests.auth import HTTPBasicAuth

from transfer.access import GROUPS, Role
from transfer.models import Actor, User
from transfer.pages.account.oidc import Endpoints, SubjectsDiffer, has_nonce
from transfer.pages.account.provider_http import session_for
from transfer.pages.account.refused_log_ins import refused
from transfer.pages.account.renewal import NoAnswer, Refused

logger = logging.getLogger(__name__)
# ValueError: also JSON.
UNREADABLE = (OAuth2Error, AttributeError, KeyError, TypeError, ValueError)


class ProviderAdapter(DefaultSocialAccountAdapter):
    """Lets in whose groups give a role, under the name that the provider says."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if not has_nonce(sociallogin):
            logger.warning("log-in at the provider: the nonce is missing, or of another log-in")
            raise ImmediateHttpResponse(refused("failed"))
        claims = claims_of(sociallogin)
        name, role = str(claims.get(settings.OIDC_USER_CLAIM) or ""), role_in(claims)
        if role is None:
            raise ImmediateHttpResponse(refused("role"))
        if sociallogin.is_existing:
            name = sociallogin.user.get_username()
        names = {
            field: str(claims.get(claim) or "")[:150]
            for field, claim in (("first_name", "given_name"), ("last_name", "family_name"))
        }
        try:
            user = User.enter(provider_at(request), name, role=role, **names)
        except ValidationError as error:
            why = getattr(error, "code", None)  # of a name that can't be one: none
            raise ImmediateHttpResponse(refused(why or "name")) from None
        if not sociallogin.is_existing:
            sociallogin.connect(request, user)
        sociallogin.user = user
        request.provider_token = sociallogin.token.token_secret  # type: ignore[attr-defined]

    def get_requests_session(self) -> Any:
        return session_for(self.request)

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        logger.warning("log-in at the provider: %s", type(exception).__name__)
        if error == AuthError.CANCELLED:
            raise ImmediateHttpResponse(refused("cancelled"))
        why = "unreachable" if isinstance(exception, RequestException) else "failed"
        raise ImmediateHttpResponse(refused(why))


def provider_at(request: HttpRequest) -> Actor:
    """Who the audit says has given a role or taken it."""
    return Actor(settings.OIDC_NAME, None, Actor.address_of(request))


def claims_of(login: SocialLogin) -> dict[str, Any]:
    """What the provider says of the user, in the token and when it is asked."""
    data = login.account.extra_data
    return {**data.get("id_token", {}), **data.get("userinfo", {})}


def role_in(claims: dict[str, Any]) -> Role | None:
    """The highest role that the user's groups give. Keycloak writes a group as "/group"."""
    held = claims.get(settings.OIDC_GROUPS_CLAIM)
    if held is None:  # a claim in another one, such as realm_access.roles
        held = claims
        for part in settings.OIDC_GROUPS_CLAIM.split("."):
            held = held.get(part) if isinstance(held, dict) else None
    listed = held if isinstance(held, list) else [held]
    groups = {str(one).removeprefix("/") for one in listed if one}
    roles = [GROUPS[role] for role, named in settings.OIDC_GROUPS.items() if groups & {*named}]
    return max(roles, default=None)


def ask_again(request: HttpRequest, user: User, refresh_token: str) -> str:
    """Gives the user the role that the groups give now, or none. Returns the next refresh token.

    Raises Refused, NoAnswer.
    """
    if not refresh_token:
        raise Refused
    login, token = _refreshed(request, refresh_token)
    mine = SocialAccount.objects.filter(user_id=user.pk).values_list("uid", flat=True)
    if login.account.uid not in mine:
        raise Refused
    user.follow(provider_at(request), role=role_in(claims_of(login)))
    return token


def _refreshed(request: HttpRequest, refresh_token: str) -> tuple[SocialLogin, str]:
    """What the provider says of the user now, and the next refresh token."""
    try:
        adapter = Endpoints(request, "sso")
        app = adapter.get_provider().app
        data = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        secret = {"client_id": app.client_id, "client_secret": app.secret}
        auth = HTTPBasicAuth(app.client_id, app.secret) if adapter.basic_auth else None
        with get_adapter().get_requests_session() as session:
            sent = data if auth else {**data, **secret}
            answer = session.post(adapter.access_token_url, data=sent, auth=auth)
        if answer.status_code in (400, 401, 403):
            raise Refused
        answer.raise_for_status()
        adapter.did_fetch_access_token = True
        fields = answer.json()
        token = adapter.parse_token(fields)
        login = adapter.complete_login(request, app, token, response=fields)
    except SubjectsDiffer as error:
        raise Refused from error
    except RequestException as error:
        raise NoAnswer from error
    except UNREADABLE as error:
        raise NoAnswer from error
    return login, token.token_secret or refresh_token


def _answering(view: Any) -> Any:
    """Says on the log-in page what went wrong, where allauth would fail."""

    @login_not_required
    @require_safe
    def wrapped(request: HttpRequest, provider_id: str) -> HttpResponse:
        if not settings.OIDC_ISSUER:
            raise Http404
        try:
            return view.adapter_view(Endpoints(request, provider_id))(request)
        except RequestException as error:
            logger.warning("log-in at the provider: %s", type(error).__name__)
            return refused("unreachable")
        except UNREADABLE as error:
            logger.warning("log-in at the provider: %s", type(error).__name__)
            return refused("failed")

    return wrapped


log_in = _answering(OAuth2LoginView)
callback = _answering(OAuth2CallbackView)
