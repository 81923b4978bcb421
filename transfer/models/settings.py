import zoneinfo
from datetime import time
from functools import cache
from typing import Any, Self
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils.translation import gettext as _, gettext_lazy

from transfer.access import Role
from transfer.models.audit import Actor, AuditEntry

DAYS = [MinValueValidator(1), MaxValueValidator(36_500)]
AMOUNT = [MinValueValidator(1), MaxValueValidator(10**15)]
# Who must have a second factor: the lowest role that must, and 0 for nobody.
REQUIRED_OF = [
    (0, gettext_lazy("nobody")),
    (Role.ADMINISTRATOR.value, gettext_lazy("administrators")),
    (Role.OPERATOR.value, gettext_lazy("operators and administrators")),
    (Role.VIEWER.value, gettext_lazy("everyone")),
]
known_zones = cache(zoneinfo.available_timezones)  # it opens six hundred files


def amount_limit(name: Any, help_text: Any = "") -> models.PositiveBigIntegerField:
    """A limit of amounts, up or down. Empty: none."""
    return models.PositiveBigIntegerField(
        name, null=True, blank=True, validators=AMOUNT, help_text=help_text
    )


class SettingsChangedMeanwhile(Exception):
    """Somebody else has changed the settings since the page was opened: see `entry`."""

    def __init__(self, entry: AuditEntry | None) -> None:
        self.entry = entry
        super().__init__(str(entry or ""))


def validate_zone(name: str) -> None:
    if name not in known_zones():
        raise ValidationError(
            _("There is no time zone “%(value)s”. Give one such as Europe/Moscow."),
            code="zone",
            params={"value": name},
        )


class Settings(models.Model):
    """What administrators decide, in one row."""

    show_transfer_tasks = models.BooleanField(
        gettext_lazy("show transfer tasks in the scheduler"), default=False
    )
    time_zone = models.CharField(
        gettext_lazy("time zone"),
        max_length=50,
        blank=True,
        validators=[validate_zone],
        help_text=gettext_lazy("Schedules are evaluated in it. Empty: that of the installation."),
    )
    history_days = models.PositiveIntegerField(
        gettext_lazy("days to keep the history"), default=90, validators=DAYS
    )
    failure_days = models.PositiveIntegerField(
        gettext_lazy("days to keep failed runs and those with rejects"),
        default=365,
        validators=DAYS,
    )
    staging_days = models.PositiveIntegerField(
        gettext_lazy("days to keep moved rows in the staging tables"), default=30, validators=DAYS
    )
    pin_days = models.PositiveIntegerField(
        gettext_lazy("days to keep moved PIN codes in the staging table"),
        default=30,
        validators=DAYS,
    )
    log_days = models.PositiveIntegerField(
        gettext_lazy("days to keep the log of shop All"),
        default=60,
        validators=DAYS,
    )
    confirms_by_itself = models.BooleanField(
        gettext_lazy("go on without a question after shop All was restored"),
        default=False,
    )
    reject_days = models.PositiveIntegerField(
        gettext_lazy("days to keep closed rejected rows"), default=365, validators=DAYS
    )
    audit_days = models.PositiveIntegerField(
        gettext_lazy("days to keep the audit and the list of loads"), default=1095, validators=DAYS
    )
    alert_failures = models.PositiveSmallIntegerField(
        gettext_lazy("failures in a row before a notification"),
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
    )
    alert_minutes = models.PositiveIntegerField(
        gettext_lazy("minutes that a row may wait"),
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
    )
    escalation_minutes = models.PositiveIntegerField(
        gettext_lazy("minutes until the next recipient is told of what nobody has taken"),
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
    )
    letter_at = models.TimeField(gettext_lazy("time of the letter of the morning"), default=time(8))
    # One of the bounds of `flow_hours`.
    delay_limit = models.PositiveIntegerField(
        gettext_lazy("time within which 95 of 100 rows have to arrive"),
        null=True,
        blank=True,
        choices=[
            (None, gettext_lazy("not watched")),
            (2, gettext_lazy("2 seconds")),
            (5, gettext_lazy("5 seconds")),
            (10, gettext_lazy("10 seconds")),
            (30, gettext_lazy("30 seconds")),
            (60, gettext_lazy("1 minute")),
            (120, gettext_lazy("2 minutes")),
            (300, gettext_lazy("5 minutes")),
            (900, gettext_lazy("15 minutes")),
            (3600, gettext_lazy("1 hour")),
            (86400, gettext_lazy("1 day")),
        ],
    )
    large_amount = models.PositiveIntegerField(
        gettext_lazy("amount by hand that has to be confirmed twice"),
        default=100_000,
        validators=[MinValueValidator(1)],
    )
    # What goes without a second person: of people, and of keys of the API that have no own limits.
    row_limit = amount_limit(gettext_lazy("largest amount of a row"))
    load_limit = amount_limit(gettext_lazy("largest sum of a load"))
    day_limit = amount_limit(gettext_lazy("largest sum of a person in a day"))
    key_row_limit = amount_limit(gettext_lazy("largest amount of a row by an API key"))
    key_load_limit = amount_limit(gettext_lazy("largest sum of a load by an API key"))
    key_day_limit = amount_limit(gettext_lazy("largest sum of an API key in a day"))
    second_factor_level = models.PositiveSmallIntegerField(
        gettext_lazy("who needs a second factor"), choices=REQUIRED_OF, default=0
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    # What shop All calls this installation.
    installation = models.UUIDField(default=uuid4, editable=False)

    class Meta:
        verbose_name = gettext_lazy("settings")
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="settings_one_row")]

    def __str__(self) -> str:
        return _("Settings")

    @classmethod
    def load(cls) -> Self:
        settings = cls.objects.filter(pk=1).first()
        return settings or cls.objects.get_or_create(pk=1)[0]

    def audit_params(self) -> dict[str, str]:
        return {}

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that schedules are evaluated in."""
        return ZoneInfo(self.time_zone or settings.TIME_ZONE)

    @transaction.atomic
    def change(self, actor: Actor, *, expected_version: int | None = None, **values: Any) -> None:
        """Sets the fields named in `values`. The first time counts, even if nothing changes.

        Raises ValidationError, or SettingsChangedMeanwhile when `version` is not the expected one.
        """
        self.refresh_from_db(from_queryset=type(self).objects.select_for_update())
        if expected_version not in (None, self.version):
            raise SettingsChangedMeanwhile(AuditEntry.objects.about(self).first())
        old = {name: getattr(self, name) for name in values if getattr(self, name) != values[name]}
        if not old and self.version > 1:
            return
        for name in old:
            setattr(self, name, values[name])
        self.version += 1
        self.full_clean()
        self.save(update_fields=[*old, "version"])
        if old:
            new = {name: getattr(self, name) for name in old}
            AuditEntry.record(actor, AuditEntry.Action.SETTINGS, self, old=old, new=new)
        if "time_zone" in old:
            for model in ("TransferTask", "MaintenanceTask"):
                apps.get_model("transfer", model).objects.replan()
