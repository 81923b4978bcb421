from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from transfer.schedule import next_after, next_times, validate_schedule

BERLIN = ZoneInfo("Europe/Berlin")
MOSCOW = ZoneInfo("Europe/Moscow")

# In Berlin 2026 the clock skips 2:00–3:00 on 29 March, and has 2:00–3:00 twice on 25 October.
SPRING = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)


def shown(times):
    return [f"{at:%d %H:%M %Z}" for at in times]


def problems(cron):
    with translation.override("en"), pytest.raises(ValidationError) as caught:
        validate_schedule(cron)
    return {error.code: error.messages[0] for error in caught.value.error_list}


def test_a_time_that_the_clock_skips_is_made_up_for_right_after_the_change():
    times = next_times("30 2 * * *", 2, SPRING, BERLIN)
    assert shown(times) == ["29 03:00 CEST", "30 02:30 CEST"]


def test_a_time_that_comes_twice_is_taken_once():
    times = next_times("30 2 * * *", 2, AUTUMN, BERLIN)
    assert shown(times) == ["25 02:30 CEST", "26 02:30 CET"]


def test_in_the_second_pass_of_the_hour_the_first_is_not_named_again():
    between = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 2:10 for the second time
    assert shown(next_times("30 2 * * *", 1, between, BERLIN)) == ["26 02:30 CET"]


@pytest.mark.parametrize("start", [SPRING, AUTUMN])
@pytest.mark.parametrize("cron", ["*/5 * * * *", "* * * * *", "0 * * * *", "30 * * * *"])
def test_schedules_within_the_hour_go_on_in_real_time_over_a_change(cron, start):
    times = [at.astimezone(UTC) for at in next_times(cron, 100, start, BERLIN)]
    assert len({later - earlier for earlier, later in pairwise(times)}) == 1


@pytest.mark.parametrize("start", [SPRING, AUTUMN])
@pytest.mark.parametrize("cron", ["30 2 * * *", "0 3 * * *", "0 0,2,4 * * *", "*/20 2 * * *"])
def test_every_next_time_is_later_from_whatever_second_it_is_asked(cron, start):
    for seconds in range(0, 8 * 3600, 599):
        now = start + timedelta(seconds=seconds)
        assert next_after(cron, now, BERLIN) > now


def test_the_zone_decides_what_nine_o_clock_means():
    now = datetime(2026, 7, 1, tzinfo=UTC)
    assert next_after("0 9 * * *", now, MOSCOW) == now.replace(hour=6)
    assert next_after("0 9 * * *", now, BERLIN) == now.replace(hour=7)


@pytest.mark.parametrize(
    "cron",
    [
        "*/5 * * * *",
        "0,30 8-20 * * MON-FRI",
        "0 4 L * *",
        "0 0 31 * *",
        "15 3 1 JAN *",
        "0 0 29 2 *",
    ],
)
def test_usual_schedules_are_accepted(cron):
    validate_schedule(cron)


@pytest.mark.parametrize(
    ("cron", "field", "word"),
    [
        ("61 * * * *", "minute", "Minute: “61”"),
        ("* 24 * * *", "hour", "Hour: “24”"),
        ("* * 32 * *", "day", "Day of the month: “32”"),
        ("* * * 13 *", "month", "Month: “13”"),
        ("* * * * FUNDAY", "weekday", "Day of the week: “FUNDAY”"),
        ("*/0 * * * *", "minute", "Minute: “*/0”"),
        ("@daily", "fields", "Here are 1."),
        ("0 0 * * * *", "fields", "Here are 6."),
        ("", "fields", "Here are 0."),
        ("0 0 30 2 *", "never", "never comes"),
    ],
)
def test_a_wrong_schedule_is_refused_with_a_sentence_that_names_the_field(cron, field, word):
    sentences = problems(cron)
    assert list(sentences) == [field]
    assert word in sentences[field]


def test_every_wrong_field_is_named_at_once():
    assert list(problems("61 * 0 * 9")) == ["minute", "day", "weekday"]
