import django_tables2 as tables  # type: ignore[import-untyped]
from django.db.models import F, QuerySet
from django.utils.translation import gettext_lazy

from transfer.models import User
from transfer.pages.tables import Table, TemplateColumn, classed


def cell(name: str, heading: object, **options: object) -> TemplateColumn:
    """A column whose cells are drawn by a template of templates/users/cells/."""
    return TemplateColumn(f"users/cells/{name}.html", heading, **options)


class UserTable(Table):
    """Users: who may log in, and as what."""

    caption = gettext_lazy("Users")

    username = cell("login", gettext_lazy("User name"))
    name = tables.Column(
        gettext_lazy("Full name"),
        accessor="get_full_name",
        order_by=("first_name", "last_name", "username"),
        default="",
        attrs=classed("unlabelled"),
    )
    level = cell(
        "role",
        gettext_lazy("Role"),
        order_by=("-level", "username"),
        attrs=classed("unlabelled lower role"),
    )
    last_login = cell("last_login", gettext_lazy("Last log-in"), attrs=classed("lower"))
    is_active = cell(
        "state",
        gettext_lazy("State"),
        order_by=("-is_active", "username"),
        attrs=classed("unlabelled"),
    )

    class Meta(Table.Meta):
        order_by = "is_active"

    def order_last_login(
        self, users: QuerySet[User], descending: bool
    ) -> tuple[QuerySet[User], bool]:
        """Sorts by the last log-in; users without one come last in both directions."""
        last = F("last_login")
        order = last.desc(nulls_last=True) if descending else last.asc(nulls_last=True)
        return users.order_by(order, "username"), True
