"""The side bar: a line for each page that the user may open."""

from functools import cache
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext as _, gettext_lazy

from transfer.access import Role, has_role
from transfer.models.approvers import oversees

address = cache(reverse)  # a page without arguments


class Item(NamedTuple):
    url_name: str
    label: str | Promise
    icon: str
    needs: Role = Role.VIEWER
    is_for_overseers: bool = False  # administrators and approvers

    @property
    def url(self) -> str:
        return address(self.url_name)


ITEMS: tuple[Item, ...] = (
    Item("overview", gettext_lazy("Overview"), "overview"),
    Item("scheduler", gettext_lazy("Scheduler"), "calendar"),
    Item("servers", gettext_lazy("Bonus servers"), "server"),
    Item("registers", gettext_lazy("Registers"), "register"),
    Item("history", gettext_lazy("History"), "history"),
    Item("rejects", gettext_lazy("Rejected rows"), "rejects"),
    Item("loads", gettext_lazy("Load data"), "upload"),
    Item("trace", gettext_lazy("Search"), "search"),
    Item("by_hand", gettext_lazy("By hand"), "user", is_for_overseers=True),
    Item("approvals", gettext_lazy("Second person"), "users", is_for_overseers=True),
    Item("statements", gettext_lazy("Statements"), "check"),
    Item("audit", gettext_lazy("Audit"), "shield", Role.ADMINISTRATOR),
    Item("notifications", gettext_lazy("Notifications"), "bell", Role.ADMINISTRATOR),
    Item("settings", gettext_lazy("Settings"), "settings", Role.ADMINISTRATOR),
    Item("users", gettext_lazy("Users"), "users", Role.ADMINISTRATOR),
    Item("keys", gettext_lazy("API keys"), "key", Role.ADMINISTRATOR),
    Item("help", gettext_lazy("Help"), "help"),
)


def items(request: HttpRequest) -> list[tuple[Item, bool]]:
    """The items that this user may open, and which is current: on the pages below it, too."""
    is_overseer = oversees(request.user)
    allowed = [
        item
        for item in ITEMS
        if has_role(request.user, item.needs) and (is_overseer or not item.is_for_overseers)
    ]
    return [(item, is_at(request.path, item.url)) for item in allowed]


def is_at(path: str, url: str) -> bool:
    """Whether the page belongs to the item. The overview, at the root, has no pages below it."""
    return path == url or (url != address("overview") and path.startswith(url))


# Name, words, icon.
THEMES = (
    ("", gettext_lazy("As on the device"), "screen"),
    ("light", gettext_lazy("Light"), "sun"),
    ("dark", gettext_lazy("Dark"), "moon"),
)


def known_theme(name: str) -> str:
    """ "light", "dark", or "" to follow the device."""
    return name if name in ("light", "dark") else ""


def theme_of(request: HttpRequest) -> str:
    return known_theme(request.COOKIES.get("theme", ""))


def way_up(request: HttpRequest, place: str = "") -> tuple[str, str | Promise] | None:
    """The page above this one, or the `place` that is named: its address and name."""
    names = {item.url_name: item.label for item in ITEMS if has_role(request.user, item.needs)}
    names |= {"history_maintenance": _("History"), "account": _("Your account")}
    if place:
        return address(place), names[place]
    above = {
        url: label for name, label in names.items() if is_at(request.path, url := address(name))
    }
    nearest = max(above, key=len, default=request.path)
    return (nearest, above[nearest]) if nearest != request.path else None


def crumbs(
    context: dict[str, Any], url: str = "", label: str = "", *, place: str = ""
) -> dict[str, Any]:
    """`{% crumbs %}`: links to the pages above this one, and to `url` if there is a `label`."""
    steps = (way_up(context["request"], place), (url, label) if label else None)
    return {"steps": list(filter(None, steps))}


def help_link(context: dict[str, Any]) -> dict[str, str]:
    """Links to the paper that explains the page, by the first word of its address."""
    section = context["request"].path_info.split("/")[1] or "overview"
    if section == "help":
        return {}
    where = {"language": get_language(), "name": "work"}
    return {"url": reverse("help_paper", kwargs=where, fragment=section)}


def context(request: HttpRequest) -> dict[str, Any]:
    """Gives templates the side bar, the page above, the themes, and the one of the cookie."""
    return {
        "navigation": lambda: items(request),
        "up": lambda: way_up(request),
        "themes": THEMES,
        "theme": theme_of(request),
    }
