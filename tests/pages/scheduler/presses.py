"""The page of the scheduler, its buttons, and a task as it is stored."""

from django.urls import reverse

from transfer.models import Actor, TransferTask
from transfer.pages.links import key_of

IVAN = Actor("ivan", address="10.0.0.7")


def page(client, url="scheduler", **query):
    response = client.get(reverse(url), query)
    assert response.status_code == 200
    return response.content.decode()


def page_at(client, url):
    return " ".join(client.get(url).content.decode().split())


def press(client, task, what, **data):
    data = {"seen": task.version, "next": reverse("scheduler"), **data}
    return client.post(reverse(f"task_{what}", args=[key_of(task)]), data)


def stored(task):
    return TransferTask.objects.select_related("server").get(pk=task.pk)
