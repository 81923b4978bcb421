"""What the pages are drawn with."""

from datetime import UTC, datetime
from html import unescape

import pytest
from django.utils import translation

from transfer.pages.drawing import commands, moment, state_badge, state_icon
from transfer.pages.history.charts import Series, StackedBars
from transfer.pages.registers.drawing import account_badge
from transfer.pages.rejects.tables import reason_of


def whole(option: str) -> str:
    return f'<span class="nowrap">{option}</span>'


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Сделайте: manage.py crontab add", "Сделайте: <code>manage.py crontab add</code>"),
        ("See: manage.py rebase_shop_all. It", "See: <code>manage.py rebase_shop_all</code>. It"),
        (
            "manage.py set_position 'БС 2' cards --batch N, or --start",
            "<code>manage.py set_position &#x27;БС 2&#x27; cards "
            f"{whole('--batch')} N</code>, or <code>{whole('--start')}</code>",
        ),
        ("<b>well-known</b>", "&lt;b&gt;well-known&lt;/b&gt;"),
    ],
)
def test_a_command_in_a_sentence_stands_as_code_and_its_options_are_whole(text, drawn):
    assert commands(text) == drawn


@pytest.mark.parametrize(
    ("draw", "what"),
    [
        (state_badge, "failed"),
        (state_icon, "failed"),
        (account_badge, "offline"),
        (reason_of, "account_missing"),
    ],
)
def test_what_is_kept_of_a_drawing_is_kept_of_one_language(draw, what):
    drawn = {}
    for language in ("en", "ru", "en"):
        with translation.override(language):
            drawn.setdefault(language, draw(what))
            assert draw(what) == drawn[language]
    assert drawn["en"] != drawn["ru"]


def test_a_moment_tells_machines_the_second_and_no_more():
    """HTML allows three digits of a fraction, and Python writes six."""
    drawn = moment(datetime(2026, 7, 1, 12, 0, 30, 471100, tzinfo=UTC))
    assert 'datetime="2026-07-01T12:00:30+00:00"' in drawn


def test_what_a_chart_says_is_escaped():
    chart = StackedBars("", ["<b>"], [Series("Applied", "ok", [1])], urls=["?a=1&b=<i>"])
    (bar,) = chart.bars()
    for drawn in (bar.drawn, bar.line):
        assert "<b>" not in drawn
        assert "<i>" not in drawn
        assert "<b>" in unescape(drawn)
        assert 'href="?a=1&amp;b=&lt;i&gt;"' in drawn
