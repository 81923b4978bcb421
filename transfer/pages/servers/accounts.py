"""Accounts of registers: create, block, unblock, delete; one, or many as a job."""

import re
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Count, Min, Q, When
from django.forms import Form
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from transfer.access import has_role, role
from transfer.errors import TransferError
from transfer.models import AccountJob, Actor, BonusServer, CashRegister, RegisterAccount
from transfer.models.accounts import STATE_BESIDE
from transfer.pages.back import done, failed, next_url, read_or_post, refused
from transfer.pages.parts.account_tables import ResultTable
from transfer.pages.parts.accounts import AccountFilter
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.servers.credentials import job_of, taken
from transfer.pages.servers.forms import BlockForm
from transfer.servers.account_job import change_one, order
from transfer.text import formats
from transfer.text.explain import Explanation

Action = AccountJob.Action
NAMED_AT_MOST = 12


class Change(NamedTuple):
    """The words of an action: the questions for many accounts and for one, and the result."""

    many: Any
    one: Any
    text: Any
    action: Any  # the button's words
    done: Any = ""
    danger: bool = True  # a register stops working
    form: type[Form] = Form


CHANGES: dict[str, Change] = {
    Action.BLOCK: Change(
        many=gettext_lazy("Block the chosen accounts?"),
        one=gettext_lazy("Block %(register)s on %(server)s?"),
        text=gettext_lazy(
            "A blocked register is refused by the server until it is unblocked: no bonuses are "
            "accrued or redeemed there."
        ),
        action=gettext_lazy("Block"),
        done=gettext_lazy("%(register)s is blocked on %(server)s."),
        form=BlockForm,
    ),
    Action.UNBLOCK: Change(
        many=gettext_lazy("Unblock the chosen accounts?"),
        one=gettext_lazy("Unblock %(register)s on %(server)s?"),
        text=gettext_lazy("An unblocked register is served again, with the login that it has."),
        action=gettext_lazy("Unblock"),
        done=gettext_lazy("%(register)s is unblocked on %(server)s."),
        danger=False,
    ),
    Action.DELETE: Change(
        many=gettext_lazy("Delete the chosen accounts?"),
        one=gettext_lazy("Delete the account of %(register)s on %(server)s?"),
        text=gettext_lazy(
            "A register without an account is refused by the server. A new account gets another "
            "login and another password, which have to be entered at the register."
        ),
        action=gettext_lazy("Delete"),
        done=gettext_lazy("%(register)s has no account on %(server)s any more."),
    ),
    Action.RENEW: Change(
        many=gettext_lazy("Issue new credentials to the chosen registers?"),
        one=gettext_lazy("Issue new credentials to %(register)s on %(server)s?"),
        text=gettext_lazy(
            "The server refuses the old logins at once. The new logins and passwords are shown "
            "once, to be entered at the registers."
        ),
        action=gettext_lazy("Issue new credentials"),
    ),
}


def filtered(server: BonusServer, query: QueryDict) -> AccountFilter:
    """The registers of the server that a query finds."""
    registers = CashRegister.objects.beside(server).annotate(shown_state=STATE_BESIDE)
    return AccountFilter(query, registers)


def chosen(request: HttpRequest, server: BonusServer) -> list[int]:
    """The ticked registers, or all that match a filter; the confirmation sends one field."""
    if (query := request.POST.get("all")) is not None:
        return list(filtered(server, QueryDict(query)).qs.values_list("pk", flat=True))
    texts = [*request.POST.getlist("register"), *request.POST.get("registers", "").split(",")]
    return list(dict.fromkeys(int(one) for one in texts if re.fullmatch(r"[0-9]{1,9}", one)))


def refuse_unless_allowed(request: HttpRequest, action: str) -> None:
    """Raises PermissionDenied if the user's role does not allow this action."""
    if not has_role(request.user, Action(action).needs):
        raise PermissionDenied


@role("operator")
@require_POST
def server_accounts(request: HttpRequest, pk: int) -> HttpResponse:
    """Starts a job for the chosen registers, or creates accounts for all that have none."""
    server = get_object_or_404(BonusServer, pk=pk)
    action, registers = request.POST.get("action", ""), chosen(request, server)
    if action == "create_all":
        missing = CashRegister.objects.in_use().unsettled(server)
        return begin(request, server, Action.CREATE, missing.values_list("pk", flat=True))
    if action not in Action.values:
        return redirect(server)
    refuse_unless_allowed(request, action)
    if not registers:
        words = _("Choose at least one register: tick the boxes on the left.")
        return refused(request, words, next_url(request, server.get_absolute_url()))
    if action == Action.CREATE:
        return begin(request, server, Action.CREATE, registers)
    form = CHANGES[action].form(request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        return begin(request, server, Action(action), registers, **form.cleaned_data)
    return ask_about(request, server, action, registers, form)


def begin(
    request: HttpRequest, server: BonusServer, action: Action, registers: Any, reason: str = ""
) -> Any:
    """Starts the job. Its page leads back to the list that the registers were chosen in."""
    job = order(server, action, registers, Actor.of(request), reason)
    back = next_url(request, server.get_absolute_url())
    if not job.total:
        messages.info(request, _("There was nothing to do: see the states below."))
        job.delete()
        return redirect(back)
    leads_back = f"?{urlencode({'next': back})}" if back != server.get_absolute_url() else ""
    return redirect(job.get_absolute_url() + leads_back)


def ask_about(
    request: HttpRequest, server: BonusServer, action: str, registers: list[int], form: Form
) -> HttpResponse:
    accounts = server.accounts.created().filter(register__in=registers)
    names = list(accounts.order_by("register__name").values_list("register__name", flat=True))
    back = next_url(request, server.get_absolute_url())
    if not names:
        words = _("None of the chosen registers has an account on this server.")
        return refused(request, words, back)
    points = names[:NAMED_AT_MOST]
    if more := len(names[NAMED_AT_MOST:]):
        words = ngettext("and %(n)s more", "and %(n)s more", more)
        points.append(words % {"n": formats.number(more)})
    numbers = ",".join(str(one) for one in registers)
    change = CHANGES[action]
    confirmation = Confirmation(
        title=change.many,
        text=change.text,
        points=points,
        form=form,
        hidden=[
            ("action", action),
            ("confirmed", 1),
            ("registers", numbers),
            ("next", back),
        ],
        action=change.action,
        back=back,
        back_name=server.name,
        danger=change.danger,
        here=back,
    )
    return ask_to_confirm(request, confirmation)


@role("operator")
@read_or_post
def account_change(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Blocks, unblocks or deletes one account, and waits for the answer, or renews its login."""
    refuse_unless_allowed(request, action)
    account = get_object_or_404(
        RegisterAccount.objects.created().select_related("server", "register"), pk=pk
    )
    change, names = CHANGES[action], {"register": account.register, "server": account.server}
    form = change.form(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        confirmation = Confirmation(
            title=change.one % names,
            text=change.text,
            form=form,
            action=change.action,
            back=account.register.get_absolute_url(),
            danger=change.danger,
        )
        return ask_to_confirm(request, confirmation)
    if action == Action.RENEW:
        return begin(request, account.server, Action.RENEW, [account.register_id])
    try:
        change_one(account, Action(action), Actor.of(request), **form.cleaned_data)
    except TransferError as error:
        return failed(request, error, account.register)
    return done(request, change.done % names, account.register)


@role("operator")
@require_safe
def account_job(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """Shows the progress of a job; then its result for each register."""
    ordered = job_of(pk, job)
    if request.GET.get("part") == "credentials":
        context = {"job": ordered, **taken(request, ordered)}
        return render(request, "servers/job_credentials.html", context)
    if request.GET.get("part"):
        if not ordered.is_open:
            return HttpResponseClientRefresh()
        return render(request, "servers/job_live.html", {"job": ordered})
    ended = {} if ordered.is_open else {**taken(request, ordered), **results(request, ordered)}
    back = next_url(request, ordered.server.get_absolute_url())
    return render(request, "servers/job.html", {"job": ordered, "back": back, **ended})


def results(request: HttpRequest, job: AccountJob) -> dict[str, Any]:
    """The registers of the job, failed ones first. A later job takes registers over."""
    registers = (
        CashRegister.objects.beside(job.server)
        .filter(Q(account__job=job))
        .annotate(shown_state=STATE_BESIDE)
        .order_by(Case(When(account__error_code="", then=1), default=0), "name", "code")
    )
    chosen = AccountFilter(request.GET, registers)
    return {
        "filter": chosen,
        "table": ResultTable(chosen.qs).paged(request),
        "failed": job.failed_accounts().count(),
        "may_repeat": has_role(request.user, Action(job.action).needs),
        "causes": causes(job),
        "elsewhere": max(job.total - job.accounts.count(), 0),
    }


def causes(job: AccountJob) -> list[tuple[int, Explanation | None]]:
    """The causes of failures: the number of registers of each, and what to do."""
    wrong = job.accounts.exclude(error_code="").values("error_code")
    counted = list(wrong.annotate(n=Count("pk"), one=Min("pk")).order_by("-n"))
    accounts = RegisterAccount.objects.in_bulk([line["one"] for line in counted])
    return [(line["n"], accounts[line["one"]].explained) for line in counted]


@role("operator")
@require_POST
def job_again(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """Runs the job again for its failed registers."""
    ordered = job_of(pk, job)
    refuse_unless_allowed(request, ordered.action)
    registers = ordered.failed_accounts().values_list("register", flat=True)
    return begin(request, ordered.server, Action(ordered.action), list(registers))
