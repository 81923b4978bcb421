"""The papers of docs/, in the reader's language; links lead there as they do among the files."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.utils.translation import get_language
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt

from transfer.access import any_user

DOCS = settings.BASE_DIR / "docs"
# HTML in them is ours: what headings are found by.
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


@require_safe
@any_user
def contents(request: HttpRequest) -> HttpResponse:
    return redirect("help_paper", language=get_language(), name="README")


@require_safe
@any_user
def paper(request: HttpRequest, name: str, language: str = "") -> HttpResponse:
    """One file; of those that are in two languages, the one in the reader's."""
    if language not in ("", get_language()):
        return redirect("help_paper", language=get_language(), name=name)
    file = DOCS / language / f"{name}.md"
    if not file.is_file():
        raise Http404
    _open, title, _close, *tokens = MARKDOWN.parse(file.read_text())
    text = mark_safe(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))  # noqa: S308 - ours
    return render(request, "help/paper.html", {"title": title.content, "text": text})


@require_safe
@any_user
def picture(request: HttpRequest, language: str, name: str) -> HttpResponse:
    file = DOCS / language / "pictures" / f"{name}.png"
    if not file.is_file():
        raise Http404
    return HttpResponse(file.read_bytes(), content_type="image/png")
