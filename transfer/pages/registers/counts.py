"""How many registers are in which state, by bonus server."""

from typing import Any

from django.db.models import Count

from transfer.models import RegisterAccount
from transfer.models.accounts import AccountState, state_case


def states_by_server() -> dict[int, dict[str, int]]:
    """Counts registers in use by server and shown state. One query."""
    counted = (
        RegisterAccount.objects.filter(register__mothballed=False)
        .annotate(shown_state=state_case())
        .order_by()
        .values_list("server", "shown_state")
        .annotate(Count("pk"))
    )
    counts: dict[int, dict[str, int]] = {}
    for server, state, count in counted:
        counts.setdefault(server, {})[state] = count
    return counts


def summary(counts: dict[str, int], in_use: int) -> list[tuple[str, Any, int]]:
    """Lists code, words and registers in use of each state that there is."""
    full = {**counts}
    there = sum(count for state, count in counts.items() if state != AccountState.NOT_CREATED)
    full[AccountState.NOT_CREATED] = in_use - there
    return [(state.value, state.label, full[state]) for state in AccountState if full.get(state)]
