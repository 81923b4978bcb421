"""Cash registers: the list, one of them, add, change, take out of service, remove; their shops."""

from typing import Any

from django.db import transaction
from django.db.models import Count, prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_POST, require_safe

from transfer.access import role
from transfer.models import Actor, AuditEntry, BonusServer, CashRegister, RegisterAccount, Shop
from transfer.models.accounts import (
    PLACES,
    PROBLEMS,
    AccountState,
    count_on_servers,
    worst_on_servers,
)
from transfer.pages.back import done, read_or_post, refused
from transfer.pages.components.registers import on_servers
from transfer.pages.parts import folds
from transfer.pages.parts.account_tables import RegisterTable, ShopTable
from transfer.pages.parts.accounts import RegisterFilter, summary
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.parts.server_table import ServerTable, lines
from transfer.pages.registers.forms import RegisterForm, ShopForm
from transfer.pages.registers.why import ALIKE, why, why_on_several
from transfer.pages.shown.task_groups import MANY
from transfer.registers.last_seen import strip
from transfer.text import formats

OPEN_AT_MOST = 3  # of the parts about one server each


def filtered(request: HttpRequest) -> RegisterFilter:
    return RegisterFilter(request.GET, CashRegister.objects.select_related("shop"))


@require_safe
def registers(request: HttpRequest) -> HttpResponse:
    """All registers and their state on every server."""
    chosen = filtered(request)
    servers = list(BonusServer.objects.all())
    only = chosen.given.get("server")
    in_use = CashRegister.objects.in_use().count()
    counts = count_on_servers(servers)
    listed = [(one, summary(counts.get(one.pk, {}), in_use)) for one in servers]
    beside = [only] if only else servers
    worst = worst_on_servers(beside, counts)
    context = {
        "filter": chosen,
        "table": listed_registers(request, chosen.qs, beside, worst),
        "servers": listed,
        "failing": [one for one in servers if one.state == BonusServer.State.FAILING],
        "many": len(servers) >= MANY
        and ServerTable(lines(listed, {}), exclude=("tasks", "checked")),
        "any": in_use or CashRegister.objects.exists(),
        "shops": Shop.objects.count(),
    }
    return render(request, "registers/registers.html", context)


def listed_registers(
    request: HttpRequest,
    registers: Any,
    servers: list[BonusServer],
    worst: dict[int, AccountState],
) -> RegisterTable:
    """The list, sorted as the address asks, else by what is wrong on these servers, then by shop.
    Registers that are not in `worst` are online on all of them.

    For that order all registers are sorted, but only those of the page are read as a whole.
    """
    if "sort" in request.GET:
        return RegisterTable(registers, servers).paged(request)
    by_shop = registers.order_by("mothballed", "shop__name", "shop__code", "name", "code")
    keys = [
        (mothballed, PLACES[worst.get(pk, AccountState.ONLINE)], pk)
        for pk, mothballed in by_shop.values_list("pk", "mothballed")
    ]
    keys.sort(key=lambda key: key[:2])  # stable: the rest goes by shop
    table = RegisterTable([pk for *_order, pk in keys], servers).paged(request)
    on_page = [row.record for row in table.paginated_rows]
    found = CashRegister.objects.select_related("shop").in_bulk(on_page)
    table.show([found[pk] for pk in on_page if pk in found])
    return table


@require_safe
def register(request: HttpRequest, pk: int) -> HttpResponse:
    """One register: its accounts, and when each server saw it in the last seven days.

    Of many servers those with the same to say are one group, the worst first. What a fold contains
    comes once it is opened.
    """
    register = get_object_or_404(CashRegister.objects.select_related("shop"), pk=pk)
    accounts = register.accounts.select_related("server", "job")
    known = {account.server_id: account for account in accounts}
    parts = [part(server, known.get(server.pk)) for server in BonusServer.objects.all()]
    many = len(parts) >= MANY
    if many:
        parts.sort(key=lambda one: list(AccountState).index(one["state"]))
        opened = folds.opened(request, [one["server"].pk for one in parts])
        for one in parts:
            one["is_open"] = one["server"].pk in opened
            one["url"] = folds.url_of(request, opened | {one["server"].pk})
    groups = alike(parts) if many else []
    # When each of the servers that are shown saw the register: one query.
    shown = [one for one in parts if one["is_open"] or not many]
    accounts_seen = [one["account"] for one in shown if one["account"] and one["account"].login]
    prefetch_related_objects(accounts_seen, "seen_days")
    for one in shown:
        one["days"] = strip(one["account"]) if one["account"] in accounts_seen else []
    context = {"register": register, "parts": parts, "groups": groups}
    return render(request, "registers/register.html", context)


def alike(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts with the same state and reason as one group each, in their order.

    A group of one server with a problem is open, but not more than OPEN_AT_MOST of them.
    """
    found: dict[Any, list[dict[str, Any]]] = {}
    for one in parts:
        reason = None if one["state"] in ALIKE else one["why"]
        found.setdefault((one["state"], reason, one["cause"]), []).append(one)
    groups, wrong = [], 0
    for (state, reason, cause), of_group in found.items():
        several = len(of_group) > 1
        if several and state in ALIKE:
            reason = why_on_several(state, [one["account"] for one in of_group])
        for one in of_group:
            if several:  # the group says it
                one["why"] = one["why"] if state in ALIKE else None
                one["cause"] = None
            elif state in PROBLEMS and wrong < OPEN_AT_MOST:
                one["is_open"] = one["is_opened"] = True
                wrong += 1
        where = on_servers([one["server"].name for one in of_group], len(parts))
        groups.append(
            {"parts": of_group, "state": state, "why": reason, "cause": cause, "where": where}
        )
    return groups


def part(server: BonusServer, account: RegisterAccount | None) -> dict[str, Any]:
    """The part of the page about one server."""
    state = AccountState(account.shown_state if account else AccountState.NOT_CREATED)
    return {
        "server": server,
        "account": account,
        "state": state,
        "why": why(account, state),
        "cause": account.explained if account and state != AccountState.ERROR else None,
        "is_open": False,
    }


@role("operator")
@read_or_post
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The form of a register, stored or new."""
    registers = CashRegister.objects.select_related("shop")
    register = get_object_or_404(registers, pk=pk) if pk else CashRegister()
    asked = {} if pk else {"shop": request.GET.get("shop")}
    form = RegisterForm(request.POST or None, instance=register, initial=asked)
    if form.is_valid():
        saved = save(request, form)
        added = _("%(register)s is added.") % {"register": saved}
        return done(request, _("The register is saved.") if pk else added, saved)
    back = register.get_absolute_url() if pk else ""
    context = {"form": form, "shops": Shop.objects.exists(), "back": back}
    return render(request, "registers/form.html", context)


@role("operator")
@require_POST
def mothball(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes the register out of service or puts it back, as the form asks for."""
    register = get_object_or_404(CashRegister, pk=pk)
    wanted = request.POST.get("mothballed") == "1"
    if register.mothballed != wanted:
        with transaction.atomic():
            CashRegister.objects.filter(pk=pk).update(mothballed=wanted)
            before, after = {"mothballed": not wanted}, {"mothballed": wanted}
            AuditEntry.record_change(Actor.of(request), register, before, after)
    mothballed = _("%(register)s is out of service: it counts as no problem.")
    text = mothballed if wanted else _("%(register)s is back in service.")
    return done(request, text % {"register": register}, register)


@role("operator")
@read_or_post
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    register = get_object_or_404(CashRegister.objects.select_related("shop"), pk=pk)
    if request.method == "POST":
        delete(request, register)
        return done(request, _("%(register)s is removed.") % {"register": register}, "registers")
    points = []
    if accounts := register.accounts.created().count():
        text = ngettext(
            "Its account on %(n)s server is not deleted: it can go on calling there.",
            "Its accounts on %(n)s servers are not deleted: it can go on calling there.",
            accounts,
        )
        points = [
            text % {"n": accounts},
            _("Block them first if it should not. An administrator can also delete them."),
        ]
    confirmation = Confirmation(
        title=_("Remove the register %(register)s?") % {"register": register},
        text=_("It disappears from all lists, with the record of when it was seen."),
        points=points,
        action=_("Remove"),
        back=register.get_absolute_url(),
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


@require_safe
def shops(request: HttpRequest) -> HttpResponse:
    table = ShopTable(Shop.objects.annotate(count=Count("registers"))).paged(request)
    return render(request, "registers/shops.html", {"table": table})


@role("operator")
@read_or_post
def shop_edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The form of a shop, stored or new."""
    shop = get_object_or_404(Shop, pk=pk) if pk else Shop()
    form = ShopForm(request.POST or None, instance=shop)
    if form.is_valid():
        save(request, form)
        added = _("Shop %(shop)s is added.") % {"shop": shop}
        return done(request, _("The shop is saved.") if pk else added, "shops")
    return render(request, "registers/shop_form.html", {"form": form})


@role("operator")
@read_or_post
def shop_remove(request: HttpRequest, pk: int) -> HttpResponse:
    shop = get_object_or_404(Shop, pk=pk)
    if count := shop.registers.count():
        text = ngettext(
            "The shop %(shop)s still has %(n)s register. "
            "Remove it or move it to another shop first.",
            "The shop %(shop)s still has %(n)s registers. "
            "Remove them or move them to another shop first.",
            count,
        )
        return refused(request, text % {"shop": shop, "n": formats.number(count)}, "shops")
    if request.method == "POST":
        delete(request, shop)
        return done(request, _("Shop %(shop)s is removed.") % {"shop": shop}, "shops")
    confirmation = Confirmation(
        title=_("Remove the shop %(shop)s?") % {"shop": shop},
        text=_("It has no registers."),
        action=_("Remove"),
        back=reverse("shops"),
        back_name=_("Shops"),
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


def values(one: Any) -> dict[str, Any]:
    """What the audit records of a register or a shop; {} for none."""
    names = [name for name in ("code", "name", "shop", "mothballed") if hasattr(one, name)]
    return {name: str(one.shop) if name == "shop" else getattr(one, name) for name in names}


@transaction.atomic
def save(request: HttpRequest, form: Any) -> Any:
    """Saves a new register or shop, or the changes of a stored one, with an audit entry."""
    before = values(form._meta.model.objects.filter(pk=form.instance.pk).first())
    saved = form.save()
    after = values(saved)
    if not before:
        AuditEntry.record(Actor.of(request), AuditEntry.Action.CREATE, saved, new=after)
    else:
        AuditEntry.record_change(Actor.of(request), saved, before, after)
    return saved


@transaction.atomic
def delete(request: HttpRequest, one: Any) -> None:
    AuditEntry.record(Actor.of(request), AuditEntry.Action.DELETE, one, old=values(one))
    one.delete()
