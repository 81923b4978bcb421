"""Accounts of a large chain: made, checked, brought in by a file. Pages are measured by `pages`.

The servers are reference servers, each a process of its own.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.ground import Ground, Installation
from bench.reference import Reference
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import timed
from tests.databases import query

SERVERS = 5
REGISTERS_A_SHOP = 5
# Most of the registers called a moment ago, some yesterday, some never; a few are blocked.
ACCOUNTS = """
    insert into register_account (register, shop, name, login, secret_digest, last_seen, blocked)
    select 'r' || n, 's' || n / %s, 'Касса ' || n, 'login' || n, '',
           case when n %% 20 = 0 then null when n %% 10 = 0 then now() - interval '1 day'
                else now() end,
           n %% 100 = 1
      from generate_series(1, %s) as n
"""
Line = list[Any]


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    count = sizes.of(5000, 20)
    with ground.installation() as at, ExitStack() as opened:
        at.set_up_django()
        databases = [at.bonus, *(at.ground.create(f"bonus_{n}") for n in range(2, SERVERS + 1))]
        servers = [docked(at, number, dsn, opened) for number, dsn in enumerate(databases, 1)]
        chain(count)
        client = browser()
        lines = accounts_made(at, client, servers[0])
        for dsn in databases[1:]:  # past the product
            query(dsn, ACCOUNTS, [REGISTERS_A_SHOP, count])
        lines += [*checks(), *imported(client)]
    title = f"{count:,} registers, {SERVERS} bonus servers"
    return [Table(title, ["what", "seconds", "", "peak MB"], lines)]


def docked(at: Installation, number: int, dsn: str, opened: ExitStack) -> Any:
    reference = opened.enter_context(Reference(dsn, at.environment).serving())
    server = at.dock(f"Бонусный сервер {number}", dsn)
    server.host, server.api_token = "127.0.0.1", reference.token
    server.admin_port, server.work_port = reference.ports["admin"], reference.ports["work"]
    server.save()
    return server


def chain(count: int) -> None:
    """Shops and their registers."""
    from bench.copies import multiply
    from transfer.models import CashRegister, Shop

    shop = Shop.objects.create(code="s1")
    shops = count // REGISTERS_A_SHOP
    multiply(shop, shops, code="'s' || n")
    register = CashRegister.objects.create(code="r1", name="Касса 1", shop=shop)
    multiply(
        register, count, code="'r' || n", name="'Касса ' || n",
        shop_id=f"{shop.pk} + (n - 1) % {shops}",
    )  # fmt: skip


def browser() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client
    from django.utils import translation

    translation.activate("ru")
    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.create_superuser("olga"))
    return client


def accounts_made(at: Installation, client: Any, server: Any) -> list[Line]:
    """From the press of the button to the file of credentials."""
    order = f"{server.get_absolute_url()}accounts/"
    ordered: list[Any] = []
    press = timed(lambda: ordered.append(client.post(order, {"action": "create_all"})))
    job = ordered[0].headers["Location"]
    peaks: list[float] = []
    with watching(client, job) as looks:
        worked = timed(lambda: peaks.append(at.peak(at.command("db_worker", "--batch"))))
    made = server.accounts.created().count()
    afterwards = timed(lambda: client.get(f"{job}?per_page=250").content)
    file = timed(lambda: body(client.post(f"{job}download/")))
    return [
        ["accounts ordered by a press", press, "", None],
        [f"{made:,} accounts made by db_worker", worked, f"{made / worked:.0f}/s", peaks[0]],
        ["the job's page meanwhile, at most", max(looks, default=0.0), f"{len(looks)} ×", None],
        ["the job's page afterwards, 250 results", afterwards, "", None],
        ["their credentials as CSV", file, "", None],
    ]


@contextmanager
def watching(client: Any, address: str) -> Iterator[list[float]]:
    """Asks for a page every half second while the block runs: how long each time."""
    stopped = threading.Event()
    looks: list[float] = []

    def look() -> None:
        while not stopped.wait(0.5):
            looks.append(timed(lambda: client.get(address).content))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        stopped.set()
        thread.join()


def checks() -> list[Line]:
    from transfer.servers.checks import check_connections

    lines = []
    for words in ("the first check, which learns all of them", "a check"):
        reports: list[Any] = []
        seconds = timed(lambda reports=reports: reports.append(check_connections()))  # type: ignore[misc]
        lines.append([words, seconds, f"{reports[0]['registers']:,} accounts", None])
        assert not reports[0]["failing"], reports[0]
    return lines


def imported(client: Any) -> list[Line]:
    """What was exported is brought back with every name changed: shown, and applied."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    text = body(client.get("/registers/export.csv")).decode("utf-8-sig").replace("Касса ", "К ")
    file = SimpleUploadedFile("registers.csv", text.encode())
    work: list[tuple[str, Callable[[], Any]]] = [
        ("preview of a file of all registers",
         lambda: client.post("/registers/import/", {"file": file})),
        ("the file imported",
         lambda: client.post("/registers/import/", {"text": text, "confirmed": "1"})),
    ]  # fmt: skip
    return [[words, timed(one), "", None] for words, one in work]


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content
