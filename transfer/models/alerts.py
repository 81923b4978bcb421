"""What is wrong, who is notified of it, and the messages to them."""

import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.errors import TransferError
from transfer.models.addresses import address
from transfer.models.failing import Failing, failure, retry_delay
from transfer.models.registers import Shop
from transfer.models.secret import SecretField, WithSecrets
from transfer.models.servers import BonusServer
from transfer.models.settings import Settings
from transfer.models.shared import printable
from transfer.queue.jobs import Job, JobQuerySet
from transfer.queue.locks import Space

OF_SHOP = "shop:"  # the key of a problem of a shop, before the shop's number
LONGEST_DELAY = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=2)


class Topic(models.TextChoices):
    """What can be wrong. The worst first."""

    REFUSAL = "refusal", gettext_lazy("A transfer refuses until somebody decides")
    DIFFERENCE = "difference", gettext_lazy("The reconciliation found a difference")
    SCHEDULER = (
        "scheduler",
        gettext_lazy(
            "Data Transfer itself: scheduler, queue, messages, guards of the staging tables"
        ),
    )
    FAILURES = (
        "failures",
        gettext_lazy("A task failed several times in a row, or a server does not answer"),
    )
    LATE = "late", gettext_lazy("Rows wait for too long")
    REJECTS = "rejects", gettext_lazy("Rows were rejected")
    APPROVALS = "approvals", gettext_lazy("Loads need a second person")
    REGISTERS = "registers", gettext_lazy("Registers of a shop are no longer seen")
    LOCKED = "locked", gettext_lazy("A log-in was locked")


# What somebody may want to know of at night: rows do not move until somebody acts.
URGENT = {Topic.REFUSAL, Topic.FAILURES}


class Severity(models.TextChoices):
    """How bad a problem is."""

    BAD = "bad", gettext_lazy("Serious")
    WARN = "warn", gettext_lazy("Warning")


class IncidentQuerySet(models.QuerySet["Incident"]):
    def open(self) -> Self:
        return self.filter(ended_at=None)

    def past(self) -> Self:
        """Incidents of the history: bad enough for a message, and over."""
        return self.filter(notify=True).exclude(ended_at=None)

    def since(self, moment: datetime) -> Self:
        """Incidents that lasted after the moment."""
        return self.filter(ended_at__gt=moment)


class Incident(models.Model):
    """A problem from its begin to its end, see `transfer/problems/`."""

    topic = models.CharField(max_length=20, choices=Topic)
    code = models.CharField(max_length=20)  # its sentence: problems/kinds.py
    severity = models.CharField(max_length=10, choices=Severity, default=Severity.BAD)
    notify = models.BooleanField(default=True)  # whether it is bad enough for a message
    key = models.CharField(max_length=100, blank=True)  # tells those of a topic apart
    server = models.ForeignKey(BonusServer, on_delete=models.CASCADE, null=True, related_name="+")
    params = models.JSONField(default=dict)  # for its sentence: names and numbers
    url = models.CharField(max_length=200)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    # For an outage that is over: the rows for which runs failed, and when all were moved.
    waited = models.BigIntegerField(null=True)
    caught_up_at = models.DateTimeField(null=True)
    # Who looks after it: see problems/taking.py.
    taken_by = models.CharField(max_length=200, blank=True)
    taken_at = models.DateTimeField(null=True)
    taken_note = models.CharField(max_length=500, blank=True)
    # Nobody gets messages about it, until a time, or (None) until it gets worse.
    muted_by = models.CharField(max_length=200, blank=True)
    muted_at = models.DateTimeField(null=True)
    muted_until = models.DateTimeField(null=True)
    mute_reason = models.CharField(max_length=500, blank=True)
    muted_level = models.JSONField(null=True)  # how bad it was then: problems/taking.py
    worse_at = models.DateTimeField(null=True)  # when it got worse than that
    # Since when it is serious, and nobody has taken it: from then on one recipient after the other
    # is told of it.
    waits_since = models.DateTimeField(null=True)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-began_at"]
        verbose_name = gettext_lazy("incident")
        constraints = [
            models.UniqueConstraint(
                "topic", "key", condition=Q(ended_at=None), name="one_open_incident"
            )
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.key}"

    def get_absolute_url(self) -> str:
        """Return the page on which somebody takes it. `url` is that of what it is about."""
        return address("problem", self.pk)

    def audit_params(self) -> dict[str, Any]:
        """Return what its sentence is made from, in the language of who reads the audit."""
        return {"code": self.code, "problem": self.params}

    @property
    def is_taken(self) -> bool:
        return self.taken_at is not None

    @property
    def is_muted(self) -> bool:
        return self.is_muted_at(timezone.now())

    def is_muted_at(self, now: datetime) -> bool:
        if self.muted_at is None or self.ended_at is not None:
            return False
        return self.muted_until is None or self.muted_until > now

    @property
    def shop_id(self) -> int | None:
        """The shop whose registers it is about, if it is about one."""
        number = self.key.removeprefix(OF_SHOP)
        return int(number) if number != self.key else None

    @property
    def is_urgent(self) -> bool:
        """Whether it is an outage, a failure or a refusal, or the end of one.

        Its last look before the end, which says that all is well again, is only a warning.
        """
        is_bad = self.severity == Severity.BAD or self.ended_at is not None
        return self.topic in URGENT and is_bad

    @property
    def until(self) -> datetime | None:
        """When it was over: of an outage, when the server answered again; None while it lasts."""
        if answered := self.params.get("answered"):
            return datetime.fromisoformat(answered)
        return self.ended_at

    @property
    def lasted(self) -> timedelta:
        return (self.until or timezone.now()) - self.began_at


class Recipient(WithSecrets, Failing):
    """A person or a program that gets messages."""

    class Channel(models.TextChoices):
        MAIL = "mail", gettext_lazy("E-mail")
        TELEGRAM = "telegram", "Telegram"
        MAX = "max", "MAX"
        MATTERMOST = "mattermost", "Mattermost"
        SLACK = "slack", "Slack"
        WEBHOOK = "webhook", gettext_lazy("Webhook")
        APPRISE = "apprise", gettext_lazy("Another messenger, by Apprise")

    class Reminders(models.TextChoices):
        NONE = "none", gettext_lazy("none")
        HOURLY = "hourly", gettext_lazy("every hour")
        DAILY = "daily", gettext_lazy("once a day")

    class Letter(models.TextChoices):
        NONE = "none", gettext_lazy("none")
        WRONG = "wrong", gettext_lazy("if something was wrong, or waits")
        ALWAYS = "always", gettext_lazy("every morning; one sentence if all is well")

    EVERY = {Reminders.HOURLY: timedelta(hours=1), Reminders.DAILY: timedelta(days=1)}

    name = models.CharField(gettext_lazy("name"), max_length=100, validators=[printable])
    channel = models.CharField(gettext_lazy("how"), max_length=10, choices=Channel)
    # Of Telegram and MAX, the bot's token. Addresses of webhooks and messengers hold keys, too.
    address = SecretField(gettext_lazy("address"))
    # The chat or the channel for the message, if the address does not say it.
    chat: Any = SecretField(gettext_lazy("chat"), null=True, editable=False)
    signing_key: Any = SecretField(editable=False, null=True)
    language = models.CharField(gettext_lazy("language"), max_length=5, default="ru")
    topics = ArrayField(models.CharField(max_length=20, choices=Topic), default=list)
    # None: all, and those that are docked later.
    servers = models.ManyToManyField(
        BonusServer, verbose_name=gettext_lazy("bonus servers"), blank=True, related_name="+"
    )
    # Of messages about registers. None: all, and those that are added later.
    shops = models.ManyToManyField(
        Shop, verbose_name=gettext_lazy("shops"), blank=True, related_name="+"
    )
    # Those of the first place are told at once, the next ones of what nobody has taken.
    place = models.PositiveSmallIntegerField(
        gettext_lazy("place in the order"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(9)],
    )
    reminders = models.CharField(
        gettext_lazy("reminders"), max_length=10, choices=Reminders, default=Reminders.DAILY
    )
    letter = models.CharField(
        gettext_lazy("letter of the morning"), max_length=10, choices=Letter, default=Letter.NONE
    )
    statements = models.BooleanField(gettext_lazy("statement of each month"), default=False)
    letter_on = models.DateField(null=True, editable=False)  # the last morning that was dealt with
    quiet_from = models.TimeField(gettext_lazy("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(gettext_lazy("quiet until"), null=True, blank=True)
    urgent_always = models.BooleanField(
        gettext_lazy("outages and refusals also in quiet hours"), default=False
    )
    enabled = models.BooleanField(gettext_lazy("enabled"), default=True)
    failing_since = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = gettext_lazy("recipient")

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A webhook gets a key that its messages are signed with."""
        if self.channel == self.Channel.WEBHOOK and not self.signing_key:
            self.signing_key = f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return address("recipient", self.pk)

    @property
    def topic_labels(self) -> list[str]:
        return [str(one.label) for one in Topic if one in self.topics]

    @property
    def state(self) -> str:
        """One of off, failing (messages do not arrive), ok."""
        if not self.enabled:
            return "off"
        return "failing" if self.failing_since else "ok"

    def wants(self, incident: Incident) -> bool:
        """Whether it is to be notified of it.

        What concerns no single server, or no shop, concerns everybody.
        """
        about = ((self.servers, incident.server_id), (self.shops, incident.shop_id))
        return incident.topic in self.topics and all(
            number is None or _has(chosen, number) for chosen, number in about
        )

    def is_quiet(self, now: datetime) -> bool:
        """Whether it is to be left alone, by the clock of the settings' zone."""
        if self.quiet_from is None or self.quiet_until is None:
            return False
        clock: time = now.astimezone(Settings.load().zone).time()
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= clock < self.quiet_until
        return clock >= self.quiet_from or clock < self.quiet_until  # over midnight


def _has(chosen: Any, number: int) -> bool:
    """Whether a recipient has chosen it; one that has chosen nothing has all."""
    numbers = {one.pk for one in chosen.all()}
    return not numbers or number in numbers


class NoticeQuerySet(JobQuerySet):
    def pending(self) -> Self:
        now = timezone.now()
        return self.filter(
            Q(retry_at=None) | Q(retry_at__lte=now),
            sent_at=None,
            created_at__gt=now - GIVEN_UP_AFTER,
        )


class Notice(Job, Failing):
    """A message to a recipient about an incident; without one, a letter, statement or test."""

    LOCK_SPACE = Space.NOTICE

    class Event(models.TextChoices):
        BEGAN = "began"
        WORSE = "worse"
        REMINDER = "reminder"
        ENDED = "ended"
        LETTER = "letter"
        STATEMENT = "statement"
        TEST = "test"

    recipient = models.ForeignKey(Recipient, on_delete=models.CASCADE, related_name="notices")
    incident = models.ForeignKey(
        Incident, on_delete=models.CASCADE, null=True, related_name="notices"
    )
    event = models.CharField(max_length=10, choices=Event)
    number = models.PositiveIntegerField(default=0)  # of a reminder
    # The message about several servers at once that says this, too.
    told_by = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="tells")
    # Of the incident, when this was written; of a letter, what alerts/letter.py found; of a
    # statement, its number.
    params = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    # When its problems were taken by the link in it, which works once: see alerts/links.py.
    link_used_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("message")
        constraints = [
            models.UniqueConstraint(
                "recipient", "incident", "event", "number", name="nobody_is_told_twice"
            )
        ]
        indexes = [models.Index(fields=["created_at"], condition=Q(sent_at=None), name="unsent")]

    def __str__(self) -> str:
        return f"{self.pk}: {self.event} → {self.recipient}"

    @transaction.atomic
    def queue(self, others: Sequence[Self] = ()) -> None:
        """Saves and enqueues it, as one message that also says what `others` would."""
        self.save()
        for one in others:
            one.told_by, one.sent_at = self, self.created_at
            one.save()
        self.enqueue()

    @property
    def incidents(self) -> list[Incident]:
        """The problems that the message is about."""
        together = [self, *self.tells.select_related("incident").order_by("pk")]
        return [one.incident for one in together if one.incident]

    def claim(self) -> bool:
        return bool(self.saved.filter(sent_at=None).update(attempts=F("attempts") + 1))

    def note_sent(self) -> None:
        self.saved.update(sent_at=timezone.now(), retry_at=None, **failure(None))
        recipient = Recipient.objects.filter(pk=self.recipient_id)
        recipient.update(failing_since=None, **failure(None))

    @transaction.atomic
    def fail(self, error: TransferError) -> None:
        """Notes the failure; the notice is tried again, later and later, for two days."""
        now = timezone.now()
        self.refresh_from_db(fields=["attempts"])
        delay = retry_delay(self.attempts, LONGEST_DELAY)
        self.saved.update(retry_at=now + delay, **failure(error))
        recipient = Recipient.objects.filter(pk=self.recipient_id)
        recipient.update(**failure(error))
        recipient.filter(failing_since=None).update(failing_since=now)
