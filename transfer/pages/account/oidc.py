"""What allauth's OpenID Connect leaves open: which links count, and which answers are believed."""

from secrets import token_urlsafe
from typing import Any

from allauth.account.utils import get_next_redirect_url
from allauth.socialaccount import app_settings
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers import registry
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest, HttpResponse

from transfer.errors import printable
from transfer.pages.account.discovery import discovered


class SubjectsDiffer(OAuth2Error):
    """The answer about a user is that of another user than the ID token's."""


class Endpoints(OpenIDConnectOAuth2Adapter):
    """The provider's addresses, and what it answers there."""

    @property
    def openid_config(self) -> Any:
        """Return the discovery document. Raises RequestException, KeyError."""
        if not hasattr(self, "_discovered"):
            url = self.get_provider().server_url
            self._discovered = discovered(url, lambda: super(Endpoints, self).openid_config)
        return self._discovered

    def complete_login(
        self, request: HttpRequest, app: Any, token: Any, **kwargs: Any
    ) -> SocialLogin:
        """Return whom the provider names. Raises SubjectsDiffer."""
        login: SocialLogin = super().complete_login(request, app, token, **kwargs)
        said = login.account.extra_data
        subjects = [said[one].get("sub") for one in ("id_token", "userinfo") if one in said]
        if subjects[1:] and subjects[0] != subjects[1]:
            raise SubjectsDiffer
        return login


class Provider(OpenIDConnectProvider):
    """The provider, to which every link to the log-in leads in the same way."""

    oauth2_adapter_class = Endpoints

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        """Return where the log-in ends. Nothing else of a link counts."""
        return {"process": AuthProcess.LOGIN, "next_url": get_next_redirect_url(request)}

    def redirect(
        self, request: HttpRequest, process: str, next_url: str | None = None, **options: Any
    ) -> HttpResponse:
        """Lead to the provider, with a nonce that has to be in the ID token: see `has_nonce`."""
        nonce = token_urlsafe(24)
        params = {**self.get_auth_params(), "nonce": nonce}
        answer: HttpResponse = super().redirect(
            request, process, next_url, auth_params=params, nonce=nonce, **options
        )
        return answer

    def extract_uid(self, data: dict[str, Any]) -> str:
        """Return the subject. Raises ValueError if it is longer than what can be stored."""
        uid = str(super().extract_uid(data))
        if len(uid) > app_settings.UID_MAX_LENGTH:
            raise ValueError("the subject is too long")
        return uid

    def extract_extra_data(self, data: dict[str, Any]) -> Any:
        """Return the claims, without characters that our database can't store."""
        return storable(data)


def has_nonce(login: SocialLogin) -> bool:
    """Whether the ID token was issued for this log-in, and not for another one."""
    nonce = login.account.extra_data.get("id_token", {}).get("nonce")
    return bool(nonce) and nonce == login.state.get("nonce")


def storable(value: Any) -> Any:
    """Return a JSON value whose texts are printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [storable(one) for one in value]
    if isinstance(value, dict):
        return {printable(str(name)): storable(one) for name, one in value.items()}
    return value


# Not in INSTALLED_APPS, from where allauth would import it, and `requests`, for every command.
registry.register(Provider)
