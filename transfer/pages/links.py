"""Addresses of tasks, and of pages with another query."""

from urllib.parse import urlsplit, urlunsplit

from django.http import QueryDict
from django.urls import reverse

from transfer.models.schedules import ScheduledTask


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
