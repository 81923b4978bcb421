"""The papers of docs/ in the reader's language, with the same links as the files."""

from functools import cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, override
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt

from transfer.access import any_user
from transfer.pages.help.openapi import as_paper

DOCS = settings.BASE_DIR / "docs"
# The papers are part of the product. The HTML in them is the anchors of headings.
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


@cache  # of some thirty papers, which are those of this version
def title_and_html(text: str) -> tuple[str, str]:
    """Return the title of a paper, which is its first heading, and the HTML of the rest of it."""
    _open, title, _close, *tokens = MARKDOWN.parse(text)
    return title.content, MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})


@require_safe
@any_user
def contents(request: HttpRequest) -> HttpResponse:
    return redirect("help_paper", language=get_language(), name="README")


@require_safe
@any_user
def paper(request: HttpRequest, name: str, language: str = "") -> HttpResponse:
    """Shows one paper, in the reader's language if it exists in two."""
    if language not in ("", get_language()):
        return redirect("help_paper", language=get_language(), name=name)
    file = DOCS / language / f"{name}.md"
    if not file.is_file():
        raise Http404
    title, html = title_and_html(file.read_text())
    return render(request, "help/paper.html", {"title": title, "html": html})


@require_safe
@any_user
def operations(request: HttpRequest) -> HttpResponse:
    """Shows every call of the API, as the OpenAPI document describes it."""
    title, html = title_and_html(_operations(get_language()))
    return render(request, "help/paper.html", {"title": title, "html": html})


@cache
def _operations(language: str) -> str:
    with override(language):
        return as_paper()


@require_safe
@any_user
def picture(request: HttpRequest, language: str, name: str) -> HttpResponse:
    file = DOCS / language / "pictures" / f"{name}.png"
    if not file.is_file():
        raise Http404
    return HttpResponse(file.read_bytes(), content_type="image/png")
