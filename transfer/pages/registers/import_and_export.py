"""Registers as a file: export, and import with a preview."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from itertools import islice

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.causes.files import FILE_REFUSED
from transfer.errors import FileRefused
from transfer.models import Actor, AuditEntry, BonusServer, CashRegister
from transfer.models.accounts import AccountState, attach_states
from transfer.pages.back import done, read_or_post
from transfer.pages.exports import Field, Sheet, csv_response
from transfer.pages.parts.account_tables import LineTable
from transfer.pages.registers.forms import ImportForm
from transfer.pages.registers.views import filtered
from transfer.pages.uploading import takes_file
from transfer.registers.file import LARGEST, Plan, apply, read
from transfer.text import formats
from transfer.text.explain import explain

LINES_SHOWN = 200
AT_ONCE = 1000
LARGEST_SENT_BACK = LARGEST * 4 // 3 + 4  # bytes of a file in base64


@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """The filtered list as a file, which the import can read."""
    servers = list(BonusServer.objects.all())
    fields = [
        Field(_("Shop"), lambda one: one.shop.code),
        Field(_("Shop’s name"), lambda one: one.shop.name),
        Field(_("Code"), lambda one: one.code),
        Field(_("Register’s name"), lambda one: one.name),
        Field(_("Out of service"), lambda one: _("yes") if one.mothballed else _("no")),
        *(Field(server.name, state_on(server)) for server in servers),
    ]
    listed = filtered(request).qs.order_by("shop__code", "name")
    return csv_response("registers", Sheet(_("Cash registers"), fields, beside(servers, listed)))


def beside(servers: list[BonusServer], listed: QuerySet[CashRegister]) -> Iterator[CashRegister]:
    """The registers with their states, a batch in memory at a time."""
    registers = listed.iterator(chunk_size=AT_ONCE)
    while batch := list(islice(registers, AT_ONCE)):
        yield from attach_states(batch, servers)


def state_on(server: BonusServer) -> Callable[[CashRegister], str]:
    def state(register: CashRegister) -> str:
        shown, _seen = register.states.get(server.pk, (AccountState.NOT_CREATED, None))
        return str(shown.label)

    return state


@role("operator")
@takes_file(LARGEST_SENT_BACK)
@read_or_post
def load(request: HttpRequest) -> HttpResponse:
    """Reads a file and shows it; nothing is saved before it is confirmed."""
    form = ImportForm(request.POST or None, request.FILES or None)
    is_confirmed = "confirmed" in request.POST
    if not is_confirmed and not form.is_valid():
        return render(request, "registers/import.html", {"form": form})
    try:
        content = sent_back(request) if is_confirmed else form.cleaned_data["file"].read()
        plan = read(content)
    except FileRefused as error:
        words = str(explain(error))
        return render(request, "registers/import.html", {"form": ImportForm(), "error": words})
    if is_confirmed and not plan.bad:
        return save(request, plan)
    context = {
        "plan": plan,
        "content": b64encode(content).decode(),
        "table": LineTable(plan.notable[:LINES_SHOWN], orderable=False),
        "more": max(len(plan.notable) - LINES_SHOWN, 0),
        "may_save": not plan.bad and (plan.new or plan.changed),
    }
    return render(request, "registers/preview.html", context)


def sent_back(request: HttpRequest) -> bytes:
    """The file that the confirmation sends back. Raises FileRefused."""
    try:
        return b64decode(request.POST.get("content", ""), validate=True)
    except ValueError as error:
        raise FileRefused(FILE_REFUSED) from error


def save(request: HttpRequest, plan: Plan) -> HttpResponse:
    with transaction.atomic():
        apply(plan)
        counts = {"new": len(plan.new), "changed": len(plan.changed)}
        subject = CashRegister(name=_("Import of registers"))
        AuditEntry.record(Actor.of(request), AuditEntry.Action.CHANGE, subject, new=counts)
    words = _("Imported: %(new)s new registers, %(changed)s changed, %(same)s unchanged.")
    counts["same"] = len(plan.same)
    numbers = {name: formats.number(count) for name, count in counts.items()}
    return done(request, words % numbers, "registers")
