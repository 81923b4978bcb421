"""Pausing a bonus server on its own page, and resuming it there."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages.look import read
from tests.records import server as a_server
from transfer.engine.kinds import KINDS
from transfer.models import AuditEntry, PlannedWork, TransferTask
from transfer.tick import tick

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]


@pytest.fixture
def server():
    """Its balances and cards are on, its PIN codes are off."""
    server = a_server()
    TransferTask.objects.filter(server=server).exclude(kind="pincodes").update(enabled=True)
    return server


def pause(client, server, **fields):
    fields = {"until": "hour", "reason": "new disks"} | fields
    return client.post(reverse("server_pause", args=[server.pk]), fields, follow=True)


def test_a_server_is_paused_for_an_hour_with_a_banner_and_resumed(operator, server):
    answer = pause(operator, server)
    shown = read(answer)
    assert "The bonus server is paused." in shown
    assert "by olga. Reason: new disks." in shown
    enabled, off = server.tasks.filter(enabled=True), server.tasks.get(kind="pincodes")
    hour = timezone.now() + timedelta(hours=1)
    assert len(enabled) == len(KINDS) - 1
    assert all(abs(one.paused_until - hour) < timedelta(minutes=1) for one in enabled)
    assert off.paused_until is None

    work = PlannedWork.objects.get()
    answer = operator.post(
        reverse("work_end", args=[work.pk]), {"next": server.get_absolute_url()}, follow=True
    )
    assert "The bonus server is paused." not in read(answer)
    assert f"The pause of {server} is over." in read(answer)
    assert answer.request["PATH_INFO"] == server.get_absolute_url()
    assert not server.tasks.exclude(paused_until=None).exists()
    assert AuditEntry.objects.filter(reason="new disks").count() >= 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": ""}, "Enter a reason."),
        ({"until": "other"}, "Enter an end time."),
        ({"until": "other", "moment": "2001-01-01T10:00"}, "The pause has to end in the future."),
    ],
)
def test_without_a_reason_or_an_end_nothing_is_paused(operator, server, fields, words):
    assert words in read(pause(operator, server, **fields))
    assert not PlannedWork.objects.exists()
    assert not server.tasks.exclude(paused_until=None).exists()


def test_a_viewer_sees_the_pause_and_can_not_end_it(operator, log_in, server):
    pause(operator, server)
    viewer = log_in("viewer", "anna")
    page = viewer.get(server.get_absolute_url())
    assert "The bonus server is paused." in read(page)
    assert reverse("work_end", args=[PlannedWork.objects.get().pk]) not in page.content.decode()
    assert viewer.get(reverse("server_pause", args=[server.pk])).status_code == 403


def test_work_is_planned_from_the_page_of_its_server_and_stops_nothing(operator, server):
    address = f"{reverse('work_add')}?server={server.pk}"
    asked = operator.get(reverse("server_pause", args=[server.pk]))
    assert f'href="{address}"' in asked.text
    form = operator.get(address).context["form"]
    assert form["server"].initial == server
    assert abs(form["begins_at"].initial - timezone.now()) < timedelta(minutes=1)
    assert form["stops"].initial is False
    now = timezone.localtime()
    fields = {
        "server": server.pk,
        "begins_at": f"{now:%Y-%m-%dT%H:%M}",
        "ends_at": f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M}",
        "reason": "new version",
    }
    planned = operator.post(address, fields, follow=True)
    assert planned.request["PATH_INFO"] == server.get_absolute_url()
    assert "The work is planned." in read(planned)
    assert "new version" in read(planned)
    tick("test", timezone.now())
    assert not server.tasks.exclude(paused_until=None).exists()
