from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from transfer.models import BonusServer, CashRegister, RegisterAccount, Shop
from transfer.models.accounts import ONLINE_FOR, AccountState


@pytest.fixture
def servers(db) -> list[BonusServer]:
    """Two docked servers that were checked just now."""
    made = []
    for number in (8, 9):
        server = BonusServer(name=f"Server {number}", host="127.0.0.1", db_name="x", api_token="x")
        server.dock()
        server.note_answer(timezone.now(), 0.004, 0, "1.0")
        made.append(server)
    return made


@pytest.fixture
def registers(db) -> Callable[..., list[CashRegister]]:
    def registers(count: int, **fields) -> list[CashRegister]:
        shop, _ = Shop.objects.get_or_create(code="1", defaults={"name": "Ленина, 5"})
        start = CashRegister.objects.count()
        return CashRegister.objects.bulk_create(
            [
                CashRegister(code=f"c{n:05}", name=f"Касса {n:05}", shop=shop, **fields)
                for n in range(start, start + count)
            ]
        )

    return registers


@pytest.fixture
def with_accounts() -> Callable[..., None]:
    def with_accounts(server: BonusServer, registers: list[CashRegister], **fields) -> None:
        known = {"state": "created", "login": "r1", "last_seen": timezone.now()} | fields
        seen = known["last_seen"]
        known["seen_lately"] = seen is not None and seen >= timezone.now() - ONLINE_FOR
        RegisterAccount.objects.bulk_create(
            [RegisterAccount(server=server, register=one, **known) for one in registers]
        )

    return with_accounts


@pytest.fixture
def one_of_each(servers, registers, with_accounts):
    """A register in each state on the first server; none has an account on the second one."""
    server, now = servers[0], timezone.now()
    made = dict(zip(AccountState, registers(len(AccountState)), strict=True))
    fields = {
        AccountState.ERROR: {"state": "error", "login": "", "last_seen": None},
        AccountState.BLOCKED: {"blocked": True},
        AccountState.OFFLINE: {"last_seen": now - timedelta(minutes=6)},
        AccountState.NEVER_SEEN: {"last_seen": None},
        AccountState.WAITING: {"state": "waiting", "login": "", "last_seen": None},
        AccountState.ONLINE: {"last_seen": now - timedelta(minutes=4)},
    }
    for state, changed in fields.items():
        with_accounts(server, [made[state]], **changed)
    return made
