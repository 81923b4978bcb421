"""Pausing a task, and its schedule."""

from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.pages.reasons import reason_field
from transfer.schedule import EVERY_MINUTE, validate_schedule
from transfer.text import formats
from transfer.text.schedule import AS_ROWS_ARRIVE, HOUR_STEPS, STEPS, Preset, Rhythm, weekday_names

MORNING = time(8)


class ReasonForm(forms.Form):
    reason = reason_field(gettext_lazy("Shown beside the switch and in the audit."), required=False)


class LocalMoment(forms.DateTimeInput):
    """The browser's own field for a day and a time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


def next_morning(now: datetime) -> datetime:
    """The next eight o'clock in the user's zone: at night that of the same day."""
    local = timezone.localtime(now)
    days = timedelta(local.time() >= MORNING)
    return datetime.combine(local.date() + days, MORNING, local.tzinfo)


class PauseForm(ReasonForm):
    HOUR, NEXT_MORNING, OTHER = "hour", "morning", "other"

    until = forms.ChoiceField(
        label=gettext_lazy("Pause"), widget=forms.RadioSelect, initial=HOUR, choices=()
    )
    moment = forms.DateTimeField(
        label=gettext_lazy("Until when"), required=False, widget=LocalMoment()
    )
    field_order = ("until", "moment", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = timezone.now()
        hour = formats.moment(now + timedelta(hours=1))
        morning = formats.moment(next_morning(now))
        self.fields["until"].choices = [  # type: ignore[attr-defined]
            (self.HOUR, _("for 1 hour, until %(at)s") % {"at": hour}),
            (self.NEXT_MORNING, _("until %(at)s") % {"at": morning}),
            (self.OTHER, _("until another time")),
        ]
        self.fields["moment"].help_text = _("In your time zone, %(zone)s.") % {
            "zone": formats.zone_name()
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        now = timezone.now()
        match cleaned.get("until"):
            case self.HOUR:
                cleaned["moment"] = now + timedelta(hours=1)
            case self.NEXT_MORNING:
                cleaned["moment"] = next_morning(now)
            case self.OTHER if "moment" not in self.errors:
                self._check(cleaned.get("moment"))
        return cleaned

    def _check(self, moment: datetime | None) -> None:
        if moment is None:
            self.add_error("moment", _("Enter an end time."))
        elif moment <= timezone.now():
            self.add_error("moment", _("The pause has to end in the future."))


def one_of(label: Any, numbers: Iterable[int]) -> forms.Field:
    choices = [(n, n) for n in numbers]
    return forms.TypedChoiceField(label=label, coerce=int, choices=choices, required=False)


def minute_of_the_hour() -> forms.Field:
    label = gettext_lazy("Minute of the hour")
    return forms.IntegerField(label=label, min_value=0, max_value=59, required=False)


def time_of_day() -> forms.Field:
    widget = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    return forms.TimeField(label=gettext_lazy("Time of day"), required=False, widget=widget)


class ScheduleForm(forms.Form):
    """A usual schedule, or a cron expression. Only the fields of the chosen rhythm count.

    `reads_rows`: whether the task may also run as rows arrive.
    """

    CRON, ROWS = "cron", "rows"
    USED: dict[str, tuple[str, ...]] = {
        ROWS: (),
        Rhythm.MINUTES: ("step",),
        Rhythm.HOURLY: ("minute",),
        Rhythm.HOURS: ("hours", "hours_minute"),
        Rhythm.DAILY: ("daily_at",),
        Rhythm.WEEKLY: ("weekdays", "weekly_at"),
        Rhythm.MONTHLY: ("day", "monthly_at"),
        CRON: ("cron",),
    }

    rhythm = forms.ChoiceField(
        label=gettext_lazy("How often"),
        choices=[
            (ROWS, gettext_lazy("As rows arrive, within seconds")),
            (Rhythm.MINUTES, gettext_lazy("Every few minutes")),
            (Rhythm.HOURLY, gettext_lazy("Every hour")),
            (Rhythm.HOURS, gettext_lazy("Every few hours")),
            (Rhythm.DAILY, gettext_lazy("Every day")),
            (Rhythm.WEEKLY, gettext_lazy("On days of the week")),
            (Rhythm.MONTHLY, gettext_lazy("Every month")),
            (CRON, gettext_lazy("By a cron expression")),
        ],
        widget=forms.RadioSelect,
    )
    step = one_of(gettext_lazy("Minutes between two runs"), STEPS)
    minute = minute_of_the_hour()
    hours = one_of(gettext_lazy("Hours between two runs"), HOUR_STEPS)
    hours_minute = minute_of_the_hour()
    daily_at = time_of_day()
    weekdays = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Days of the week"),
        coerce=int,
        choices=weekday_names,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    weekly_at = time_of_day()
    day = forms.IntegerField(
        label=gettext_lazy("Day of the month"), min_value=1, max_value=31, required=False
    )
    monthly_at = time_of_day()
    cron = forms.CharField(
        label=gettext_lazy("Five cron fields"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("Minute, hour, day of the month, month, day of the week."),
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, reads_rows: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not reads_rows:
            choices = self.fields["rhythm"].choices  # type: ignore[attr-defined]
            kept = [choice for choice in choices if choice[0] != self.ROWS]
            self.fields["rhythm"].choices = kept  # type: ignore[attr-defined]

    @classmethod
    def values_of(cls, timing: str) -> dict[str, Any]:
        """The values of the fields for a schedule; those that it does not need have usual ones."""
        is_by_rows = timing == AS_ROWS_ARRIVE
        cron = EVERY_MINUTE if is_by_rows else timing
        preset = Preset.of(cron)
        has_time = preset and preset.rhythm in (Rhythm.DAILY, Rhythm.WEEKLY, Rhythm.MONTHLY)
        known = preset or Preset(Rhythm.MINUTES)
        at = time(known.hour, known.minute) if has_time else MORNING
        return {
            "rhythm": cls.ROWS if is_by_rows else preset.rhythm if preset else cls.CRON,
            "step": known.step,
            "minute": known.minute,
            "hours": known.hours,
            "hours_minute": known.minute,
            "weekdays": list(known.weekdays),
            "day": known.day,
            "cron": cron,
            **dict.fromkeys(("daily_at", "weekly_at", "monthly_at"), at),
        }

    def rhythms(self) -> Iterator[tuple[str, Any, list[forms.BoundField]]]:
        """Yields the value, the words and the fields of each rhythm."""
        for value, label in self.fields["rhythm"].choices:  # type: ignore[attr-defined]
            yield str(value), label, [self[name] for name in self.USED[value]]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        rhythm = cleaned.get("rhythm")
        used = self.USED.get(rhythm, ())  # type: ignore[arg-type]
        for name in set(self.errors) - {"rhythm", *used}:
            del self.errors[name]  # of a field that the rhythm does not need
        for name in used:
            if name not in self.errors and cleaned.get(name) in (None, "", []):
                self.add_error(name, _("This field is required."))
        if rhythm and not self.errors:
            cleaned["schedule"] = self._schedule(rhythm, cleaned)
        return cleaned

    def _schedule(self, rhythm: str, cleaned: dict[str, Any]) -> str:
        if rhythm == self.ROWS:
            return AS_ROWS_ARRIVE
        if rhythm == self.CRON:
            cron = " ".join(str(cleaned["cron"]).split())
            try:
                validate_schedule(cron)
            except forms.ValidationError as error:
                self.add_error("cron", error)
            return cron
        at = cleaned.get(f"{rhythm}_at") or time(0)
        minutes = {Rhythm.HOURLY: "minute", Rhythm.HOURS: "hours_minute"}.get(Rhythm(rhythm))
        return Preset(
            Rhythm(rhythm),
            step=cleaned.get("step") or 5,
            hours=cleaned.get("hours") or 6,
            minute=cleaned[minutes] if minutes else at.minute,
            hour=at.hour,
            weekdays=tuple(cleaned.get("weekdays") or (1,)),
            day=cleaned.get("day") or 1,
        ).cron
