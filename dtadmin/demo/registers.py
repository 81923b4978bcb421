"""The demo's bonus servers as processes, its shops and registers, and registers that call."""

import json
import secrets
import time
from pathlib import Path

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from dtadmin.demo.data import card
from dtadmin.demo.processes import Processes, free_port
from transfer.bonus_admin_client.client import BonusApi
from transfer.errors import TransferError
from transfer.models import AccountJob, Actor, BonusServer, CashRegister, Shop
from transfer.servers.account_job import Work
from transfer.servers.checks import check_connections

SHOPS = {"1": "", "111": "", "12": "Магазин на Ленина, 5"}
# Code, name, shop: the first six are those of the manual.
REGISTERS = (
    ("10.152", "10.152", "1"),
    ("10.72", "10.72", "1"),
    ("10.50", "Касса 10.50", "1"),
    ("10.52", "Касса 10.52", "1"),
    ("17", "Касса 17", "111"),
    ("2", "Касса 2", "111"),
    ("12.1", "Касса 1", "12"),
    ("12.2", "Касса 2", "12"),
    ("12.3", "Касса 3 (самообслуживание)", "12"),
    ("12.9", "Касса 9 (старая)", "12"),
)
MOTHBALLED, BLOCKED = "12.9", "10.52"
# Server → registers with an account; the first ones of them call, the last caller now and then
# goes away for longer than a register counts as online.
WITH_ACCOUNT = {
    1: ("10.152", "10.72", "10.50", "17", "2", "10.52", "12.1", "12.2"),
    2: ("10.152", "17", "2"),
}
CALLERS = {1: 5, 2: 2}
AWAY = ("--away-after=60", "--away-for=420")
START_SECONDS = 15


def start_servers(processes: Processes, databases: list[str]) -> None:
    """The bonus servers on free ports, each with the token that its row holds."""
    for number, server in enumerate(BonusServer.objects.order_by("pk")[: len(databases)], 1):
        server.admin_port = free_port(7768 + 2 * number)
        server.work_port = free_port(7769 + 2 * number)
        token = str(server.api_token or secrets.token_urlsafe(24))
        server.api_token = token  # type: ignore[assignment]
        server.save(update_fields=["admin_port", "work_port", "api_token"])
        processes.start(
            server.name,
            *("-m", "reference_bonus_server", "serve", "--name", server.name),
            *("--admin-port", str(server.admin_port), "--work-port", str(server.work_port)),
            log=log_of(f"bonus_{number}"),
            BONUSSERVER_DATABASE_URL=databases[number - 1],
            BONUSSERVER_TOKEN=token,
        )
        wait_for(server)


def wait_for(server: BonusServer) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            with BonusApi(server.endpoint, seconds=2) as api:
                api.status()
                return
        except TransferError:
            time.sleep(0.2)


def log_of(name: str) -> Path:
    folder = settings.VAR / "logs"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.log"


def open_shops() -> None:
    if CashRegister.objects.exists():
        return
    for code, name in SHOPS.items():
        Shop.objects.get_or_create(code=code, defaults={"name": name})
    shops = Shop.objects.in_bulk(SHOPS, field_name="code")
    CashRegister.objects.bulk_create(
        [
            CashRegister(code=code, name=name, shop=shops[shop], mothballed=code == MOTHBALLED)
            for code, name, shop in REGISTERS
        ]
    )


def start_registers(processes: Processes) -> None:
    """Accounts for the registers, and those that call as processes."""
    known = Known()
    for number, server in enumerate(BonusServer.objects.order_by("pk")[: len(CALLERS)], 1):
        open_accounts(server, WITH_ACCOUNT[number], known)
        callers = WITH_ACCOUNT[number][: CALLERS[number]]
        for position, code in enumerate(callers):
            if (login := known.get(f"{server.pk} {code}")) is None:
                continue
            away = AWAY if number == 1 and position == len(callers) - 1 else ()
            cards = [f"--card={card(10 * number + position + step)}" for step in (0, 40, 80)]
            processes.start(
                f"{server.name}: {code}",
                *("-m", "reference_bonus_server", "register", "--every=15", "--login", login[0]),
                *("--url", f"http://127.0.0.1:{server.work_port}", *cards, *away),
                log=log_of(f"register_{number}_{code}"),
                BONUSSERVER_REGISTER_SECRET=login[1],
            )
    check_connections()


def open_accounts(server: BonusServer, codes: tuple[str, ...], known: "Known") -> None:
    registers = CashRegister.objects.filter(code__in=codes).unsettled(server)
    if server.account_jobs.exists() or not registers.exists():
        return
    actor = Actor.at_command_line()
    job = AccountJob.order(
        server, AccountJob.Action.CREATE, registers.values_list("pk", flat=True), actor
    )
    Work(job).do()
    for secret in job.secrets.select_related("account__register"):
        account = secret.account
        known[f"{server.pk} {account.register.code}"] = [account.login, secret.secret]
    known.save()
    job.secrets.all().delete()
    AccountJob.objects.filter(pk=job.pk).update(downloaded_at=timezone.now())
    if BLOCKED in codes:
        blocked = CashRegister.objects.filter(code=BLOCKED).values_list("pk", flat=True)
        reason = _("The register is being repaired.")
        Work(AccountJob.order(server, AccountJob.Action.BLOCK, blocked, actor, reason)).do()


class Known(dict[str, list[str]]):
    """What the demo's registers log in with: kept beside its databases, for its owner only."""

    def __init__(self) -> None:
        self.file = settings.VAR / "demo_registers.json"
        super().__init__(json.loads(self.file.read_text()) if self.file.exists() else {})

    def save(self) -> None:
        self.file.touch(mode=0o600)
        self.file.write_text(json.dumps(self))
