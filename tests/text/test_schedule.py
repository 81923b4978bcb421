import pytest
from django.utils import translation

from transfer.text.schedule import in_words

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
    "1-59/5 * * * *",
    "0 9 * * 1-5; 30 13 * * 1-5",
    "0 9,13,18 * * *",
    "*/15 8-19 * * *; 0 20 * * *",
    "*/15 8-19 * * 1-5",
    "*/30 22-23 * * *; */30 0-5 * * *; 0 6 * * *",
    "0 8-20 * * 6,7",
    "30 8-20/2 * * *",
    "*/10 * * * MON,WED",
    "*/7 * * * *",
    "0 9 * * 1-5; 30 11 * * 6,7",
    "0 9 L * *",
    "0 9 1,15 * *",
    "0 */6 1,15 * *",
    "*/5 9-17 * * *; */30 18-23 * * *",
    "; ".join(f"15 {hour} * * 1-5" for hour in range(24)),
    "0 8,9,10,11 * * *",
    "0 9 * 1,7 1-5",
    "0 3 15 JAN *",
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
                "every 5 minutes, from 00:01 on",
                "on weekdays at 09:00 and 13:30",
                "every day at 09:00, 13:00 and 18:00",
                "every 15 minutes from 08:00 to 20:00",
                "every 15 minutes from 08:00 to 19:45, on weekdays",
                "every 30 minutes from 22:00 to 06:00",
                "every hour from 08:00 to 20:00, at weekends",
                "every 2 hours from 08:30 to 20:30",
                "every 10 minutes, on Mondays and Wednesdays",
                "every hour at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56",
                "on weekdays at 09:00; at weekends at 11:30",
                "on the last day of every month at 09:00",
                "on the days 1 and 15 of every month at 09:00",
                "every 6 hours, from 00:00 on, on the days of every month: 1 and 15",
                "every 5 minutes from 09:00 to 17:55; every 30 minutes from 18:00 to 23:30",
                "every hour at minute 15, on weekdays",
                "every day at 08:00, 09:00, 10:00 and 11:00",
                "on weekdays at 09:00, in January and July",
                "on day 15 of January at 03:00",
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
                "каждые 5 минут, начиная с 00:01",
                "по будням в 09:00 и 13:30",
                "каждый день в 09:00, 13:00 и 18:00",
                "каждые 15 минут с 08:00 до 20:00",
                "каждые 15 минут с 08:00 до 19:45, по будням",
                "каждые 30 минут с 22:00 до 06:00",
                "каждый час с 08:00 до 20:00, по выходным",
                "каждые 2 часа с 08:30 до 20:30",
                "каждые 10 минут, по понедельникам и средам",
                "каждый час, на минутах 0, 7, 14, 21, 28, 35, 42, 49 и 56",
                "по будням в 09:00; по выходным в 11:30",
                "в последний день каждого месяца в 09:00",
                "каждый месяц по числам 1 и 15 в 09:00",
                "каждые 6 часов, начиная с 00:00, каждый месяц по числам 1 и 15",
                "каждые 5 минут с 09:00 до 17:55; каждые 30 минут с 18:00 до 23:30",
                "каждый час на 15-й минуте, по будням",
                "каждый день в 08:00, 09:00, 10:00 и 11:00",
                "по будням в 09:00, в течение января и июля",
                "15-го числа января в 03:00",
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
        "*/7 9-18 * * *",  # 56 → 0 are four minutes
        "0 9 1 * 1",  # on the first, and on Mondays
        "0 9 * * MON#1",
        "0 9 * * 5-1",
        "* */6 * * *",
        "0 9 * * *; 0 9 * * MON#1",
        "nonsense",
    ],
)
def test_any_other_schedule_is_shown_as_it_is(cron):
    with translation.override("en"):
        assert in_words(cron) == f"by the schedule cron {cron}"
