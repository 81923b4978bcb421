"""From a commit in staging until a register sees it on the work port, with a resident worker.

Every row adds 1.00 to the balance of one account: the balance that a register gets says how
many of the rows it sees.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import httpx2

from bench.ground import Ground, Installation
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import quantile
from tests.databases import query

CARD, ACCOUNT = "7780000000001", "4100000001"
ROW = (
    'insert into "changeAccountBalanceTemp" (account, amount) values '
    f"('{ACCOUNT}', 1) returning clock_timestamp()"
)
AT_MOST = 150  # seconds that anything is waited for
BETWEEN_LOOKS = 0.01


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    with ground.installation() as at:
        query(
            at.bonus,
            'insert into "cardAccounting" (card, account, status) values (%s, %s, 1)',
            [CARD, ACCOUNT],
        )
        task = at.dock("bench", at.bonus).tasks.get(kind="balances")
        from tests.reference_server import TOKEN, reference_server  # needs Django's models

        with reference_server(at.bonus) as server:
            register = register_of(server.admin_port, server.work_url, TOKEN)
            return [table(at, task, register, sizes)]


def register_of(admin_port: int, work_url: str, token: str) -> httpx2.Client:
    """A register that has been given an account, at the work port."""
    made = httpx2.post(
        f"http://127.0.0.1:{admin_port}/accounts",
        headers={"Authorization": f"Bearer {token}"},
        json={"register": "r1", "shop": "s1", "name": "r1"},
    )
    account = made.raise_for_status().json()
    return httpx2.Client(base_url=work_url, auth=(account["login"], account["secret"]))


def table(at: Installation, task: Any, register: httpx2.Client, sizes: Sizes) -> Table:
    with resident(at, "db_worker"):
        pressed = by_run_now(at, task, register, sizes.of(100, 2))
    columns = ["what starts the run", "median s", "p99 s", "most s", "rows"]
    name = "“Run now” pressed at the commit, one db_worker"
    row = [name, median(pressed), quantile(pressed, 0.99), max(pressed), len(pressed)]
    return Table("From commit to visible", columns, [row])


@contextmanager
def resident(at: Installation, command: str) -> Iterator[None]:
    """A worker that waits for jobs."""
    process = at.start(command)
    try:
        wait_until(lambda: seen_by_the_pages() or process.poll() is not None)
        assert process.poll() is None, f"{command} has ended"
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def seen_by_the_pages() -> int:
    from transfer.runs import workers

    return workers.count_workers().resident


def wait_until(happened: Any, seconds: float = AT_MOST) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"nothing happened in {seconds} s"
        time.sleep(BETWEEN_LOOKS)


def visible_rows(register: httpx2.Client) -> int:
    card = register.get(f"/cards/{CARD}")
    card.raise_for_status()
    return int(float(card.json()["balance"]))


def by_run_now(at: Installation, task: Any, register: httpx2.Client, count: int) -> list[float]:
    from transfer.models import Actor
    from transfer.runs.start import RunIsOpen, run_now

    def pressed() -> bool:
        try:
            run_now(task, Actor("bench"))
        except RunIsOpen:  # the one before sees to its end
            return False
        return True

    taken = []
    for _ in range(count):
        wait_until(lambda: not task.runs.open().exists())
        before = visible_rows(register)
        query(at.shop_all, ROW)
        committed = time.monotonic()
        wait_until(pressed)
        wait_until(lambda before=before: visible_rows(register) > before)
        taken.append(time.monotonic() - committed)
    return taken
