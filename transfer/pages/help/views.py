"""The papers of docs/ in the reader's language, with the same links as the files."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from transfer.access import any_user
from transfer.pages.components.papers import paper_parts
from transfer.pages.help.openapi import as_paper

DOCS = settings.BASE_DIR / "docs"


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
    title, text = paper_parts(file.read_text())
    return render(request, "help/paper.html", {"title": title, "text": text})


@require_safe
@any_user
def operations(request: HttpRequest) -> HttpResponse:
    """Shows every call of the API, as the OpenAPI document describes it."""
    title, text = paper_parts(as_paper())
    return render(request, "help/paper.html", {"title": title, "text": text})


@require_safe
@any_user
def picture(request: HttpRequest, language: str, name: str) -> HttpResponse:
    file = DOCS / language / "pictures" / f"{name}.png"
    if not file.is_file():
        raise Http404
    return HttpResponse(file.read_bytes(), content_type="image/png")
