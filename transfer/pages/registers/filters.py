"""The filters of registers: shop, state, server, part of a name."""

from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import BonusServer, RegisterAccount, Shop
from transfer.models.accounts import PROBLEMS, AccountState
from transfer.pages.filters import FilterSet

ANY_PROBLEM, MOTHBALLED = "problem", "mothballed"


def state_choices() -> list[tuple[str, Any]]:
    return [
        (ANY_PROBLEM, _("Any problem")),
        *((state.value, state.label) for state in AccountState),
        (MOTHBALLED, _("Out of service")),
    ]


class Search(FilterSet):
    q = django_filters.CharFilter(label=gettext_lazy("Register"), method="search")
    # A text, since a select of a thousand shops would be more than half of the page.
    shop = django_filters.CharFilter(label=gettext_lazy("Shop"), method="filter_shop")
    state = django_filters.ChoiceFilter(
        label=gettext_lazy("State"), choices=state_choices, method="filter_state"
    )

    def search(self, registers: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return registers.filter(Q(name__icontains=value) | Q(code__icontains=value))

    def filter_shop(self, registers: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """The shop with this code; if there is none, shops with this text in their names."""
        shops = Shop.objects.filter(code=value)
        return registers.filter(shop__in=shops or Shop.objects.filter(name__icontains=value))

    def filter_state(self, registers: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value == MOTHBALLED:
            return registers.filter(mothballed=True)
        states = PROBLEMS if value == ANY_PROBLEM else [AccountState(value)]
        return registers.filter(self.in_states(states), mothballed=False)

    def in_states(self, states: list[AccountState]) -> Q:
        raise NotImplementedError


class AccountFilter(Search):
    """Registers of one server, each with `shown_state`."""

    def in_states(self, states: list[AccountState]) -> Q:
        return Q(shown_state__in=states)


class RegisterFilter(Search):
    """Registers of all servers, or of one."""

    server = django_filters.ModelChoiceFilter(
        label=gettext_lazy("Bonus server"),
        queryset=BonusServer.objects.all(),
        method="filter_server",
    )

    def filter_server(self, registers: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        """Does not filter: `filter_state` uses the server."""
        return registers

    def in_states(self, states: list[AccountState]) -> Q:
        """Registers that are in one of the states on the chosen server, or on any."""
        server = self.form.cleaned_data.get("server")
        servers = [server] if server else list(BonusServer.objects.all())
        accounts: Any = RegisterAccount.objects.filter(server__in=servers).order_by()
        there = accounts.with_shown().filter(shown_state__in=states)
        chosen = Q(pk__in=there.values("register"))
        if AccountState.NOT_CREATED in states:
            everywhere = accounts.values("register").annotate(known=Count("pk"))
            chosen |= ~Q(pk__in=everywhere.filter(known=len(servers)).values("register"))
        return chosen
