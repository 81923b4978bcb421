"""How many registers are in which state, by bonus server."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Count

from transfer.models import BonusServer, RegisterAccount
from transfer.models.accounts import AccountState, state_case

Summary = list[tuple[str, Any, int]]


def with_states(servers: Iterable[BonusServer], in_use: int) -> list[tuple[BonusServer, Summary]]:
    """Each server with the number of registers in use by their state there. One query."""
    accounts = RegisterAccount.objects.filter(register__mothballed=False)
    shown = accounts.annotate(shown_state=state_case()).order_by()
    counted = shown.values_list("server", "shown_state").annotate(Count("pk"))
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for server, state, count in counted:
        counts[server][state] = count
    return [(server, summary(counts[server.pk], in_use)) for server in servers]


def summary(counts: dict[str, int], in_use: int) -> Summary:
    """Lists code, words and number of registers of each state that occurs."""
    there = sum(count for state, count in counts.items() if state != AccountState.NOT_CREATED)
    full = {**counts, AccountState.NOT_CREATED: in_use - there}
    return [(state.value, state.label, full[state]) for state in AccountState if full.get(state)]
