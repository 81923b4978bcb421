"""A company's provider, as a process: allauth's own OpenID provider, with users and groups.

`python -m tests.oidc_provider`, with PROVIDER_DATABASE_URL and the address to which it sends users
back in PROVIDER_CALLBACK. `/enter` is its log-in; `/is` does what its administrator would do;
`/says` makes it lie.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2

SECRET = "client-secret-of-the-tests"
CALLBACK = "http://testserver/login/sso/callback/"
# Of the process: what it says of a user instead of the truth, and each fetch of its discovery.
SAID: dict[str, dict[str, dict[str, Any]]] = {}
FETCHED: list[str] = []


@dataclass
class Provider:
    """The process, seen from a test."""

    url: str

    def settings(self) -> dict[str, Any]:
        """What an installation that uses this provider sets."""
        app = {
            "provider_id": "sso",
            "name": "Keycloak",
            "client_id": "dtadmin",
            "secret": SECRET,
            "settings": {"server_url": self.url},
        }
        return {
            "OIDC_ISSUER": self.url,
            "OIDC_NAME": "Keycloak",
            "OIDC_GROUPS": {"administrator": ["dt-admins"], "operator": ["dt"], "viewer": ["all"]},
            "EMERGENCY_USERS": ["root"],
            "SOCIALACCOUNT_PROVIDERS": {
                "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}
            },
        }

    def has(self, name: str, *groups: str, active: bool = True) -> None:
        """Makes a user, or changes the groups; one who is not active has no tokens any more."""
        query = urlencode({"name": name, "groups": ",".join(groups), "active": int(active)})
        httpx2.get(f"{self.url}/is?{query}").raise_for_status()

    def says(self, name: str, **claims: dict[str, Any]) -> None:
        """Makes it say other claims of a user than are true: by "userinfo" or "id_token".

        Without claims it says the truth again.
        """
        query = urlencode({"name": name, "claims": json.dumps(claims)})
        httpx2.get(f"{self.url}/says?{query}").raise_for_status()

    def times_asked(self) -> int:
        """How often its discovery document was fetched."""
        return int(httpx2.get(f"{self.url}/asked").text)

    def let_in(self, name: str, authorize: str, session: httpx2.Client | None = None) -> str:
        """Logs in there, as a browser would; returns the address to which it sends back."""
        with session or httpx2.Client() as browser:
            browser.get(f"{self.url}/enter?{urlencode({'name': name})}")
            answer = browser.get(authorize)
        return answer.headers["location"]


@contextmanager
def oidc_provider(dsn: str, callback: str = CALLBACK) -> Iterator[Provider]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.oidc_provider"],
        env={
            "PATH": os.environ["PATH"],
            "PROVIDER_DATABASE_URL": dsn,
            "PROVIDER_CALLBACK": callback,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield Provider(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def configure() -> None:
    """The settings of the provider."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from django.conf import settings
    from psycopg2.extensions import parse_dsn

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    parts = parse_dsn(os.environ["PROVIDER_DATABASE_URL"])
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
    settings.configure(
        SECRET_KEY="provider",
        DEBUG=True,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.oidc_provider",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "PORT": parts.get("port", ""),
                **{ours: parts.get(theirs, "") for theirs, ours in names.items()},
            }
        },
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "allauth",
            "allauth.account",
            "allauth.idp.oidc",
        ],
        MIDDLEWARE=[
            "tests.oidc_provider.counted",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "allauth.account.middleware.AccountMiddleware",
        ],
        SESSION_COOKIE_NAME="provider",
        # Each log-in here compares the secret of the client: slow on purpose otherwise.
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGIN_URL="/enter",
        IDP_OIDC_PRIVATE_KEY=pem,
        IDP_OIDC_ADAPTER="tests.oidc_provider.adapter",
        USE_TZ=True,
    )


def adapter() -> Any:
    """The provider's adapter, which also says a user's groups."""
    from allauth.idp.oidc.adapter import DefaultOIDCAdapter

    class WithGroups(DefaultOIDCAdapter):
        def get_claims(self, purpose: Any, user: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
            groups = [f"/{group.name}" for group in user.groups.all()]
            claims = super().get_claims(purpose, user, *args, **kwargs)
            said = SAID.get(user.username, {}).get(purpose, {})
            return {**claims, "groups": groups, **said}

    return WithGroups()


def enter(request: Any) -> Any:
    """Logs in, without a password."""
    from django.contrib.auth import get_user_model, login
    from django.http import HttpResponse, HttpResponseRedirect

    if name := request.GET.get("name"):
        login(request, get_user_model().objects.get(username=name))
        return HttpResponseRedirect(request.GET.get("next", "/enter"))
    kept = f'<input type="hidden" name="next" value="{request.GET.get("next", "")}">'
    return HttpResponse(f'<form>{kept}<input name="name"><button>Enter</button></form>')


def person(request: Any) -> Any:
    """A user's groups, and whether there is access."""
    from allauth.idp.oidc.models import Token
    from django.contrib.auth.models import Group, User
    from django.http import HttpResponse

    user, _new = User.objects.get_or_create(username=request.GET["name"], first_name="Anna")
    names = filter(None, request.GET["groups"].split(","))
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in names])
    user.is_active = request.GET["active"] == "1"
    user.save()
    if not user.is_active:
        Token.objects.filter(user=user).delete()
    return HttpResponse()


def says(request: Any) -> Any:
    """The claims of a user, true or not."""
    from django.http import HttpResponse

    SAID[request.GET["name"]] = json.loads(request.GET["claims"])
    return HttpResponse()


def counted(get_response: Any) -> Any:
    """Counts how often the discovery document is fetched."""

    def middleware(request: Any) -> Any:
        if request.path == "/.well-known/openid-configuration":
            FETCHED.append(request.path)
        return get_response(request)

    return middleware


def asked(request: Any) -> Any:
    from django.http import HttpResponse

    return HttpResponse(len(FETCHED))


def serve() -> None:
    """Migrates, makes the client, and answers until it is stopped. Prints its address."""
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    import django
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    configure()
    django.setup()
    call_command("migrate", verbosity=0)
    from allauth.idp.oidc.models import Client

    client = Client(
        id="dtadmin",
        scopes="openid\nprofile\nemail",
        grant_types="authorization_code\nrefresh_token",
        redirect_uris=os.environ["PROVIDER_CALLBACK"],
        skip_consent=True,
    )
    client.set_secret(SECRET)
    client.save()

    class Threaded(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Silent(WSGIRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = make_server("127.0.0.1", 0, get_wsgi_application(), Threaded, Silent)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    serve()
else:
    from django.conf import settings

    if settings.configured and __name__ == settings.ROOT_URLCONF:
        from django.urls import include, path

        urlpatterns = [
            path("enter", enter),
            path("is", person),
            path("says", says),
            path("asked", asked),
            path("", include("allauth.idp.urls")),
        ]
