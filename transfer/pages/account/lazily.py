"""Views that are imported when the first request comes.

Commands that make links to pages read all addresses (transfer/urls.py). What these views need, such
as `requests` and `fido2`, would take them a tenth of a second.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from transfer.access import View, any_user


def lazily(view: str, *, is_open: bool = False) -> View:
    """The view of this name in this folder: for every user, or also without a log-in (`is_open`).

    The middleware asks before the view is imported, so it has to be said here.
    """

    def imported(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return import_string(f"transfer.pages.account.{view}")(request, **kwargs)

    imported.login_required = not is_open  # type: ignore[attr-defined]
    return any_user(imported)
