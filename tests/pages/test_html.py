"""Sentences with HTML in them."""

from django.utils.safestring import mark_safe

from transfer.pages.html import format_words


def test_of_a_sentence_words_and_values_are_escaped_and_html_is_not():
    drawn = format_words("%(who)s < %(what)s", who="<b>", what=mark_safe("<i>1</i>"))
    assert drawn == "&lt;b&gt; &lt; <i>1</i>"
