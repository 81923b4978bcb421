"""What an operation asks of the key of a call."""

from typing import Any

from django.http import HttpRequest
from ninja.security.http import HttpAuthBase

from transfer.causes.api_calls import SCOPE_MISSING
from transfer.errors import TransferError
from transfer.models.api_keys import Scope


class Key(HttpAuthBase):
    """Lets a key pass that has the scope; without one, every valid key.

    The door has found the key already. Raises TransferError: 403.
    """

    openapi_scheme = "bearer"

    def __init__(self, scope: Scope | None = None) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Any:
        if self.scope is not None:
            check_scope(request, self.scope)
        return request.api_key  # type: ignore[attr-defined]


def check_scope(request: HttpRequest, scope: Scope) -> None:
    """Raises TransferError: 403."""
    if scope not in request.api_key.scopes:  # type: ignore[attr-defined]
        raise TransferError(SCOPE_MISSING, scope=scope.label)
