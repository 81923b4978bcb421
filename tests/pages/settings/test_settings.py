from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.forms import model_to_dict
from django.urls import reverse
from django.utils import timezone

from tests.records import server, user
from transfer.models import Actor, AuditEntry, Settings
from transfer.pages.links import key_of

pytestmark = pytest.mark.django_db
IVAN = Actor("ivan", address="10.0.0.7")
URL = "/settings/"
# All fields but the check boxes, which are not ticked, and the empty ones.
AS_THEY_CAME = {
    name: value
    for name, value in model_to_dict(
        Settings(), exclude=["id", "show_transfer_tasks", "confirms_by_itself"]
    ).items()
    if value is not None
}


@pytest.fixture(autouse=True)
def anna(client, settings):
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("administrator", "anna"))


def save(client, **fields):
    data = {**AS_THEY_CAME, "seen": Settings.load().version, **fields}
    return client.post(URL, data, follow=True)


class TestSettings:
    def test_has_the_setting_of_the_vendors_document_in_its_words(self, client):
        client.cookies["django_language"] = "ru"
        html = client.get(URL).content.decode()
        assert "Прочее" in html
        assert "Включение отображения задач трансфера в планировщике" in html

    def test_saves_and_says_who_did_it(self, client):
        html = save(client, show_transfer_tasks="on", history_days=30).content.decode()
        held = Settings.load()
        assert (held.show_transfer_tasks, held.history_days) == (True, 30)
        assert "The settings are saved." in html
        assert "anna" in html
        entry = AuditEntry.objects.get()
        assert entry.old == {"show_transfer_tasks": False, "history_days": 90}
        assert entry.new == {"show_transfer_tasks": True, "history_days": 30}

    def test_name_the_tasks_that_remove_what_is_old_and_whether_they_are_on(self, client):
        page = client.get(URL)
        tasks = [(str(task), task.enabled, url) for task, url in page.context["purges"]]
        assert [one[:2] for one in tasks] == [
            ("Purge the history", True),
            ("Purge the staging tables", False),
        ]
        assert all(client.get(url).status_code == 200 for _task, _on, url in tasks)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("time_zone", "Mars/Olympus"), ("history_days", 0), ("staging_days", "x")],
    )
    def test_names_what_is_wrong_at_its_field(self, client, field, value):
        form = save(client, **{field: value}).context["form"]
        assert list(form.errors) == [field]
        assert not AuditEntry.objects.exists()

    def test_a_limit_for_the_delay_of_rows_can_be_set_and_taken_away(self, client):
        assert Settings.load().delay_limit is None
        html = save(client, delay_limit=60).content.decode()
        assert Settings.load().delay_limit == 60
        assert "1 minute" in html[html.index("Who changed them") :]
        save(client, delay_limit="")
        assert Settings.load().delay_limit is None

    def test_another_zone_moves_the_next_times(self, client):
        task = server().tasks.get(kind="cards")
        task.reschedule("0 15 * * *", IVAN)
        task.switch(True, IVAN)
        save(client, time_zone="Asia/Vladivostok")
        task.refresh_from_db()
        assert task.next_run_at.astimezone(ZoneInfo("Asia/Vladivostok")).hour == 15

    def test_somebody_elses_change_is_never_overwritten_unseen(self, client):
        seen = Settings.load().version
        Settings.load().change(IVAN, history_days=7)
        response = save(client, seen=seen, history_days=60)
        html = response.content.decode()
        assert response.status_code == 409
        assert "ivan" in html
        assert 'value="60"' in html  # what anna has entered
        assert Settings.load().history_days == 7
        client.post(URL, {**AS_THEY_CAME, "history_days": 60, "seen": response.context["version"]})
        assert Settings.load().history_days == 60


class TestTheAudit:
    def shown(self, client, **query):
        response = client.get(reverse("audit"), query)
        assert response.status_code == 200
        return [row.record for row in response.context["table"].paginated_rows]

    def test_is_found_by_person_action_thing_and_day(self, client):
        task = server().tasks.get(kind="cards")
        task.switch(True, IVAN)
        Settings.load().change(Actor("anna"), history_days=7)
        today = timezone.localdate()
        assert [one.who for one in self.shown(client, who="ivan")] == ["ivan"]
        assert [one.who for one in self.shown(client, action="settings")] == ["anna"]
        assert [one.who for one in self.shown(client, about=key_of(task))] == ["ivan"]
        assert len(self.shown(client, since=today, until=today)) == 2
        assert self.shown(client, since=today + timedelta(1)) == []
        assert self.shown(client, about="nonsense") == []

    def test_says_who_did_what_and_from_where_as_people_read_it(self, client):
        task = server().tasks.get(kind="cards")
        task.switch(True, IVAN, reason="go")
        task.reschedule("0 3 * * *", IVAN)
        task.pause(datetime(2100, 1, 2, 12, tzinfo=ZoneInfo("Europe/Moscow")), IVAN)
        client.post(reverse("task_run", args=[key_of(task)]))
        html = client.get(reverse("audit")).content.decode().replace("\u00a0", " ")
        for word in ("ivan", "10.0.0.7", "Switched on or off", "Бонусный сервер 8", "go"):
            assert word in html
        assert "every day at 03:00" in html
        assert "2 Jan 2100 12:00 MSK" in html
        assert "Started by hand" in html
