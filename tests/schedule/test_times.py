from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from transfer.schedule import Schedule, validate_schedule

BERLIN = ZoneInfo("Europe/Berlin")
MOSCOW = ZoneInfo("Europe/Moscow")

# In Berlin 2026 the clock skips 2:00–3:00 on 29 March, and has 2:00–3:00 twice on 25 October.
SPRING = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)


def next_after(text, moment, zone):
    return Schedule.parse(text).next_after(moment, zone)


def next_times(text, count, moment, zone):
    return Schedule.parse(text).next_times(count, moment, zone)


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


def test_the_next_time_is_the_earliest_of_all_expressions():
    friday = datetime(2026, 7, 3, 5, 0, tzinfo=UTC)  # 8:00 in Moscow
    times = next_times("0 9 * * 1-5; 30 13 * * 1-5", 4, friday, MOSCOW)
    assert [f"{at:%a %H:%M}" for at in times] == [
        "Fri 09:00",
        "Fri 13:30",
        "Mon 09:00",
        "Mon 13:30",
    ]


def test_a_time_that_two_expressions_name_comes_once():
    start = datetime(2026, 7, 1, 6, 45, tzinfo=UTC)
    times = next_times("*/15 8-20 * * *; 0 * * * *", 3, start, MOSCOW)
    assert [f"{at:%H:%M}" for at in times] == ["10:00", "10:15", "10:30"]


@pytest.mark.parametrize("start", [SPRING, AUTUMN])
def test_several_expressions_are_later_and_later_over_a_change_of_the_clock(start):
    cron = "30 2 * * *; 0 3 * * *; */20 1-3 * * *; 10 2 * * *"
    times = [at.astimezone(UTC) for at in next_times(cron, 40, start, BERLIN)]
    assert times == sorted(set(times))


def test_expressions_are_separated_by_semicolons_or_lines_and_kept_as_one_text():
    lines = Schedule.parse(" 0  9 * * 1-5 \r\n\n30 13 * * 1-5\n")
    assert lines == Schedule.parse("0 9 * * 1-5;30 13 * * 1-5;")
    assert str(lines) == "0 9 * * 1-5; 30 13 * * 1-5"


def test_of_several_expressions_the_sentence_names_the_wrong_one():
    assert problems("0 9 * * *; 0 25 * * *") == {
        "hour": "“0 25 * * *”: Hour: “25” won’t do. Give 0–23, *, */2, 8-20 or 9,18."
    }


def test_an_expression_that_is_given_twice_is_refused():
    assert problems("0 9 * * *; 0 18 * * *; 0  9 * * *") == {
        "twice": "The cron expression “0 9 * * *” is given twice. Remove one of them."
    }


def test_a_schedule_has_at_most_24_expressions():
    hours = [f"0 {hour} * * *" for hour in range(24)]
    validate_schedule(";".join(hours))
    assert problems(";".join([*hours, "30 9 * * *"])) == {
        "many": "A schedule has up to 24 cron expressions. Here are 25."
    }


def test_a_schedule_that_is_too_long_to_be_stored_is_refused():
    minutes = ",".join(map(str, range(60)))
    text = ";".join(f"{minutes} {hour} * * *" for hour in range(8))
    assert list(problems(text)) == ["long"]
