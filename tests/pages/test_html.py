"""What the pages escape by themselves."""

import pytest
from django.utils import html as django
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from transfer.pages import html
from transfer.pages.html import format_words

VALUES = ["<b> & \"'", mark_safe("<b>"), gettext_lazy("“<who>”"), 1234, None, ""]


@pytest.mark.parametrize("value", VALUES)
def test_parts_are_escaped_as_django_does(value):
    template = "<i class='{named}'>{}</i>"
    drawn = html.format_html(template, value, named=value)
    assert drawn == django.format_html(template, value, named=value)
    assert drawn == django.conditional_escape(drawn)
    rows = [(value,), (value,)]
    assert html.format_html_join("<", "{}", rows) == django.format_html_join("<", "{}", rows)


def test_of_a_sentence_words_and_values_are_escaped_and_html_is_not():
    drawn = format_words("%(who)s < %(what)s", who="<b>", what=mark_safe("<i>1</i>"))
    assert drawn == "&lt;b&gt; &lt; <i>1</i>"
