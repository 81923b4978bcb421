"""Notifications: recipients and their topics, problems now and in the past, planned work."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from transfer.access import role
from transfer.alerts import words as alert_words
from transfer.alerts.send import deliver
from transfer.models import Actor, AuditEntry, BonusServer
from transfer.models.alerts import Incident, Notice, Recipient
from transfer.models.planned_work import PlannedWork
from transfer.pages.back import done, next_url, read_or_post
from transfer.pages.html import Html, link
from transfer.pages.notifications.forms import ENTERED, PlannedWorkForm, RecipientForm
from transfer.pages.parts import audit_sentences
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.parts.incident_table import IncidentTable
from transfer.pages.tables import DrawnColumn, TemplateColumn, WholeTable, classed
from transfer.problems.find import problems
from transfer.problems.groups import grouped
from transfer.problems.incidents import with_incidents
from transfer.text import formats

CHOSEN = ("servers", "shops")  # what its messages are about


class RecipientTable(WholeTable):
    caption = gettext_lazy("Recipients")
    name = DrawnColumn(gettext_lazy("Name"))
    channel = DrawnColumn(gettext_lazy("How"), attrs=classed("nowrap"))
    topics = TemplateColumn("notifications/cells/topics.html", gettext_lazy("Notify of"))
    state = TemplateColumn("notifications/cells/state.html", gettext_lazy("State"))

    def draw_name(self, record: Recipient) -> Html:
        return link(record.get_absolute_url(), record)

    def draw_channel(self, record: Recipient) -> str:
        return record.get_channel_display()


@role("administrator")
@require_safe
def notifications(request: HttpRequest) -> HttpResponse:
    recipients = [*Recipient.objects.prefetch_related("servers", "shops")]
    context = {
        "recipients": RecipientTable(recipients, prefix="recipients-"),
        "problems": grouped(with_incidents(problems())),
        "past": IncidentTable(Incident.objects.past()).paged(request),
        "works": PlannedWork.objects.coming().select_related("server"),
    }
    return render(request, "notifications/notifications.html", context)


@role("administrator")
@read_or_post
@sensitive_post_parameters(*ENTERED)
@never_cache
def add(request: HttpRequest) -> HttpResponse:
    """Adds a recipient. The signing key of a webhook is shown once."""
    form = RecipientForm(request.POST or None)
    if form.is_valid():
        recipient = form.save()
        new = {name: stored_values(recipient)[name] for name in ("topics", *CHOSEN)}
        AuditEntry.record(Actor.of(request), AuditEntry.Action.CREATE, recipient, new=new)
        if recipient.signing_key:
            return render(request, "notifications/signing_key.html", {"one": recipient})
        words = _("%(name)s is notified from now on.") % {"name": recipient}
        return done(request, words, recipient)
    return render(request, "notifications/add.html", {"form": form})


@role("administrator")
@read_or_post
@sensitive_post_parameters(*ENTERED)
@never_cache
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    recipient = get_object_or_404(Recipient, pk=pk)
    form = RecipientForm(request.POST or None, instance=get_object_or_404(Recipient, pk=pk))
    if form.is_valid():
        before = stored_values(recipient)
        saved = form.save()
        AuditEntry.record_change(Actor.of(request), saved, before, stored_values(saved))
        if saved.signing_key and not recipient.signing_key:
            return render(request, "notifications/signing_key.html", {"one": saved})
        return done(request, _("%(name)s is saved.") % {"name": saved}, "notifications")
    context = {
        "form": form,
        "one": recipient,
        "notices": [
            (one, alert_words.subject(one))
            for one in recipient.notices.select_related("incident", "recipient").prefetch_related(
                "tells__incident"
            )[:20]
        ],
        "entries": audit_sentences.latest(recipient),
        "about": f"recipient-{pk}",
    }
    return render(request, "notifications/recipient.html", context)


def stored_values(recipient: Recipient) -> dict[str, Any]:
    """Return what the form stores, by the names of the fields; servers and shops by their names."""
    names = [name for name in RecipientForm.Meta.fields if name not in CHOSEN]
    values = {name: getattr(recipient, name) for name in (*names, "address", "chat")}
    chosen = {name: [str(one) for one in getattr(recipient, name).all()] for name in CHOSEN}
    return values | chosen


@role("administrator")
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Sends a test message at once, and says whether it arrived."""
    recipient = get_object_or_404(Recipient, pk=pk)
    notice = Notice.objects.create(recipient=recipient, event=Notice.Event.TEST)
    notice.do(lambda: deliver(notice))
    notice.refresh_from_db()
    AuditEntry.record(Actor.of(request), AuditEntry.Action.RUN, recipient)
    if notice.sent_at:
        return done(request, _("The test message is sent. See whether it has arrived."), recipient)
    Notice.objects.filter(pk=notice.pk).delete()  # a test is not tried again
    messages.error(request, str(notice.explained))
    return redirect(recipient)


@role("administrator")
@read_or_post
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    recipient = get_object_or_404(Recipient, pk=pk)
    if request.method == "POST":
        AuditEntry.record(Actor.of(request), AuditEntry.Action.DELETE, recipient)
        recipient.delete()
        words = _("%(name)s is no longer notified.") % {"name": recipient}
        return done(request, words, "notifications")
    confirmation = Confirmation(
        title=_("Remove the recipient %(name)s?") % {"name": recipient},
        text=_("Nothing more is sent there, and the record of its messages is deleted."),
        action=_("Remove"),
        back=recipient.get_absolute_url(),
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


@role("operator")
@read_or_post
def plan_work(request: HttpRequest) -> HttpResponse:
    """Begins with now, with the server that the user came from, and with transfers that go on."""
    number = formats.number_in(request.GET.get("server")) or 0
    server = BonusServer.objects.filter(pk=number).first()
    initial = {"server": server, "begins_at": timezone.now(), "stops": False}
    form = PlannedWorkForm(request.POST or None, initial=initial)
    back = server.get_absolute_url() if server else reverse("overview")
    if form.is_valid():
        form.save(commit=False).plan(Actor.of(request))
        return done(request, _("The work is planned."), back)
    context = {"form": form, "back": back, "server": server}
    return render(request, "notifications/work.html", context)


@role("operator")
@read_or_post
def end_work(request: HttpRequest, pk: int) -> HttpResponse:
    work = get_object_or_404(PlannedWork.objects.coming(), pk=pk)
    if request.method == "POST":
        work.end(Actor.of(request))
        if work.server and work.stops:
            text = _("The pause of %(server)s is over. Its transfers move the rows that waited.")
            words = text % {"server": work.server}
        else:
            words = _("Planned work ended. Paused tasks have resumed.")
        return done(request, words, next_url(request, reverse("overview")))
    where = work.server or _("all bonus servers")
    begins, ends = formats.moment(work.begins_at), formats.moment(work.ends_at)
    confirmation = Confirmation(
        title=_("End the planned work?"),
        text=f"{where}: {work.reason}. {begins} – {ends}",
        action=_("End it"),
        back=next_url(request, reverse("overview")),
    )
    return ask_to_confirm(request, confirmation)
