import pytest
from django.utils import translation

from transfer.text.schedule import HOUR_STEPS, STEPS, Preset, Rhythm, in_words

CRONS = [
    "* * * * *",
    "*/5 * * * *",
    "*/2 * * * *",
    "0 * * * *",
    "7 * * * *",
    "0 */2 * * *",
    "0 */6 * * *",
    "30 */12 * * *",
    "5 14 * * *",
    "30 9 * * 1-5",
    "0 10 * * 6,7",
    "0 9 * * MON",
    "0 9 * * 1,3,5",
    "0 9 * * 0",
    "0 3 15 * *",
    "0 3 31 * *",
]


@pytest.mark.parametrize(
    ("cron", "words"),
    list(
        zip(
            CRONS,
            [
                "every minute",
                "every 5 minutes",
                "every 2 minutes",
                "every hour on the hour",
                "every hour at minute 7",
                "every 2 hours, from 00:00 on",
                "every 6 hours, from 00:00 on",
                "every 12 hours, from 00:30 on",
                "every day at 14:05",
                "on weekdays at 09:30",
                "at weekends at 10:00",
                "on Mondays at 09:00",
                "on Mondays, Wednesdays and Fridays at 09:00",
                "on Sundays at 09:00",
                "on day 15 of every month at 03:00",
                "on day 31 at 03:00, in months that have it",
            ],
            strict=True,
        )
    ),
)
def test_usual_schedules_are_said_in_english(cron, words):
    with translation.override("en"):
        assert in_words(cron) == words


@pytest.mark.parametrize(
    ("cron", "words"),
    list(
        zip(
            CRONS,
            [
                "каждую минуту",
                "каждые 5 минут",
                "каждые 2 минуты",
                "каждый час, в начале часа",
                "каждый час на 7-й минуте",
                "каждые 2 часа, начиная с 00:00",
                "каждые 6 часов, начиная с 00:00",
                "каждые 12 часов, начиная с 00:30",
                "каждый день в 14:05",
                "по будням в 09:30",
                "по выходным в 10:00",
                "по понедельникам в 09:00",
                "по понедельникам, средам и пятницам в 09:00",
                "по воскресеньям в 09:00",
                "15-го числа каждого месяца в 03:00",
                "31-го числа в 03:00, если оно есть в месяце",
            ],
            strict=True,
        )
    ),
)
def test_usual_schedules_are_said_in_russian(cron, words):
    with translation.override("ru"):
        assert in_words(cron) == words


@pytest.mark.parametrize(
    "cron",
    [
        "*/7 * * * *",  # 56 → 0 are four minutes
        "0 8-20 * * *",
        "0,30 * * * *",
        "0 9 1 * 1",
        "0 9 * 1 *",
        "0 9 L * *",
        "0 9 * * MON#1",
        "0 9 * * 5-1",
        "0 */5 * * *",  # 20 → 0 are four hours
        "* */6 * * *",
        "0 */6 * * 1-5",
        "nonsense",
    ],
)
def test_any_other_schedule_is_shown_as_it_is(cron):
    with translation.override("en"):
        assert Preset.of(cron) is None
        assert in_words(cron) == f"by the schedule cron {cron}"


@pytest.mark.parametrize(
    "preset",
    [
        *[Preset(Rhythm.MINUTES, step=step) for step in STEPS],
        Preset(Rhythm.HOURLY, minute=59),
        *[Preset(Rhythm.HOURS, hours=hours, minute=30) for hours in HOUR_STEPS],
        Preset(Rhythm.DAILY, minute=5, hour=14),
        Preset(Rhythm.WEEKLY, minute=5, hour=14, weekdays=(1, 4, 7)),
        Preset(Rhythm.WEEKLY, minute=5, hour=14, weekdays=(6, 7)),
        Preset(Rhythm.MONTHLY, minute=5, hour=14, day=31),
    ],
)
def test_a_preset_becomes_cron_and_comes_back(preset):
    assert Preset.of(preset.cron) == preset


@pytest.mark.parametrize(
    ("cron", "same"), [("0 9 * * 0-6", "0 9 * * *"), ("0 9 * * SAT,SUN", "0 9 * * 6,7")]
)
def test_different_spellings_are_the_same_preset(cron, same):
    assert Preset.of(cron) == Preset.of(same) is not None
