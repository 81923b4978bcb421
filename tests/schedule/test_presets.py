import pytest

from transfer.schedule import Schedule
from transfer.schedule.days import EVERY_DAY, HOUR, STEPS
from transfer.schedule.presets import HOUR_STEPS, Preset, Rhythm

NINE, HALF_PAST_ONE, EIGHT = 9 * HOUR, 13 * HOUR + 30, 20 * HOUR


def minutes(**fields):
    return Preset(Rhythm.MINUTES, **{"weekdays": EVERY_DAY, **fields})


@pytest.mark.parametrize(
    "preset",
    [
        *[minutes(step=step) for step in STEPS],
        *[minutes(step=step, begin=NINE, end=EIGHT) for step in STEPS],
        *[minutes(step=step, begin=EIGHT, end=NINE) for step in STEPS],
        minutes(step=15, begin=NINE + 7, end=EIGHT + 7),
        minutes(step=15, begin=NINE + 45, end=EIGHT + 15),
        minutes(step=30, begin=NINE + 59, end=NINE + 89),
        minutes(step=10, begin=EIGHT, end=EIGHT - 20),
        minutes(step=1, begin=NINE + 10, end=NINE + 20),
        minutes(step=15, begin=NINE, end=EIGHT, weekdays=(1, 2, 3, 4, 5)),
        minutes(step=5, weekdays=(6, 7)),
        Preset(Rhythm.HOURLY, minute=59),
        *[Preset(Rhythm.HOURS, hours=hours, minute=30) for hours in HOUR_STEPS],
        Preset(Rhythm.DAILY, times=(NINE,)),
        Preset(Rhythm.DAILY, times=(NINE, HALF_PAST_ONE)),
        Preset(Rhythm.DAILY, times=tuple(hour * HOUR for hour in range(24))),
        Preset(Rhythm.DAILY, times=(0, 6 * HOUR, 12 * HOUR, 18 * HOUR)),
        Preset(Rhythm.WEEKLY, times=(NINE, HALF_PAST_ONE), weekdays=(1, 4, 7)),
        Preset(Rhythm.WEEKLY, times=(NINE,), weekdays=(6, 7)),
        Preset(Rhythm.MONTHLY, times=(NINE, EIGHT), day=31),
    ],
)
def test_a_preset_becomes_cron_and_comes_back(preset):
    preset.schedule.validate()
    assert Preset.of(preset.schedule) == preset


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        (minutes(step=1), "* * * * *"),
        (minutes(step=5), "*/5 * * * *"),
        (minutes(step=5, begin=1, end=23 * HOUR + 56), "1-59/5 * * * *"),
        (minutes(step=15, begin=NINE, end=EIGHT), "*/15 9-19 * * *; 0 20 * * *"),
        (
            minutes(step=15, begin=NINE + 37, end=EIGHT + 30, weekdays=(1, 2, 3, 4, 5)),
            "37-59/15 9 * * 1-5; 7-59/15 10-19 * * 1-5; 7-22/15 20 * * 1-5",
        ),
        (minutes(step=30, begin=22 * HOUR, end=0), "*/30 22,23 * * *; 0 0 * * *"),
        (
            Preset(Rhythm.WEEKLY, times=(NINE, HALF_PAST_ONE)),
            "0 9 * * 1-5; 30 13 * * 1-5",
        ),
        (Preset(Rhythm.WEEKLY, times=(NINE,), weekdays=EVERY_DAY), "0 9 * * *"),
    ],
)
def test_a_preset_has_the_plainest_expressions(preset, text):
    assert str(preset.schedule) == text


@pytest.mark.parametrize(
    ("cron", "same"),
    [
        ("0 9 * * 0-6", "0 9 * * *"),
        ("0 9 1 * 0-6", "0 9 * * *"),  # without "*", cron takes either field
        ("0 9 * * SAT,SUN", "0 9 * * 6,7"),
        ("0,30 * * * *", "*/30 * * * *"),
        ("0,15,30,45 8-19 * * *", "*/15 8-19 * * *"),
        ("0 9,13 * * 1-5", "0 9 * * 1-5; 0 13 * * mon-fri"),
    ],
)
def test_different_spellings_are_the_same_preset(cron, same):
    assert Preset.of(Schedule.parse(cron)) == Preset.of(Schedule.parse(same)) is not None


@pytest.mark.parametrize(
    "cron",
    [
        "*/7 * * * *",  # 56 → 0 are four minutes
        "0 9 1 * 1",
        "0 9 * 1 *",
        "0 9 L * *",
        "0 9 1,15 * *",
        "0 9 * * MON#1",
        "0 9 * * 1-5; 0 11 * * 6",
        "* */6 * * *",
        "*/30 22-23 * * 5; */30 0-5 * * 6",
    ],
)
def test_what_no_preset_says_has_none(cron):
    assert Preset.of(Schedule.parse(cron)) is None
