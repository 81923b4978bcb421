"""What the pages are drawn with."""

import pytest

from transfer.pages.drawing import commands


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
