"""Whether this process lives, and whether the product as a whole does its work: for machines."""

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from transfer.doctor.schema import pending_migrations, unknown_migrations
from transfer.models import Heartbeat
from transfer.runs import workers


@login_not_required
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers. Asks no database."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """200 when our own database answers and is of this version, the schedule is alive and the
    queue moves; else 503.

    The answer names each check with "ok" or what is wrong, in English.
    """
    try:
        checks = {"database": "ok", "schema": schema(), "schedule": schedule(), "queue": queue()}
    except DatabaseError as error:
        checks = {"database": type(error).__name__}
    well = set(checks.values()) == {"ok"}
    answer = {"status": "ok" if well else "failing", **checks}
    return JsonResponse(answer, status=200 if well else 503)


def schema() -> str:
    if unknown := unknown_migrations():
        return f"a newer version has applied {unknown[0]}"
    pending = pending_migrations()
    return f"{pending[0]} is not applied" if pending else "ok"


def schedule() -> str:
    beat = Heartbeat.last()
    if beat is None:
        return "has never run"
    return "ok" if beat.is_alive() else f"silent since {beat.at:%Y-%m-%dT%H:%M:%SZ}"


def queue() -> str:
    since = workers.stuck_since()
    return f"the oldest entry waits since {since:%Y-%m-%dT%H:%M:%SZ}" if since else "ok"
