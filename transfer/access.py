"""Who may do what. Three roles, each with all rights of the one before it.

Closed by default: `RoleMiddleware` asks a viewer's role for every view that says nothing, as
`LoginRequiredMiddleware` asks for a log-in. A view says otherwise with `@role("operator")` or
`@any_user`.
"""

from collections.abc import Callable
from typing import Any

from django.apps import apps as current_apps
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

View = Callable[..., Any]


class Role(models.IntegerChoices):
    """The values are levels: a higher one includes the lower ones."""

    VIEWER = 1, gettext_lazy("Viewer")
    OPERATOR = 2, gettext_lazy("Operator")
    ADMINISTRATOR = 3, gettext_lazy("Administrator")

    @property
    def group(self) -> str:
        return self.name.lower()

    @property
    def may(self) -> Any:
        """What the role allows, in words."""
        return MAY[self]


MAY = {
    Role.VIEWER: gettext_lazy("Sees servers, registers, tasks and history, and changes nothing."),
    Role.OPERATOR: gettext_lazy(
        "Switches and runs tasks, pauses servers, loads files, fixes rejected rows, looks after "
        "registers, and creates and blocks their accounts."
    ),
    Role.ADMINISTRATOR: gettext_lazy(
        "Does what an operator does, docks servers, deletes register accounts and issues new "
        "logins, changes the settings and adds users."
    ),
}
GROUPS = {role.group: role for role in Role}


def role_of(user: User | AnonymousUser) -> Role | None:
    """The highest role of the user's groups; a superuser is an administrator."""
    if isinstance(user, AnonymousUser):
        return None
    if user.is_superuser:
        return Role.ADMINISTRATOR
    attributes = vars(user)
    if "_role" not in attributes:  # asked several times for one page
        names = user.groups.filter(name__in=GROUPS).values_list("name", flat=True)
        attributes["_role"] = max((GROUPS[name] for name in names), default=None)
    return attributes["_role"]


def forget_role(user: User) -> None:
    """Makes `role_of` look again, after the user's groups have changed."""
    vars(user).pop("_role", None)


def has_role(user: User | AnonymousUser, needed: Role) -> bool:
    """Whether the user has that role or a higher one."""
    return (role_of(user) or 0) >= needed


def role(name: str) -> Callable[[View], View]:
    """Marks a view that needs more than a viewer: `@role("operator")`."""
    needed = GROUPS[name]

    def mark(view: View) -> View:
        view.needs_role = needed  # type: ignore[attr-defined]
        return view

    return mark


def any_user(view: View) -> View:
    """Marks a view for everybody who is logged in, even without a role."""
    view.needs_role = None  # type: ignore[attr-defined]
    return view


class RoleMiddleware(MiddlewareMixin):
    """Refuses what the user's role does not allow. Stands after LoginRequiredMiddleware."""

    def process_view(self, request: HttpRequest, view: View, *args: Any) -> None:
        if not getattr(view, "login_required", True):
            return
        needed = getattr(view, "needs_role", Role.VIEWER)
        if request.resolver_match and "admin" in request.resolver_match.namespaces:
            needed = Role.ADMINISTRATOR
        if needed is not None and not has_role(request.user, needed):
            raise PermissionDenied


def context(request: HttpRequest) -> dict[str, Any]:
    """Gives templates `role`, and `may.operator` to put around what only an operator sees."""
    return {
        "role": SimpleLazyObject(lambda: role_of(request.user)),
        "may": SimpleLazyObject(
            lambda: {name: has_role(request.user, needed) for name, needed in GROUPS.items()}
        ),
    }


def create_groups(using: str, apps: Any = current_apps, **kwargs: Any) -> None:
    """Makes the three groups after every `migrate`, where they are missing."""
    try:
        group = apps.get_model("auth", "Group")
    except LookupError:  # migrated to a point before `auth`
        return
    for name in GROUPS:
        group.objects.using(using).get_or_create(name=name)
