"""Pages for approvers, and what pages say about rows that need a second person."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import ngettext

from transfer.access import View
from transfer.approvals.limits import foreseen, words
from transfer.approvals.rows import Rows, of_report
from transfer.models import Person, Upload
from transfer.models.approvers import is_approver, oversees
from transfer.text import formats


def words_of_waiting(rows: int) -> str:
    """Return what a message says of rows that wait instead of being staged."""
    text = ngettext(
        "%(n)s row needs a second person: it is not staged, and waits until somebody approves it.",
        "%(n)s rows need a second person: they are not staged, and wait until somebody approves "
        "them.",
        rows,
    )
    return text % {"n": formats.number(rows)}


def words_of_foreseen(upload: Upload, who: str) -> list[str]:
    """Return why the rows of a preview would wait for a second person if `who` loaded them now.

    Empty if they would not.
    """
    kept = upload.report.get("entered")
    return [] if kept is None else words_of_rows(of_report(upload.kind, kept), who)


def words_of_rows(rows: Rows, who: str) -> list[str]:
    """Return why these rows would wait for a second person if `who` entered them now."""
    return [words(one) for one in foreseen(Person.named(who), rows)]


def for_approvers(view: View) -> View:
    """Open the view to users with the right to approve."""
    return _only(is_approver, view)


def for_overseers(view: View) -> View:
    """Open the view to administrators, and to users with the right to approve."""
    return _only(oversees, view)


def _only(may: Callable[[Any], bool], view: View) -> View:
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not may(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return checked
