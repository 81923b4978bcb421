"""Bonus servers: the list; dock, change, undock."""

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.errors import ServerUndecided, TransferError
from transfer.models import (
    Actor,
    AuditEntry,
    BonusServer,
    CashRegister,
    LeftBehind,
)
from transfer.pages.back import done, read_or_post, refused
from transfer.pages.parts import versions
from transfer.pages.parts.accounts import with_states
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.parts.server_table import ServerTable, lines
from transfer.pages.servers.forms import ServerForm
from transfer.pages.servers.server import TO_TEST
from transfer.pages.shown.task_groups import MANY
from transfer.problems.find import outages_by_server
from transfer.runs.beginning import begin
from transfer.runs.undocking import consequences, question, undock, why_not_now

BEGIN_SECONDS = 5


@require_safe
@versions.refreshed()
def servers(request: HttpRequest) -> HttpResponse:
    """Shows all bonus servers, their states and those of their registers."""
    enabled = Count("tasks", filter=Q(tasks__enabled=True))
    counts = BonusServer.objects.annotate(enabled_tasks=enabled, all_tasks=Count("tasks"))
    listed = counts.order_by("pk")
    counted = with_states(listed, CashRegister.objects.in_use().count())
    rows = lines(counted, outages_by_server(), LeftBehind.objects.servers())
    template = "servers/cards.html" if request.GET.get("part") else "servers/servers.html"
    many = len(rows) >= MANY and ServerTable(rows)
    return render(request, template, {"rows": rows, "many": many})


@role("administrator")
@read_or_post
def add(request: HttpRequest) -> HttpResponse:
    form = ServerForm(request.POST or None)
    if form.is_valid():
        server = form.save(commit=False)
        with transaction.atomic():
            _old, new = form.changes()
            server.dock()
            AuditEntry.record(Actor.of(request), AuditEntry.Action.CREATE, server, new=new)
        request.session[TO_TEST] = server.pk
        words = _("%(server)s is docked. Its tasks are off until you switch them on.")
        asks = begin_positions(request, server)
        next_page = reverse("server_beginning", args=[server.pk]) if asks else server
        return done(request, words % {"server": server}, next_page)
    return render(request, "servers/form.html", {"form": form})


def begin_positions(request: HttpRequest, server: BonusServer) -> bool:
    """Begins a docked server's positions; returns whether something has to be decided first.

    What else prevents it, such as a database that does not answer, the first run tries again.
    """
    asks = False
    for task in server.tasks.select_related("server"):
        try:
            begin(task, Actor.of(request), seconds=BEGIN_SECONDS)
        except ServerUndecided:
            asks = True
        except TransferError:
            break
    return asks


@role("administrator")
@read_or_post
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Changes the settings. `?swap` shows the form with the two ports in each other's place."""
    server = get_object_or_404(BonusServer, pk=pk)
    initial = {}
    if request.method == "GET" and "swap" in request.GET:
        initial = {"admin_port": server.work_port, "work_port": server.admin_port}
    form = ServerForm(request.POST or None, instance=server, initial=initial)
    if form.is_valid():
        old, new = form.changes()
        if not new:
            messages.info(request, _("Nothing was changed."))
            return redirect(server)
        with transaction.atomic():
            form.save()
            AuditEntry.record(Actor.of(request), AuditEntry.Action.CHANGE, server, old=old, new=new)
        return done(request, _("The settings are saved."), server)
    return render(request, "servers/form.html", {"form": form, "server": server})


@role("administrator")
@read_or_post
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Undocks a server. The history, the rejected rows and the audit stay."""
    server = get_object_or_404(BonusServer, pk=pk)
    if why := why_not_now(server):
        return refused(request, why, server)
    if request.method == "POST":
        undock(server, Actor.of(request))
        return done(request, _("%(server)s is undocked.") % {"server": server.name}, "servers")
    text, *points = consequences(server)
    confirmation = Confirmation(
        title=question(server),
        text=text,
        points=points,
        action=_("Undock"),
        back=server.get_absolute_url(),
        back_name=server.name,
        danger=True,
    )
    return ask_to_confirm(request, confirmation)
