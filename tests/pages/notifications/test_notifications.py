"""The page of notifications: recipients, what is wrong now, planned work."""

from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from tests.messengers import BOT_TOKEN
from tests.records import server
from transfer.models import AuditEntry, Shop
from transfer.models.alerts import Incident, Notice, Recipient, Topic
from transfer.models.planned_work import PlannedWork
from transfer.pages.parts.audit_words import changes, in_a_line

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin")]

FIELDS = {
    "name": "Olga",
    "channel": "mail",
    "mail_address": "olga@shop.example",
    "language": "en",
    "topics": ["failures", "refusal"],
    "place": 1,
    "reminders": "hourly",
    "letter": "none",
    "enabled": "on",
}
HOOK = {**FIELDS, "channel": "webhook", "webhook_address": "https://hooks.example/T0KEN"}
TELEGRAM = {
    **FIELDS,
    "channel": "telegram",
    "bot_token": BOT_TOKEN,
    "telegram_chat": "-1001234",
}


def stored(**fields):
    """A recipient who gets mail, or what the fields say."""
    values = {"name": "Olga", "channel": "mail", "address": "olga@shop.example", "language": "en"}
    return Recipient.objects.create(**values | {"topics": ["failures", "refusal"]} | fields)


def hook():
    return stored(channel="webhook", address=HOOK["webhook_address"])


def words_of(response):
    return response.content.decode()


def test_a_recipient_is_added_and_stands_in_the_list_and_the_audit(client):
    response = client.post(reverse("recipient_add"), FIELDS, follow=True)
    assert "Olga is notified from now on." in words_of(response)
    one = Recipient.objects.get()
    assert (one.address, one.topics) == ("olga@shop.example", ["failures", "refusal"])
    page = words_of(client.get(reverse("notifications")))
    assert "A task failed several times in a row, or a server does not answer" in page
    assert "Rows were rejected" not in page
    entry = AuditEntry.objects.get(subject_type="recipient")
    assert (entry.action, entry.subject_params) == ("create", {"name": "Olga"})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mail_address": "nobody"}, "Enter a valid email address."),
        ({"mail_address": ""}, "Enter the e-mail address."),
        ({**HOOK, "webhook_address": "ftp://x"}, "begins with https:// or http://"),
        ({**HOOK, "webhook_address": "http://169.254.169.254/"}, "clouds keep their secrets"),
        (
            {"channel": "apprise", "apprise_address": "nothing://"},
            "Apprise does not know such an address.",
        ),
        ({"channel": "apprise"}, "Enter the address."),
        ({"channel": "telegram", "telegram_chat": "-1001234"}, "Enter the bot’s token."),
        ({**TELEGRAM, "bot_token": "T0KEN"}, "A bot token looks like 123456789:AAE…"),
        ({**TELEGRAM, "telegram_chat": ""}, "Enter the chat."),
        ({**TELEGRAM, "telegram_chat": "shop alerts"}, "A chat is a number such as -100123456789"),
        ({"channel": "max", "max_token": "T0KEN"}, "A bot token of MAX has no spaces"),
        ({"channel": "max", "max_chat": "@shop"}, "A chat of MAX is a number"),
        ({"channel": "slack"}, "Enter the address of the webhook."),
        (
            {"channel": "slack", "slack_webhook": "https://hooks.slack.com/T0KEN"},
            "The address of a Slack webhook looks like",
        ),
        ({"channel": "mattermost"}, "Enter the address of the webhook."),
        (
            {"channel": "mattermost", "mattermost_webhook": "https://chat.example/T0KEN"},
            "The address of a Mattermost webhook looks like",
        ),
        (
            {"channel": "mattermost", "mattermost_webhook": "http://169.254.169.254/hooks/T0KEN"},
            "clouds keep their secrets",
        ),
        (
            {**FIELDS, "channel": "mattermost", "mattermost_channel": "Магазин"},
            "Enter the channel as its address has it",
        ),
        ({"quiet_from": "22:00"}, "Enter both times, or neither."),
        ({"topics": []}, "This field is required."),
    ],
)
@pytest.mark.filterwarnings("ignore:'imghdr'")
def test_what_can_not_be_told_is_refused_with_a_sentence(client, fields, words):
    response = client.post(reverse("recipient_add"), {**FIELDS, **fields})
    assert words in words_of(response)
    assert not Recipient.objects.exists()


def test_an_address_that_is_missing_is_asked_for_once(client):
    page = client.post(reverse("recipient_add"), {**FIELDS, "mail_address": ""})
    assert words_of(page).count("Enter the e-mail address.") == 1
    assert words_of(page).count('class="errorlist"') == 1


def test_what_is_entered_for_another_channel_does_not_matter(client):
    client.post(reverse("recipient_add"), {**FIELDS, "bot_token": "T0KEN", "slack_webhook": "x"})
    one = Recipient.objects.get()
    assert (one.channel, one.address, one.chat) == ("mail", "olga@shop.example", None)


def test_a_bot_of_telegram_is_added_and_its_token_never_shown_again(client):
    client.post(reverse("recipient_add"), TELEGRAM)
    one = Recipient.objects.get()
    assert (one.address, one.chat) == (BOT_TOKEN, "-1001234")
    assert 'value="-1001234"' in words_of(client.get(one.get_absolute_url()))
    for url in (one.get_absolute_url(), reverse("notifications"), reverse("audit")):
        assert BOT_TOKEN not in words_of(client.get(url))
    with connection.cursor() as cursor:
        cursor.execute("select address || chat from transfer_recipient")
        (kept,) = cursor.fetchone()
    assert BOT_TOKEN not in kept
    assert "-1001234" not in kept


def test_a_chat_is_changed_and_the_audit_says_so_without_it(client):
    client.post(reverse("recipient_add"), TELEGRAM)
    one = Recipient.objects.get()
    changed = {**TELEGRAM, "bot_token": "", "telegram_chat": "@shop_alerts"}
    client.post(one.get_absolute_url(), changed)
    one.refresh_from_db()
    assert (one.address, one.chat) == (BOT_TOKEN, "@shop_alerts")
    entry = AuditEntry.objects.about(one).first()
    assert (entry.action, list(entry.new)) == ("change", ["chat"])
    assert "shop_alerts" not in str(entry.new)
    assert "-1001234" not in str(entry.old)


@pytest.mark.parametrize(
    ("language", "steps"),
    [
        ("en", ["send /newbot to @BotFather", "Incoming Webhooks", "Open api.slack.com/apps."]),
        (
            "ru",
            ["отправьте @BotFather команду /newbot", "Входящие", "Откройте api.slack.com/apps."],
        ),
    ],
)
def test_the_form_says_in_three_steps_where_to_get_what_it_asks_for(
    client, settings, language, steps
):
    settings.LANGUAGE_CODE = language
    page = words_of(client.get(reverse("recipient_add")))
    for step in steps:
        assert step in page
    assert page.count('<ol class="small muted">') == 4
    assert page.count("<li>") >= 12


def test_a_test_that_telegram_refuses_says_why(client, telegram):
    one = stored(channel="telegram", address=BOT_TOKEN, chat="-100777")
    answer = client.post(reverse("recipient_test", args=[one.pk]), follow=True)
    assert "Telegram does not know this chat, or the bot is not in it." in words_of(answer)
    assert BOT_TOKEN not in words_of(answer)
    one.chat = "-1001234"
    one.save()
    answer = client.post(reverse("recipient_test", args=[one.pk]), follow=True)
    assert "The test message is sent." in words_of(answer)
    assert len(telegram.posts) == 2


def test_a_webhooks_key_is_shown_once_and_its_address_never_again(client):
    shown = client.post(reverse("recipient_add"), HOOK)
    one = Recipient.objects.get()
    assert one.signing_key in words_of(shown)
    for page in (reverse("recipient", args=[one.pk]), reverse("notifications"), reverse("audit")):
        assert "T0KEN" not in words_of(client.get(page))
        assert one.signing_key not in words_of(client.get(page))


def test_what_is_saved_as_it_was_is_no_change_for_the_audit(client):
    client.post(reverse("recipient_add"), HOOK)
    one = Recipient.objects.get()
    client.post(one.get_absolute_url(), HOOK | {"webhook_address": ""})
    assert [entry.action for entry in AuditEntry.objects.about(one)] == ["create"]


def test_an_address_that_is_left_empty_stays(client):
    one = hook()
    fields = {**HOOK, "webhook_address": "", "name": "Hook"}
    client.post(reverse("recipient", args=[one.pk]), fields)
    one.refresh_from_db()
    assert (one.name, one.address) == ("Hook", HOOK["webhook_address"])


def test_an_address_does_not_become_that_of_another_channel(client):
    one = hook()
    changed = {**FIELDS, "channel": "apprise", "apprise_address": ""}
    response = client.post(reverse("recipient", args=[one.pk]), changed)
    assert "Enter the address." in words_of(response)


def test_a_test_that_arrives_is_said_and_one_that_does_not_says_why(client, mailoutbox, settings):
    one = stored()
    answer = client.post(reverse("recipient_test", args=[one.pk]), follow=True)
    assert "The test message is sent." in words_of(answer)
    assert mailoutbox[0].to == ["olga@shop.example"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    answer = client.post(reverse("recipient_test", args=[one.pk]), follow=True)
    assert "The mail server 127.0.0.1 does not answer" in words_of(answer)
    assert "Messages to Olga have not arrived since" in words_of(client.get(reverse("overview")))
    assert Notice.objects.count() == 1


def test_a_recipient_is_removed_after_a_question(client):
    one = stored()
    url = reverse("recipient_remove", args=[one.pk])
    assert "Remove the recipient Olga?" in words_of(client.get(url))
    client.post(url)
    assert not Recipient.objects.exists()


def test_what_was_wrong_is_listed_with_a_link_and_its_times(client):
    now = timezone.now()
    Incident.objects.create(
        topic=Topic.REGISTERS,
        code="registers",
        key="shop:1",
        params={"shop": "На углу", "n": 2, "names": "Касса 1, Касса 2"},
        url="/registers/?shop=1",
        began_at=now - timedelta(hours=3),
        ended_at=now - timedelta(hours=1),
    )
    response = client.get(reverse("notifications"))
    page = words_of(response)
    assert "На углу: 2 registers have not been seen for a day" in page
    assert 'href="/registers/?shop=1"' in page
    assert "2\xa0h\xa000\xa0min" in page
    assert len(response.context["past"].rows) == 1


def test_planned_work_stands_on_the_overview_and_can_be_ended(client):
    eight = server()
    now = timezone.localtime()
    fields = {
        "server": eight.pk,
        "begins_at": f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M}",
        "ends_at": f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M}",
        "reason": "a new disk",
        "stops": "on",
    }
    answer = client.post(reverse("work_add"), fields, follow=True)
    assert "The work is planned." in words_of(answer)
    assert "a new disk" in words_of(answer)
    work = PlannedWork.objects.get()
    assert (work.server, work.by) == (eight, "olga")
    client.post(reverse("work_end", args=[work.pk]))
    assert not PlannedWork.objects.coming().exists()
    assert "a new disk" not in words_of(client.get(reverse("overview")))


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [(2, 1, "It has to end after it begins."), (-3, -2, "This time is in the past.")],
)
def test_work_that_can_not_be_is_refused(client, begins, ends, words):
    now = timezone.localtime()
    fields = {
        "begins_at": f"{now + timedelta(hours=begins):%Y-%m-%dT%H:%M}",
        "ends_at": f"{now + timedelta(hours=ends):%Y-%m-%dT%H:%M}",
        "reason": "a new disk",
    }
    assert words in words_of(client.post(reverse("work_add"), fields))
    assert not PlannedWork.objects.exists()


def test_servers_and_quiet_hours_are_chosen_and_the_audit_names_them(client):
    server()
    nine = server("БС 9")
    one = stored()
    fields = {**FIELDS, "servers": [nine.pk], "urgent_always": "on"}
    fields |= {"quiet_from": "22:00", "quiet_until": "07:00"}
    client.post(one.get_absolute_url(), fields)
    one.refresh_from_db()
    assert (list(one.servers.all()), one.urgent_always) == ([nine], True)
    entry = AuditEntry.objects.about(one).get()
    assert (entry.old["servers"], entry.new["servers"]) == ([], ["БС 9"])
    assert "bonus servers: — → БС 9" in in_a_line(changes(entry))
    assert "Only БС 9" in words_of(client.get(reverse("notifications")))
    client.post(one.get_absolute_url(), fields)
    assert AuditEntry.objects.about(one).count() == 1


def test_shops_are_chosen_by_their_codes_and_an_unknown_one_is_named(client):
    near, far = (Shop.objects.create(code=code, name=f"Shop {code}") for code in ("1", "22"))
    one = stored()
    assert "Empty: all shops." in words_of(client.get(one.get_absolute_url()))
    refused = client.post(one.get_absolute_url(), {**FIELDS, "shops": "1, 7"})
    assert "There is no shop with this code: 7." in words_of(refused)
    client.post(one.get_absolute_url(), {**FIELDS, "shops": " 22 ,1"})
    assert {*one.shops.all()} == {near, far}
    assert 'value="1, 22"' in words_of(client.get(one.get_absolute_url()))
    assert AuditEntry.objects.about(one).get().new["shops"] == [str(near), str(far)]
    assert "Of registers: only" in words_of(client.get(reverse("notifications")))
    client.post(one.get_absolute_url(), {**FIELDS, "shops": ""})
    assert not one.shops.exists()
