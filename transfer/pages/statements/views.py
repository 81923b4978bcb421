"""Kept statements: the list, one of them for paper, and its files."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.errors import TransferError
from transfer.models import Actor, Statement
from transfer.pages.back import done, read_or_post
from transfer.pages.exports import file_response
from transfer.pages.statements.forms import PeriodForm
from transfer.pages.statements.tables import StatementTable
from transfer.statements import words
from transfer.statements.keep import content_of, make
from transfer.statements.workbook import sheets
from transfer.text import formats

SECONDS = 60.0
"""That somebody waits for shop All."""


@require_safe
def statements(request: HttpRequest) -> HttpResponse:
    table = StatementTable(Statement.objects.defer("document")).paged(request)
    return render(request, "statements/statements.html", {"table": table})


@role("operator")
@read_or_post
def make_statement(request: HttpRequest) -> HttpResponse:
    """Make the statement of a period that somebody has chosen."""
    form = PeriodForm(request.POST or None)
    if form.is_valid():
        period, server = form.cleaned_data["period"], form.cleaned_data["server"]
        try:
            made = make(period, server, Actor.of(request), seconds=SECONDS)
        except TransferError as error:
            form.refuse(error)
        else:
            words = _("Statement %(n)s was made. Its digest is %(digest)s")
            return done(request, words % {"n": made.number, "digest": made.digest}, made)
    return render(request, "statements/make.html", {"form": form})


@require_safe
def statement(request: HttpRequest, number: int) -> HttpResponse:
    made = get_object_or_404(Statement, number=number)
    content = content_of(made)
    context = {
        "statement": made,
        "first": formats.day_in_numbers(made.first),
        "last": formats.day_in_numbers(made.last),
        "content": content,
        "kinds": words.kinds(content),
        "changes": words.changes(content),
        "outside": words.outside(content),
        "since": [(one, words.answer(one)) for one in content["since"]],
        "restores": [(one, words.answer(one)) for one in content["restores"]],
        "answers": [(one, words.answer(one)) for one in content["answers"]],
        "troubles": [
            (one, words.trouble(one)) for one in (*content["outages"], *content["differences"])
        ],
    }
    return render(request, "statements/statement.html", context)


@require_safe
def signed_file(request: HttpRequest, number: int) -> HttpResponse:
    """The signed file, byte for byte."""
    made = get_object_or_404(Statement, number=number)
    response = HttpResponse(made.document.encode(), content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="statement-{number}.json"'
    return response


@require_safe
def workbook(request: HttpRequest, number: int) -> HttpResponseBase:
    """The figures, and the rejected rows that were open, as a workbook."""
    made = get_object_or_404(Statement, number=number)
    return file_response(request, f"statement-{number}", "xlsx", *sheets(content_of(made)))
