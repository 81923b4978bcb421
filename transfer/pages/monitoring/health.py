"""Health checks for machines: of this process, and of the product as a whole."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from transfer.doctor.schema import pending_migrations, refusal, unknown_migrations
from transfer.problems.kinds import Code
from transfer.problems.of_background import problems_of_background
from transfer.problems.problem import Problem
from transfer.problems.signs import signs
from transfer.text.explain import explain

CHECKS = {
    "schedule": (Code.SCHEDULER_NEVER, Code.SCHEDULER, Code.CLOCK),
    "queue": (Code.QUEUE,),
}
# The product goes on, and somebody has to look. By their codes: what is wrong may name servers.
WARNINGS = (Code.TWO_SCHEDULERS, Code.PAGES, Code.MAIL, Code.CERTIFICATE, Code.BACKUP)


@login_not_required
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers. Asks no database."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
@never_cache
def database(request: HttpRequest) -> HttpResponse:
    """200 when our own database answers, else 503. Open pages ask this every few seconds."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except Error:
        return JsonResponse({"status": "failing"}, status=503)
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """200 if our own database answers and has this version, the schedule runs and the queue moves;
    else 503.

    The answer has "ok" or the problem of each check, in English, and the codes of warnings.
    """
    try:
        checks = {"database": "ok", "schema": schema(), **background()}
    except Error as error:
        checks = {"database": type(error).__name__}
    well = all(value == "ok" for name, value in checks.items() if name != "warnings")
    answer = {"status": "ok" if well else "failing", **checks}
    return JsonResponse(answer, status=200 if well else 503)


def schema() -> str:
    if unknown := unknown_migrations():
        with override("en"):
            return explain(refusal(unknown)).sentence
    pending = pending_migrations()
    return f"{pending[0]} is not applied" if pending else "ok"


def background() -> dict[str, Any]:
    """The worst problem of the schedule and of the queue, or "ok"; and what else needs a look."""
    now = timezone.now()
    listed = problems_of_background(now, signs(now))
    found = {one.code: one for one in listed if isinstance(one, Problem)}
    with override("en"):
        checks: dict[str, Any] = {
            name: next((found[code].sentence for code in codes if code in found), "ok")
            for name, codes in CHECKS.items()
        }
    return {**checks, "warnings": [str(code) for code in WARNINGS if code in found]}
