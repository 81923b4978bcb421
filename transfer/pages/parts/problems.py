"""Which problems a user sees, and the buttons that take them."""

from typing import Any

from django.http import HttpRequest

from transfer.access import Role, has_role
from transfer.models import Incident
from transfer.problems.kinds import KINDS, Code
from transfer.text import formats

MOST_AT_ONCE = 1000  # problems that one press takes


def hidden_from(user: Any) -> list[Code]:
    """Return the codes of problems that this user may not see."""
    if has_role(user, Role.ADMINISTRATOR):
        return []
    return [code for code, kind in KINDS.items() if kind.is_for_administrators]


def visible(request: HttpRequest) -> Any:
    """Return the incidents that this user may see."""
    return Incident.objects.exclude(code__in=hidden_from(request.user))


def named_by(request: HttpRequest) -> list[Incident]:
    """Return the open problems that the form names by their numbers, separated by commas."""
    texts = request.POST.get("problems", "").split(",")[:MOST_AT_ONCE]
    numbers = [number for text in texts if (number := formats.number_in(text))]
    return list(visible(request).open().filter(pk__in=numbers).order_by("pk"))
