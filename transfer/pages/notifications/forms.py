"""Forms of the page of notifications."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.alerts.messengers import (
    APPRISE_ADDRESSES,
    BOT_TOKEN,
    MATTERMOST_CHANNEL,
    MATTERMOST_WEBHOOK,
    MAX_CHAT,
    MAX_TOKEN,
    SLACK_WEBHOOK,
    TELEGRAM_CHAT,
)
from transfer.alerts.outside import is_forbidden_host
from transfer.alerts.send import messenger_knows, need_apprise
from transfer.errors import NoApprise
from transfer.models import Shop
from transfer.models.alerts import Recipient, Topic
from transfer.models.planned_work import PlannedWork
from transfer.pages.fields import LocalMoment
from transfer.text.explain import explain

Channel = Recipient.Channel


def secret(label: Any, missing: Any, **options: Any) -> forms.CharField:
    """A field that is never filled with what is stored. `missing`: what an empty one is told."""
    attrs = {"autocomplete": "off", "spellcheck": "false", "data-secret": ""}
    widget = forms.TextInput(attrs=attrs | options.pop("attrs", {}))
    return forms.CharField(
        label=label, max_length=500, widget=widget, error_messages={"required": missing}, **options
    )


# What is entered for each channel. The first is stored as the address, the second as the chat.
FIELDS = {
    Channel.MAIL: ("mail_address",),
    Channel.TELEGRAM: ("bot_token", "telegram_chat"),
    Channel.MAX: ("max_token", "max_chat"),
    Channel.MATTERMOST: ("mattermost_webhook", "mattermost_channel"),
    Channel.SLACK: ("slack_webhook",),
    Channel.WEBHOOK: ("webhook_address",),
    Channel.APPRISE: ("apprise_address",),
}
ENTERED = tuple(name for names in FIELDS.values() for name in names)
# How to get what is to be entered, in steps.
STEPS = {
    Channel.TELEGRAM: (
        gettext_lazy(
            "In Telegram, send /newbot to @BotFather and answer its questions. It replies with the "
            "bot’s token."
        ),
        gettext_lazy(
            "Add the bot to the group or channel. For messages to yourself, send it /start."
        ),
        gettext_lazy(
            "Open the chat at web.telegram.org/a: its number stands in the address behind #. Your "
            "own number: open Saved Messages there."
        ),
    ),
    Channel.MAX: (
        gettext_lazy(
            "At business.max.ru, create a chat bot for your organisation. Its settings have the "
            "token."
        ),
        gettext_lazy(
            "Add the bot to the group or channel, as an administrator. For messages to yourself, "
            "start it."
        ),
        gettext_lazy(
            "Then run curl -H @- https://platform-api2.max.ru/updates and type Authorization: with "
            "the token, Enter and Ctrl+D. The answer has the chat_id."
        ),
    ),
    Channel.MATTERMOST: (
        gettext_lazy(
            "In Mattermost, open Integrations, then Incoming Webhooks. If they are missing, its "
            "administrator switches them on."
        ),
        gettext_lazy("Add one, and choose the channel for the messages."),
        gettext_lazy("Copy its address, which ends with /hooks/ and a key."),
    ),
    Channel.SLACK: (
        gettext_lazy("Open api.slack.com/apps. Create an app from scratch in your workspace."),
        gettext_lazy("In its Incoming Webhooks, switch them on, add one, and choose the channel."),
        gettext_lazy("Copy its address, which begins with https://hooks.slack.com/services/."),
    ),
}


class ChannelChoice(NamedTuple):
    """A way to notify, with the fields that it needs."""

    value: str
    label: Any
    steps: Sequence[Any]
    fields: list[forms.BoundField]


def check_bot_token(token: str) -> None:
    if not BOT_TOKEN.fullmatch(token):
        raise ValidationError(
            _("A bot token looks like 123456789:AAE… – digits, a colon, and about 35 characters.")
        )


def check_telegram_chat(chat: str) -> None:
    if not TELEGRAM_CHAT.fullmatch(chat):
        raise ValidationError(
            _(
                "A chat is a number such as -1001234567890, or the name of a public group or "
                "channel with @."
            )
        )


def check_max_token(token: str) -> None:
    if not MAX_TOKEN.fullmatch(token):
        raise ValidationError(
            _("A bot token of MAX has no spaces and at least 20 characters. Copy all of it.")
        )


def check_max_chat(chat: str) -> None:
    if not MAX_CHAT.fullmatch(chat):
        raise ValidationError(_("A chat of MAX is a number, such as -68942115000000."))


def check_mattermost_webhook(address: str) -> None:
    if not MATTERMOST_WEBHOOK.fullmatch(address):
        raise ValidationError(
            _("The address of a Mattermost webhook looks like https://chat.example.com/hooks/….")
        )
    check_host(address)


def check_mattermost_channel(name: str) -> None:
    if not MATTERMOST_CHANNEL.fullmatch(name):
        raise ValidationError(
            _("Enter the channel as its address has it: small Latin letters, digits, - and _.")
        )


def check_slack_webhook(address: str) -> None:
    if not SLACK_WEBHOOK.fullmatch(address):
        raise ValidationError(
            _("The address of a Slack webhook looks like https://hooks.slack.com/services/T…/B…/….")
        )


def check_webhook(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValidationError(_("Enter an address that begins with https:// or http://."))
    check_host(address)


def check_host(address: str) -> None:
    if is_forbidden_host(urlsplit(address).hostname or ""):
        raise ValidationError(
            _("Messages may not go to this address: clouds keep their secrets there.")
        )


def check_apprise(address: str) -> None:
    with suppress(NoApprise):  # which `clean` tells
        if not messenger_knows(address):
            raise ValidationError(_("Apprise does not know such an address."))


class RecipientForm(forms.ModelForm[Recipient]):
    """Tokens and addresses that hold keys are never shown again. No error quotes them."""

    channel = forms.ChoiceField(label=gettext_lazy("How"), choices=Channel, initial=Channel.MAIL)
    mail_address = forms.EmailField(
        label=gettext_lazy("E-mail address"),
        error_messages={"required": gettext_lazy("Enter the e-mail address.")},
    )
    bot_token = secret(
        gettext_lazy("Bot token"),
        gettext_lazy("Enter the bot’s token."),
        validators=[check_bot_token],
        attrs={"placeholder": "123456789:AAE…"},
    )
    telegram_chat = forms.CharField(
        label=gettext_lazy("Chat"),
        max_length=100,
        validators=[check_telegram_chat],
        error_messages={"required": gettext_lazy("Enter the chat.")},
        help_text=gettext_lazy("Its number, or @name of a public group or channel."),
    )
    max_token = secret(
        gettext_lazy("Bot token"),
        gettext_lazy("Enter the bot’s token."),
        validators=[check_max_token],
    )
    max_chat = forms.CharField(
        label=gettext_lazy("Chat"),
        max_length=20,
        validators=[check_max_chat],
        error_messages={"required": gettext_lazy("Enter the chat.")},
        help_text=gettext_lazy("Its chat_id, a number."),
    )
    mattermost_webhook = secret(
        gettext_lazy("Address of the webhook"),
        gettext_lazy("Enter the address of the webhook."),
        validators=[check_mattermost_webhook],
        attrs={"placeholder": "https://…/hooks/…"},
    )
    mattermost_channel = forms.CharField(
        label=gettext_lazy("Another channel"),
        max_length=64,
        required=False,
        validators=[check_mattermost_channel],
        help_text=gettext_lazy("Empty: the channel that the webhook was made for."),
    )
    slack_webhook = secret(
        gettext_lazy("Address of the webhook"),
        gettext_lazy("Enter the address of the webhook."),
        validators=[check_slack_webhook],
        attrs={"placeholder": "https://hooks.slack.com/services/…"},
    )
    webhook_address = secret(
        gettext_lazy("Address"),
        gettext_lazy("Enter the address."),
        validators=[check_webhook],
        help_text=gettext_lazy("A program of yours that accepts a POST request. It is signed."),
        attrs={"placeholder": "https://…"},
    )
    apprise_address = secret(
        gettext_lazy("Address"),
        gettext_lazy("Enter the address."),
        validators=[check_apprise],
        help_text=gettext_lazy("As appriseit.com describes it, such as matrix://…"),
    )
    language = forms.ChoiceField(label=gettext_lazy("Language"), choices=settings.LANGUAGES)
    topics = forms.MultipleChoiceField(
        label=gettext_lazy("Notify of"),
        choices=Topic,
        widget=forms.CheckboxSelectMultiple,
        initial=Topic.values,
    )

    # A text, since an installation may have a thousand shops.
    shops = forms.CharField(
        label=gettext_lazy("Shops"),
        required=False,
        max_length=10_000,
        help_text=gettext_lazy(
            "Of registers that are no longer seen: the codes of the shops, separated by commas. "
            "Empty: all shops."
        ),
    )

    class Meta:
        model = Recipient
        fields = [
            *("name", "channel", "language", "topics", "servers", "shops", "place", "reminders"),
            *("letter", "statements", "quiet_from", "quiet_until", "urgent_always", "enabled"),
        ]
        widgets = {
            "servers": forms.CheckboxSelectMultiple,
            **dict.fromkeys(("quiet_from", "quiet_until"), forms.TimeInput({"type": "time"})),
        }
        help_texts = {
            "servers": gettext_lazy(
                "None ticked: all, and those that are docked later. What concerns no single server "
                "is always reported."
            ),
            "letter": gettext_lazy(
                "What was broken in the last 24 hours, whether all has arrived, and what waits for "
                "a decision. The settings say when; quiet hours put it off until they end."
            ),
            "statements": gettext_lazy(
                "When it is made, at the beginning of the next month. A mail has the workbook and "
                "the signed file; another message says that there is one."
            ),
            "place": gettext_lazy(
                "1: told at once. 2 to 9: told of a serious problem that nobody has taken, one "
                "place after the other; the settings say after how many minutes."
            ),
            "quiet_from": gettext_lazy(
                "Problems that start in quiet hours are reported when they end."
            ),
            "reminders": gettext_lazy(
                "While the problem lasts. For rejected rows: when there are new ones, at most "
                "once an hour."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["shops"] = ", ".join(one.code for one in self.instance.shops.all())
            address, *chat = FIELDS[Channel(self.instance.channel)]
            if "data-secret" in self.fields[address].widget.attrs:
                self.fields[address].required = False  # an empty secret keeps the stored one
                self.fields[address].widget.attrs["placeholder"] = _("unchanged")
            else:
                self.initial[address] = self.instance.address
            for name in chat:
                self.initial[name] = self.instance.chat

    @property
    def has_shops(self) -> bool:
        return Shop.objects.exists()

    def clean_shops(self) -> list[Shop]:
        """Return the shops with the codes that were entered."""
        codes = [code.strip() for code in self.cleaned_data["shops"].split(",") if code.strip()]
        shops = {one.code: one for one in Shop.objects.filter(code__in=codes)}
        if unknown := [code for code in dict.fromkeys(codes) if code not in shops]:
            words = _("There is no shop with this code: %(codes)s.")
            raise forms.ValidationError(words % {"codes": ", ".join(unknown)})
        return list(shops.values())

    @property
    def channels(self) -> list[ChannelChoice]:
        return [
            ChannelChoice(
                channel,
                channel.label,
                STEPS.get(channel, ()),
                [self[name] for name in names],
            )
            for channel, names in FIELDS.items()
        ]

    def clean(self) -> dict[str, Any]:
        """Checks what the chosen channel needs; what is entered for others does not matter."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        channel = cleaned.get("channel")
        for name in ENTERED:
            if channel and name not in FIELDS[Channel(channel)]:
                self.errors.pop(name, None)
        if channel in APPRISE_ADDRESSES:
            try:
                need_apprise()
            except NoApprise as error:
                self.add_error("channel", str(explain(error)))
        if (cleaned.get("quiet_from") is None) != (cleaned.get("quiet_until") is None):
            self.add_error("quiet_until", _("Enter both times, or neither."))
        return cleaned

    def save(self, commit: bool = True) -> Recipient:
        """Stores what was entered for the channel, too."""
        address, *chat = FIELDS[Channel(self.cleaned_data["channel"])]
        self.instance.address = self.cleaned_data[address] or self.instance.address
        self.instance.chat = (self.cleaned_data[chat[0]] or None) if chat else None
        return super().save(commit)


class PlannedWorkForm(forms.ModelForm[PlannedWork]):
    pairs = {"begins_at": "ends_at"}

    class Meta:
        model = PlannedWork
        fields = ["server", "begins_at", "ends_at", "reason", "stops"]
        widgets = dict.fromkeys(("begins_at", "ends_at"), LocalMoment())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["server"].empty_label = _("all bonus servers")  # type: ignore[attr-defined]

    def clean_ends_at(self) -> datetime:
        ends_at: datetime = self.cleaned_data["ends_at"]
        if ends_at <= timezone.now():
            raise ValidationError(_("This time is in the past. Enter a later one."))
        return ends_at
