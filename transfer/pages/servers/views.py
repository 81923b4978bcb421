"""Bonus servers: the list; dock, change, undock."""

from contextlib import suppress

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.errors import TransferError
from transfer.models import Actor, AuditEntry, BonusServer, CashRegister, IssuedSecret
from transfer.models.run_base import OPEN_STATES, State
from transfer.pages.back import done, read_or_post, refused
from transfer.pages.registers.counts import with_states
from transfer.pages.servers.forms import ServerForm
from transfer.pages.servers.server import TO_TEST
from transfer.runs.backlog import AT_FIRST_SIGHT
from transfer.runs.positions import QUESTIONS, begin
from transfer.runs.purge import retire_readers
from transfer.text import formats

BEGIN_SECONDS = 5


@require_safe
def servers(request: HttpRequest) -> HttpResponse:
    """Shows all bonus servers, their states and those of their registers."""
    enabled = Count("tasks", filter=Q(tasks__enabled=True))
    listed = BonusServer.objects.annotate(enabled_tasks=enabled).order_by("pk")
    in_use = CashRegister.objects.in_use().count()
    template = "servers/cards.html" if request.GET.get("part") else "servers/servers.html"
    return render(request, template, {"rows": with_states(listed, in_use)})


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
        words = _("%(server)s is docked. Its three tasks are off until you switch them on.")
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
        except QUESTIONS:
            asks = True
        except TransferError:
            break
    return asks


@role("administrator")
@read_or_post
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    server = get_object_or_404(BonusServer, pk=pk)
    form = ServerForm(request.POST or None, instance=server)
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
    context = {
        "title": _("Undock %(server)s?") % {"server": server},
        "text": _("Nothing is moved to it any more, and its settings and secrets are deleted."),
        "points": consequences(server),
        "action": _("Undock"),
        "back": reverse("server", args=[pk]),
        "danger": True,
    }
    return render(request, "confirm.html", context)


def why_not_now(server: BonusServer) -> str:
    """What runs on the server and has to end first."""
    if server.runs.filter(state=State.RUNNING).exists():
        return _("A transfer to it is running. Wait for its end, or cancel it first.")
    if server.account_jobs.pending().locked().exists():
        return _("Accounts of registers are being changed on it. Wait for the end.")
    return ""


def consequences(server: BonusServer) -> list[str]:
    enabled = server.tasks.enabled().count()
    accounts = server.accounts.created().count()
    secrets = IssuedSecret.objects.usable().filter(account__server=server).count()
    counted = {
        ngettext(
            "%(n)s of its tasks is switched on; rows that wait will not be moved.",
            "%(n)s of its tasks are switched on; rows that wait will not be moved.",
            enabled,
        ): enabled,
        ngettext(
            "%(n)s register keeps its account on the server, and keeps working.",
            "%(n)s registers keep their accounts on the server, and keep working.",
            accounts,
        ): accounts,
        ngettext(
            "The password of %(n)s register has not been collected yet, and is deleted.",
            "The passwords of %(n)s registers have not been collected yet, and are deleted.",
            secrets,
        ): secrets,
    }
    points = [words % {"n": formats.number(count)} for words, count in counted.items() if count]
    if server.runs.exists():
        points.append(_("The history of its transfers and its rejected rows are kept."))
    points.append(
        _("The server's own database knows what was moved: docked again, it goes on from there.")
    )
    return points


def undock(server: BonusServer, actor: Actor) -> None:
    """Removes the server from here; purges stop waiting for it."""
    readers = [str(reader) for task in server.tasks.all() for reader in task.readers]
    with transaction.atomic():
        for run in server.runs.filter(state__in=OPEN_STATES):
            run.cancel(actor)
        old = {"name": server.name, "host": server.host, "db_name": server.db_name}
        AuditEntry.record(actor, AuditEntry.Action.DELETE, server, old=old)
        server.delete()
    with suppress(TransferError):  # a purge names them then, and asks
        retire_readers(readers, seconds=AT_FIRST_SIGHT)
