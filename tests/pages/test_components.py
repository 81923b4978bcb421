"""Components: the pieces of HTML that pages repeat."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from django import forms
from django.conf import settings
from django.utils import translation
from django.utils.safestring import mark_safe

from transfer.models import BonusServer, RejectedRow, Upload
from transfer.models.accounts import AccountState
from transfer.models.alerts import Severity
from transfer.models.run_base import State
from transfer.pages.components.basic import commands
from transfer.pages.components.charts import bar_line, bar_value
from transfer.pages.components.registers import account_badge
from transfer.pages.components.rows import reason_of
from transfer.pages.components.states import state_badge, state_icon
from transfer.pages.components.times import moment
from transfer.pages.fields import DrawnHidden, DrawnPassword, DrawnText
from transfer.pages.html import format_words
from transfer.pages.shown.charts import Series, StackedBars
from transfer.pages.shown.looks import LOOKS, TONES

MODELS = {
    "run": State,
    "account": AccountState,
    "server": BonusServer.State,
    "reject": RejectedRow.State,
    "upload": Upload.State,
    "problem": Severity,
}


def whole(option: str) -> str:
    return f'<span class="nowrap">{option}</span>'


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Сделайте: manage.py crontab add", "Сделайте: <code>manage.py crontab add</code>"),
        ("See: manage.py confirm_shop_all. It", "See: <code>manage.py confirm_shop_all</code>. It"),
        (
            "manage.py begin 'БС 2' cards --as N, or --own",
            "<code>manage.py begin &#x27;БС 2&#x27; cards "
            f"{whole('--as')} N</code>, or <code>{whole('--own')}</code>",
        ),
        ("<b>well-known</b>", "&lt;b&gt;well-known&lt;/b&gt;"),
    ],
)
def test_a_command_in_a_sentence_is_code_and_its_options_do_not_break(text, drawn):
    assert commands(text) == drawn


@pytest.mark.parametrize(
    ("draw", "what"),
    [
        (state_badge, ("run", "failed")),
        (state_icon, ("run", "failed")),
        (account_badge, ("offline",)),
        (reason_of, ("account_missing",)),
    ],
)
def test_a_component_is_kept_for_each_language(draw, what):
    drawn = {}
    for language in ("en", "ru", "en"):
        with translation.override(language):
            drawn.setdefault(language, draw(*what))
            assert draw(*what) == drawn[language]
    assert drawn["en"] != drawn["ru"]


def test_a_moment_has_no_microseconds():
    """HTML allows three digits of a fraction; Python writes six."""
    drawn = moment(datetime(2026, 7, 1, 12, 0, 30, 471100, tzinfo=UTC))
    assert 'datetime="2026-07-01T12:00:30+00:00"' in drawn


def test_the_words_of_a_chart_are_escaped():
    chart = StackedBars("", ["<b>"], [Series("Applied", "ok", [1])], urls=["?a=1&b=<i>"])
    (bar,) = chart.bars()
    for drawn in (bar_value(bar, chart.width), bar_line(bar)):
        assert "<b>" not in drawn
        assert "<i>" not in drawn
        assert "<b>" in unescape(drawn)
        assert 'href="?a=1&amp;b=&lt;i&gt;"' in drawn


def test_words_and_values_of_a_sentence_are_escaped_and_html_is_not():
    drawn = format_words("%(who)s < %(what)s", who="<b>", what=mark_safe("<i>1</i>"))
    assert drawn == "&lt;b&gt; &lt; <i>1</i>"


@pytest.mark.parametrize("of", MODELS)
def test_each_state_of_a_model_has_a_badge_with_its_word(of):
    for state in MODELS[of]:
        assert f"</svg>{state.label}</span>" in state_badge(of, state.value)


def test_each_look_has_a_tone_that_is_coloured_and_an_icon_that_is_drawn():
    drawn = set(re.findall(r'id="([\w-]+)"', (settings.BASE_DIR / "static/icons.svg").read_text()))
    for looks in LOOKS.values():
        for look in looks.values():
            assert look.tone in (*TONES, "coming")
            assert look.icon in drawn


@pytest.mark.parametrize(
    ("drawn", "djangos"),
    [
        (DrawnText, forms.TextInput),
        (DrawnPassword, forms.PasswordInput),
        (DrawnHidden, forms.HiddenInput),
    ],
)
@pytest.mark.parametrize("value", [None, "", "4100", 7, '"><script>&amp;', "Ёж  «a»"])
def test_a_field_that_a_page_has_by_the_hundred_is_as_django_draws_it(drawn, djangos, value):
    own = {"autocomplete": "off", "maxlength": 1000, "title": 'a "b" <c>', "hidden": False}
    given = {"id": "id_x", "required": True, "aria-invalid": "true"}
    assert drawn(own).render("r1-x", value, given) == djangos(own).render("r1-x", value, given)
