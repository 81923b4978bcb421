"""Why somebody is not let in, in words on the log-in page."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy

# By the name in the address of the log-in page.
REASONS = {
    "cancelled": gettext_lazy("You have cancelled the log-in at %(name)s."),
    "failed": gettext_lazy("The log-in at %(name)s failed. Try again."),
    "unreachable": gettext_lazy(
        "%(name)s does not answer. Try again later; emergency users log in by password."
    ),
    "role": gettext_lazy(
        "Your groups at %(name)s give you no role here. Ask your administrator for one."
    ),
    "name": gettext_lazy("%(name)s gave no valid user name for you."),
    "scripts": gettext_lazy(
        "%(name)s gave a user name with letters of several alphabets, which could imitate another "
        "name. Ask your administrator."
    ),
    "closed": gettext_lazy("Your access is closed here. Ask your administrator."),
    "passkey": gettext_lazy("This passkey is not known here."),
    "provider": gettext_lazy("This name logs in at %(name)s."),
    "emergency": gettext_lazy(
        "This name is for emergencies, and logs in by password, not at %(name)s."
    ),
}


def refused(why: str) -> HttpResponse:
    """Leads to the log-in page, which says why."""
    return redirect(reverse("account_login", query={"why": why}))
