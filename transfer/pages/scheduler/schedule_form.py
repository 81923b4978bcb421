"""The form for a schedule: the usual ones in words, any other one as cron expressions."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import time
from typing import Any

from django import forms
from django.utils.translation import gettext as _, gettext_lazy

from transfer.schedule import EVERY_MINUTE, Schedule
from transfer.schedule.days import EVERY_DAY, HOUR, MOST_TIMES, STEPS
from transfer.schedule.presets import HOUR_STEPS, Preset, Rhythm
from transfer.text.schedule import AS_ROWS_ARRIVE, time_of_day, weekday_names

MORNING = 8 * HOUR
TIME = re.compile(r"([01]?[0-9]|2[0-3])[:.]([0-5][0-9])")


class TimesField(forms.CharField):
    """Times of day such as "09:00, 13:30"; cleaned, they are minutes since midnight, in order."""

    def __init__(self) -> None:
        super().__init__(
            label=gettext_lazy("Times of day"),
            required=False,
            help_text=gettext_lazy("One or several, such as: 09:00, 13:30"),
            widget=forms.TextInput(attrs={"autocomplete": "off"}),
        )

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(time_of_day, value)) if isinstance(value, tuple) else value

    def clean(self, value: Any) -> tuple[int, ...]:
        """Raise ValidationError for what is no time, is given twice or is one too many."""
        words = re.split(r"[,;\s]+", super().clean(value))
        given = Counter(word for word in words if word)
        wrong = [word for word in given if not TIME.fullmatch(word)]
        if wrong:
            sentence = _("“%(value)s” is not a time of day. Enter times such as 09:00, 13:30.")
            raise forms.ValidationError([sentence % {"value": word} for word in wrong])
        times: Counter[int] = Counter()
        for word in given.elements():
            hour, minute = re.split(r"[:.]", word)
            times[int(hour) * HOUR + int(minute)] += 1
        if twice := [at for at, count in times.items() if count > 1]:
            sentence = _("%(time)s is given twice. Remove one of them.")
            raise forms.ValidationError([sentence % {"time": time_of_day(at)} for at in twice])
        if len(times) > MOST_TIMES:
            raise forms.ValidationError(
                _("Enter up to %(most)s times of day. Here are %(count)s.")
                % {"most": MOST_TIMES, "count": len(times)}
            )
        return tuple(sorted(times))


def one_of(label: Any, numbers: Iterable[int], error: Any, help_text: Any = "") -> forms.Field:
    """Return a field with a choice of numbers. `error`: why another number is refused."""
    return forms.TypedChoiceField(
        label=label,
        coerce=int,
        choices=[(n, n) for n in numbers],
        required=False,
        help_text=help_text,
        error_messages={"invalid_choice": error},
    )


def minute_of_the_hour() -> forms.Field:
    label = gettext_lazy("Minute of the hour")
    return forms.IntegerField(label=label, min_value=0, max_value=59, required=False)


def time_of(label: Any) -> forms.Field:
    widget = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    return forms.TimeField(label=label, required=False, widget=widget)


def days_of_the_week() -> forms.Field:
    return forms.TypedMultipleChoiceField(
        label=gettext_lazy("Days of the week"),
        coerce=int,
        choices=weekday_names,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )


class ScheduleForm(forms.Form):
    """A usual schedule, or cron expressions. Only the fields of the chosen rhythm count.

    `reads_rows`: whether the task may also run as rows arrive.
    """

    CRON, ROWS = "cron", "rows"
    USED: dict[str, tuple[str, ...]] = {
        ROWS: (),
        Rhythm.MINUTES: ("step", "begin", "end", "minutes_weekdays"),
        Rhythm.HOURLY: ("minute",),
        Rhythm.HOURS: ("hours", "hours_minute"),
        Rhythm.DAILY: ("daily_at",),
        Rhythm.WEEKLY: ("weekdays", "weekly_at"),
        Rhythm.MONTHLY: ("day", "monthly_at"),
        CRON: ("cron",),
    }
    MISSING: dict[str, Any] = {
        "step": gettext_lazy("Choose the minutes between two runs."),
        "minute": gettext_lazy("Enter the minute of the hour, 0 to 59."),
        "hours": gettext_lazy("Choose the hours between two runs."),
        "hours_minute": gettext_lazy("Enter the minute of the hour, 0 to 59."),
        "day": gettext_lazy("Enter the day of the month, 1 to 31."),
        "cron": gettext_lazy("Enter a cron expression."),
        **dict.fromkeys(
            ("minutes_weekdays", "weekdays"), gettext_lazy("Choose at least one day of the week.")
        ),
        **dict.fromkeys(
            ("daily_at", "weekly_at", "monthly_at"),
            gettext_lazy("Enter at least one time of day, such as 09:00."),
        ),
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
            (CRON, gettext_lazy("By cron expressions")),
        ],
        widget=forms.RadioSelect,
    )
    step = one_of(
        gettext_lazy("Minutes between two runs"),
        STEPS,
        gettext_lazy("“%(value)s” does not divide an hour. Choose one of the listed numbers."),
        gettext_lazy("All day, if “From” and “Until” are empty."),
    )
    begin = time_of(gettext_lazy("From"))
    end = time_of(gettext_lazy("Until"))
    minutes_weekdays = days_of_the_week()
    minute = minute_of_the_hour()
    hours = one_of(
        gettext_lazy("Hours between two runs"),
        HOUR_STEPS,
        gettext_lazy("“%(value)s” does not divide a day. Choose one of the listed numbers."),
    )
    hours_minute = minute_of_the_hour()
    daily_at = TimesField()
    weekdays = days_of_the_week()
    weekly_at = TimesField()
    day = forms.IntegerField(
        label=gettext_lazy("Day of the month"), min_value=1, max_value=31, required=False
    )
    monthly_at = TimesField()
    cron = forms.CharField(
        label=gettext_lazy("Cron expressions"),
        required=False,
        help_text=gettext_lazy(
            "Minute, hour, day of the month, month, day of the week. Up to 24 expressions, each on "
            "a line of its own: the next run is the earliest of their times."
        ),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
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
        schedule = Schedule.parse(EVERY_MINUTE if is_by_rows else timing)
        preset = Preset.of(schedule)
        known = preset or Preset(Rhythm.MINUTES, weekdays=EVERY_DAY)
        is_weekly = known.rhythm == Rhythm.WEEKLY
        return {
            "rhythm": cls.ROWS if is_by_rows else preset.rhythm if preset else cls.CRON,
            "step": known.step,
            "begin": _clock(known.begin),
            "end": _clock(known.end),
            "minutes_weekdays": list(EVERY_DAY if is_weekly else known.weekdays),
            "minute": known.minute,
            "hours": known.hours,
            "hours_minute": known.minute,
            "weekdays": list(known.weekdays if is_weekly else Preset.weekdays),
            "day": known.day,
            "cron": "\n".join(schedule.expressions),
            **dict.fromkeys(("daily_at", "weekly_at", "monthly_at"), known.times or (MORNING,)),
        }

    def rhythms(self) -> Iterator[tuple[str, Any, list[forms.BoundField]]]:
        """Yields the value, the words and the fields of each rhythm."""
        for value, label in self.fields["rhythm"].choices:  # type: ignore[attr-defined]
            yield str(value), label, [self[name] for name in self.USED[value]]

    def problems(self) -> Iterator[tuple[Any, str]]:
        """Yields the label and the sentence of each error."""
        for name, errors in self.errors.items():
            for error in errors:
                yield self.fields[name].label, str(error)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        rhythm = cleaned.get("rhythm")
        used = self.USED.get(rhythm, ())  # type: ignore[arg-type]
        for name in set(self.errors) - {"rhythm", *used}:
            del self.errors[name]  # of a field that the rhythm does not need
        for name in used:
            is_empty = cleaned.get(name) in (None, "", [], ())
            if is_empty and name in self.MISSING and name not in self.errors:
                self.add_error(name, self.MISSING[name])
        if rhythm == Rhythm.MINUTES and not self.errors:
            self._check_period(cleaned)
        if rhythm and not self.errors:
            cleaned["schedule"] = self._schedule(rhythm, cleaned)
        return cleaned

    def _check_period(self, cleaned: dict[str, Any]) -> None:
        """Name what is wrong with the begin and the end of a period of the day."""
        begin, end = cleaned.get("begin"), cleaned.get("end")
        if begin is None and end is None:
            return
        if begin is None or end is None:
            missing = "begin" if begin is None else "end"
            self.add_error(missing, _("Enter both “From” and “Until”, or neither."))
        elif begin == end:
            self.add_error(
                "end", _("“Until” has to differ from “From”. Leave both empty for all day.")
            )
        elif end < begin and len(cleaned["minutes_weekdays"]) < len(EVERY_DAY):
            sentence = _(
                "From %(begin)s to %(end)s goes past midnight. Choose all days of the week, or a "
                "“Until” that is later than “From”."
            )
            self.add_error("end", sentence % {"begin": f"{begin:%H:%M}", "end": f"{end:%H:%M}"})
        elif 0 < _since_midnight(end) - _since_midnight(begin) < cleaned["step"]:
            sentence = _("“Until” has to be later than “From” by %(step)s minutes or more.")
            self.add_error("end", sentence % {"step": cleaned["step"]})

    def _schedule(self, rhythm: str, cleaned: dict[str, Any]) -> str:
        if rhythm == self.ROWS:
            return AS_ROWS_ARRIVE
        if rhythm == self.CRON:
            schedule = Schedule.parse(cleaned["cron"])
            try:
                schedule.validate()
            except forms.ValidationError as error:
                self.add_error("cron", error)
            return str(schedule)
        minute = {Rhythm.HOURLY: "minute", Rhythm.HOURS: "hours_minute"}.get(Rhythm(rhythm), "")
        days = {Rhythm.MINUTES: "minutes_weekdays"}.get(Rhythm(rhythm), "weekdays")
        preset = Preset(
            Rhythm(rhythm),
            step=cleaned.get("step") or 5,
            begin=_since_midnight(cleaned.get("begin")),
            end=_since_midnight(cleaned.get("end")),
            hours=cleaned.get("hours") or 6,
            minute=cleaned.get(minute) or 0,
            times=cleaned.get(f"{rhythm}_at") or (),
            weekdays=tuple(cleaned.get(days) or ()),
            day=cleaned.get("day") or 1,
        )
        return str(preset.schedule)


def _since_midnight(at: time | None) -> Any:
    """The minutes since midnight; None for None."""
    return None if at is None else at.hour * HOUR + at.minute


def _clock(minutes: int | None) -> time | None:
    return None if minutes is None else time(minutes // HOUR, minutes % HOUR)
