"""Shops: a list, add, change, remove."""

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.models import Shop
from transfer.pages.back import done, read_or_post, refused
from transfer.pages.registers.forms import ShopForm
from transfer.pages.registers.tables import ShopTable
from transfer.pages.registers.views import delete, save
from transfer.words import formats


@require_safe
def shops(request: HttpRequest) -> HttpResponse:
    table = ShopTable(Shop.objects.annotate(count=Count("registers"))).paged(request)
    return render(request, "registers/shops.html", {"table": table})


@role("operator")
@read_or_post
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """A shop that is there, or a new one."""
    shop = get_object_or_404(Shop, pk=pk) if pk else Shop()
    form = ShopForm(request.POST or None, instance=shop)
    if form.is_valid():
        save(request, form)
        added = _("Shop %(shop)s is added.") % {"shop": shop}
        return done(request, _("The shop is saved.") if pk else added, "shops")
    return render(request, "registers/shop_form.html", {"form": form})


@role("operator")
@read_or_post
def remove(request: HttpRequest, pk: int) -> HttpResponse:
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
    context = {
        "title": _("Remove the shop %(shop)s?") % {"shop": shop},
        "text": _("It has no registers."),
        "action": _("Remove"),
        "back": reverse("shops"),
        "danger": True,
    }
    return render(request, "confirm.html", context)
