"""A large chain: many bonus servers with their tasks, and registers with accounts on all."""

from datetime import timedelta

from django.utils import timezone

from tests.records import a_run, wait_for
from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import BonusServer, CashRegister, RegisterAccount, Shop, TransferTask
from transfer.models.run_base import State
from transfer.parties import database_of
from transfer.runs import backlog
from transfer.runs.backlog import Backlog

LONG = "Бонусный сервер сети «Продукты у дома», Нижний Новгород, Большая Покровская улица, 15"
TWELVE_DIGITS = 999_999_999_999


def many_servers(count: int = 30) -> list[BonusServer]:
    """Docked servers "БС 1", "БС 2" and so on; the last one has a long name. All tasks are on.

    Of the first server balance changes fail; the second is not reached. Nothing waits elsewhere.
    """
    now = timezone.now()
    state = {"state": BonusServer.State.AVAILABLE, "checked_at": now, "accounts_at": now}
    names = [*(f"БС {number}" for number in range(1, count)), LONG]
    servers = BonusServer.objects.bulk_create(
        BonusServer(name=name, host="localhost", db_name="nowhere", **state) for name in names
    )
    tasks = TransferTask.objects.bulk_create(
        TransferTask(
            server=one, kind=kind, enabled=True, next_run_at=now + timedelta(minutes=3, seconds=30)
        )
        for one in servers
        for kind in ("pincodes", "balances", "cards")
    )
    backlog.store_backlogs({task.pk: Backlog(0) for task in tasks})
    fails(servers[0])
    is_not_reached(servers[1])
    return servers


def fails(server: BonusServer) -> None:
    """Its last two runs of balance changes have failed, and many rows wait."""
    database = {"party": f"database:{server.name}"}
    a_run(server, state=State.FAILED, error_code="unreachable", error_params=database)
    task = server.tasks.select_related("server").get(kind="balances")
    TransferTask.objects.filter(pk=task.pk).update(failures=2)
    wait_for(task, 121)


def is_not_reached(server: BonusServer) -> None:
    """Neither its database nor its administration port answers."""
    error = Unreachable(UNREACHABLE, party=database_of(server.name), reason="refused")
    server.note_failure(timezone.now(), error)
    for task in server.tasks.select_related("server"):
        wait_for(task, error=error)


def registers(count: int, servers: list[BonusServer]) -> None:
    """Registers with an account on each server; of every tenth, the first server has none."""
    now = timezone.now()
    shop = Shop.objects.create(code="111", name="Магазин 111")
    made = CashRegister.objects.bulk_create(
        CashRegister(shop=shop, code=f"17.{number}", name=f"Касса {number}")
        for number in range(count)
    )
    state = RegisterAccount.State.CREATED
    created = {"state": state, "last_seen": now, "seen_lately": True, "login": "x"}
    RegisterAccount.objects.bulk_create(
        (
            RegisterAccount(server=server, register=one, **created)
            for number, one in enumerate(made)
            for server in servers[number % 10 == 0 :]
        ),
        batch_size=5000,
    )
