"""Log-ins by the name that the trusted proxy gives, after it has asked who it is (Kerberos, mTLS).

`dtadmin.middleware.TrueAddress` takes the name from the proxy's header, and from no other sender.
"""

from typing import Any

from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.http import HttpRequest

from transfer.pages.account.forms import key_of


class KnownUsers(RemoteUserBackend):
    """Lets in users who are added here; their roles are given here, too."""

    create_unknown_user = False


class RemoteUser(RemoteUserMiddleware):
    """Django's, which notes each log-in. The session ends with the name in the header."""

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, *_arguments: Any) -> None:
        """Logs in, except for the API: each of its calls would begin a session."""
        if getattr(view, "is_api", False):
            return
        before = request.user.pk
        self.process_request(request)
        if request.user.pk not in (None, before):
            key_of(request, request.user.get_username()).succeed(provider="REMOTE_USER")
