"""Addresses that numbers on the pages link to: filtered lists, tasks."""

from urllib.parse import urlencode, urlsplit, urlunsplit

from django.http import QueryDict
from django.urls import reverse

from transfer.models.schedules import ScheduledTask


def history(**filters: object) -> str:
    """The history with these filters."""
    return _filtered("history", filters)


def scheduler(**filters: object) -> str:
    """The scheduler with these filters. It shows transfer tasks even if a setting hides them."""
    return _filtered("scheduler", filters)


def registers(**filters: object) -> str:
    return _filtered("registers", filters)


def _filtered(name: str, filters: dict[str, object]) -> str:
    """A page has many of them, and `with_query`, which parses a URL, takes three times as long."""
    return f"{reverse(name)}?{urlencode(filters)}" if filters else reverse(name)


def of_task(task: ScheduledTask) -> str:
    return reverse("task", args=[key_of(task)])


def key_of(task: ScheduledTask) -> str:
    """The name of a task in URLs and forms: "transfer-12", "maintenance-1"."""
    return f"{str(task._meta.model_name).removesuffix('task')}-{task.pk}"


def with_query(url: str, **added: object) -> str:
    """The URL with these parameters set; one that is None is removed."""
    scheme, host, path, query, fragment = urlsplit(url)
    parameters = QueryDict(query, mutable=True)
    for name, value in added.items():
        parameters.pop(name, None)
        if value is not None:
            parameters[name] = str(value)
    return urlunsplit((scheme, host, path, parameters.urlencode(), fragment))
