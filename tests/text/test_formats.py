from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone, translation

from transfer.pages.shown.charts import Series, StackedBars
from transfer.text import formats

NOW = datetime(2026, 11, 24, 11, 5, 33, tzinfo=UTC)


@pytest.fixture(autouse=True)
def english_in_moscow():
    with translation.override("en"), timezone.override("Europe/Moscow"):
        yield


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1234567, "1 234 567"), (-1000, "−1 000"), (None, "—")]
)
def test_numbers_have_thin_spaces(value, text):
    assert formats.number(value).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1234.5", "+1 234.50"),
        ("-0.01", "−0.01"),
        ("0", "0.00"),
        ("-0.000", "0.00"),
        ("949.999", "+949.999"),
        ("-0.0010", "−0.001"),
        ("1E+3", "+1 000.00"),
        ("123456789012345678901234567890.12", "+123 456 789 012 345 678 901 234 567 890.12"),
    ],
)
def test_sums_have_a_sign_and_two_decimals_and_are_never_rounded(value, text):
    assert formats.amount(Decimal(value)).replace("\u202f", " ") == text


def test_sums_have_the_decimal_sign_of_the_language():
    with translation.override("ru"):
        assert formats.amount(Decimal("1.5"), signed=False) == "1,50"


@pytest.mark.parametrize(
    ("seconds", "english", "russian"),
    [
        (2, "just now", "только что"),
        (21, "21 seconds ago", "21 секунду назад"),
        (60, "1 minute ago", "1 минуту назад"),
        (3 * 60, "3 minutes ago", "3 минуты назад"),
        (11 * 3600, "11 hours ago", "11 часов назад"),
        (22 * 86400, "22 days ago", "22 дня назад"),
        (-2 * 3600, "in 2 hours", "через 2 часа"),
        (-5 * 60, "in 5 minutes", "через 5 минут"),
    ],
)
def test_relative_times_have_the_right_plural(seconds, english, russian):
    when = NOW - timedelta(seconds=seconds)
    assert formats.ago(when, now=NOW) == english
    with translation.override("ru"):
        assert formats.ago(when, now=NOW) == russian


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.34, "340 ms"),
        (12.7, "12 s"),
        (125, "2 min 05 s"),
        (timedelta(hours=1, minutes=2), "1 h 02 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
        (None, "—"),
    ],
)
def test_durations_have_two_units(value, text):
    assert formats.duration(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("Europe/Moscow", "MSK"),
        ("Asia/Yekaterinburg", "UTC+5"),
        ("Asia/Kolkata", "IST"),
        ("Asia/Kathmandu", "UTC+5:45"),
        ("America/Sao_Paulo", "UTC−3"),
        ("Europe/Berlin", "CET"),
    ],
)
def test_every_zone_has_a_name(zone, name):
    with timezone.override(zone):
        assert formats.zone_name(NOW) == name


def test_near_days_are_words_and_far_ones_have_their_year():
    today = NOW.date()
    near = [formats.day(today + timedelta(days=days), today=today) for days in (-1, 0, 1, 2)]
    assert near == ["yesterday", "today", "tomorrow", "26\u00a0Nov"]
    assert formats.day(today.replace(year=2025), today=today) == "24\u00a0Nov\u00a02025"


@pytest.mark.parametrize(
    ("days", "english", "russian"),
    [
        (-9, "15 Nov, 14:05 UTC", "15 ноября, 14:05 UTC"),
        (-1, "23 Nov, 14:05 UTC", "23 ноября, 14:05 UTC"),
        (0, "14:05 UTC", "14:05 UTC"),
        (1, "tomorrow, 14:05 UTC", "завтра, 14:05 UTC"),
        (2, "26 Nov, 14:05 UTC", "26 ноября, 14:05 UTC"),
        (60, "23 Jan 2027, 14:05 UTC", "23.01.2027, 14:05 UTC"),
    ],
)
def test_a_moment_after_since_or_until_is_a_time_of_today_or_has_its_day(
    monkeypatch, days, english, russian
):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    when = NOW.replace(hour=14, minute=5) + timedelta(days=days)
    with timezone.override("UTC"):
        assert formats.bound(when, zone=True).replace("\u00a0", " ") == english
        with translation.override("ru"):
            assert formats.bound(when, zone=True).replace("\u00a0", " ") == russian


@pytest.mark.parametrize(
    ("minutes", "english"),
    [
        (10, "from 14:05 to 14:15 UTC today"),
        (10 + 24 * 60, "from 14:05 to tomorrow, 14:15 UTC"),
    ],
)
def test_a_period_names_its_day_once(monkeypatch, minutes, english):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    begin = NOW.replace(hour=14, minute=5)
    with timezone.override("UTC"):
        words = formats.period(begin, begin + timedelta(minutes=minutes))
    assert words.replace("\u00a0", " ") == english


@pytest.mark.parametrize(
    ("largest", "top"), [(0, 1), (1, 1), (3, 5), (6, 10), (1000, 1000), (1001, 2000)]
)
def test_the_scale_of_a_chart_ends_at_a_round_number(largest, top):
    chart = StackedBars("Rows", ["today"], [Series("Applied", "ok", [largest])])
    assert chart.top == top


def test_one_large_hour_is_cut_so_that_the_others_are_not_flat():
    chart = StackedBars("Rows", list("abcd"), [Series("Applied", "ok", [900, 10**6, 300, 600])])
    assert chart.top == 1000
    assert [(bar.label, bar.words) for bar in chart.cut] == [("b", "1\u202f000\u202f000")]
    heights = [sum(segment.height for segment in bar.segments) for bar in chart.bars()]
    assert heights == [90, 100, 30, 60]


@pytest.mark.parametrize("values", [[10**6, 5], [10**6, 0, 0, 0], [900, 300, 600, 4000]])
def test_a_bar_is_not_cut_for_few_others_or_where_it_is_not_far_higher(values):
    chart = StackedBars("Rows", ["h"] * len(values), [Series("Applied", "ok", values)])
    assert chart.cut == []


@pytest.mark.parametrize(
    ("count", "shown"), [(2, [0, 1]), (5, [0, 2, 4]), (25, [0, 6, 12, 18, 24]), (1, [0])]
)
def test_the_labels_under_a_chart_are_spread_evenly(count, shown):
    labels = [str(number) for number in range(count)]
    chart = StackedBars("Rows", labels, [Series("Applied", "ok", [1] * count)])
    assert chart.ticks == [labels[number] for number in shown]


def test_a_handful_of_rejects_beside_a_million_is_still_seen():
    series = [Series("Applied", "ok", [10**6]), Series("Rejected", "warn", [3])]
    (bar,) = StackedBars("Rows", ["today"], series).bars()
    assert [segment.tone for segment in bar.segments] == ["ok", "warn"]
    assert bar.segments[1].height >= 1


@pytest.mark.parametrize(
    ("value", "short"),
    [
        (999_999_999, "999\u202f999\u202f999"),
        (1_001_111_711, "1,0\u00a0млрд"),
        (-12_345_678_901, "\u221212,3\u00a0млрд"),
        (999_999_999_999, "1,0\u00a0трлн"),
        (None, "—"),
    ],
)
def test_a_number_is_shortened_from_a_billion_on(value, short):
    with translation.override("ru"):
        assert formats.short_number(value) == short


@pytest.mark.parametrize(("count", "text"), [(1, "ждёт"), (2, "ждут"), (11, "ждут"), (441, "ждёт")])
def test_one_row_waits_and_several_wait(count, text):
    with translation.override("ru"):
        assert formats.rows_wait(count).endswith(text)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["Бонусный сервер 8", "Бонусный сервер 9"], ["8", "9"]),
        (["БС 1 Север", "БС 2 Юг"], ["1 Север", "2 Юг"]),
        (["БС", "БС 2"], ["БС", "БС 2"]),
        (["Бонусный сервер 8"], ["Бонусный сервер 8"]),
        (["Сервер", "Центр"], ["Сервер", "Центр"]),
        ([], []),
    ],
)
def test_names_are_told_apart_by_what_they_do_not_share(names, short):
    assert list(formats.told_apart(names).values()) == short
