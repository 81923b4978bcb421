"""The papers of docs/: Markdown as HTML."""

from django.utils.safestring import mark_safe
from markdown_it import MarkdownIt

from transfer.pages.html import Html

# The papers are part of the product. The HTML in them is the anchors of headings.
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


def paper_parts(text: str) -> tuple[str, Html]:
    """The title of a paper, which is its first heading, and the rest of it."""
    _open, title, _close, *tokens = MARKDOWN.parse(text)
    rest = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
    return title.content, mark_safe(rest)  # noqa: S308 - ours
