"""`python -m bench.registers`: pages, checks, files and new accounts of a large chain.

Pages are asked for inside this process by Django's test client, as a whole: middleware, queries,
template. "Python" is the time that this process computed, "clock" what passed, queries included.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench.chain import Chain
from tests.chaos.cluster import Cluster

MS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.registers", description=__doc__)
    parser.add_argument("--registers", type=int, default=5000)
    parser.add_argument("--servers", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dt") as home:
        cluster = Cluster(Path(home))
        try:
            cluster.set_up()
            set_up_django(cluster)
            chain = Chain(cluster, options.registers, options.servers)
            measure(chain, options.rounds)
        finally:
            cluster.stop()


def set_up_django(cluster: Cluster) -> None:
    os.environ.update(cluster.environment, DJANGO_SETTINGS_MODULE="dtadmin.settings")
    import django

    django.setup()


def measure(chain: Chain, rounds: int) -> None:
    from django.contrib.auth.models import User
    from django.test import Client
    from django.utils import translation

    translation.activate("ru")
    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.create_superuser("olga"))
    print(f"{chain.registers} registers, {len(chain.databases)} bonus servers\n")
    try:
        chain.open()
        report_accounts(chain, client)
        chain.give_accounts()
        report_checks()
        report_pages(chain, client, rounds)
        report_import(chain, client)
    finally:
        chain.close()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def say(what: str, seconds: float, more: object = "") -> None:
    print(f"{what:44}{seconds:9.2f} s  {more}")


def report_accounts(chain: Chain, client: Any) -> None:
    """From the press of the button to the file of credentials."""
    server = chain.servers[0]
    order = f"{server.get_absolute_url()}accounts/"
    seconds, ordered = timed(lambda: client.post(order, {"action": "create_all"}))
    job = ordered.headers["Location"]
    say("accounts ordered by a press", seconds)
    with watching(client, job) as looks:
        seconds, peak = timed(chain.work_off_the_queue)
    made = server.accounts.created().count()
    say(f"{made} accounts made by db_worker", seconds, f"{made / seconds:.0f}/s, {peak:.0f} MB")
    say("the job's page meanwhile, at most", max(looks), f"asked {len(looks)} times")
    seconds, _ = timed(lambda: client.get(f"{job}?per_page=250").content)
    say("the job's page afterwards, 250 results", seconds)
    seconds, file = timed(lambda: body(client.post(f"{job}download/")))
    say("their credentials as CSV", seconds, f"{len(file.splitlines()) - 1} lines\n")


class watching:
    """Asks for a page every half second while the block runs: how long each time."""

    def __init__(self, client: Any, address: str) -> None:
        self.client, self.address = client, address
        self.stopped = threading.Event()
        self.looks: list[float] = []
        self.thread = threading.Thread(target=self.look)

    def __enter__(self) -> list[float]:
        self.thread.start()
        return self.looks

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def look(self) -> None:
        while not self.stopped.wait(0.5):
            self.looks.append(timed(lambda: self.client.get(f"{self.address}?part=1"))[0])


def report_checks() -> None:
    from transfer.servers.checks import check_connections

    for words in ("the first check, which learns all of them", "a check"):
        seconds, told = timed(check_connections)
        say(words, seconds, f"{told['registers']} accounts, {told['failing']} servers failing")
    print()


def pages(chain: Chain) -> Iterator[tuple[str, str]]:
    server = chain.servers[1]
    page = server.get_absolute_url()
    yield "servers", "/servers/"
    yield "server", page
    yield "server, 250 rows", f"{page}?per_page=250"
    yield "server, any problem", f"{page}?state=problem"
    yield "server, 250 rows by state", f"{page}?sort=shown_state&per_page=250"
    yield "server, what refreshes itself", f"{page}live/"
    yield "registers", "/registers/"
    yield "registers, 250 rows", "/registers/?per_page=250"
    yield "registers, any problem", "/registers/?state=problem"
    yield "registers, any problem, 250 rows", "/registers/?state=problem&per_page=250"
    yield "registers, 250 rows by shop", "/registers/?state=offline&sort=shop&per_page=250"
    yield "registers, none on one server", f"/registers/?state=not_created&server={server.pk}"
    yield "registers, by letters", "/registers/?q=99"
    yield "one register", chain.servers[0].accounts.first().register.get_absolute_url()
    yield "a register's form", "/registers/add/"
    yield "shops, 250 rows", "/shops/?per_page=250"
    yield "CSV of all registers", "/registers/export.csv"


def report_pages(chain: Chain, client: Any, rounds: int) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    addresses = dict(pages(chain))
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in addresses}
    for _ in range(rounds + 1):
        for name, address in addresses.items():
            taken[name].append(cost(client, address))
    print(f"{'median':34}{'Python, ms':>12}{'clock, ms':>11}{'queries':>9}{'KB':>7}")
    for name, address in addresses.items():
        with CaptureQueriesContext(connection) as queries:
            size = len(body(client.get(address)))
        own, clock = (median(one) * MS for one in zip(*taken[name][1:], strict=True))
        print(f"{name:34}{own:12.0f}{clock:11.0f}{len(queries):9}{size / 1024:7.0f}")
    print()


def report_import(chain: Chain, client: Any) -> None:
    """What was exported is brought back with every name changed: shown, and applied."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    text = body(client.get("/registers/export.csv")).decode("utf-8-sig").replace("Касса ", "К ")
    file = SimpleUploadedFile("registers.csv", text.encode())
    seconds, _ = timed(lambda: client.post("/registers/import/", {"file": file}))
    say("preview of a file of all registers", seconds)
    confirmed = {"text": text, "confirmed": "1"}
    seconds, _ = timed(lambda: client.post("/registers/import/", confirmed))
    say("the file imported", seconds)


def cost(client: Any, address: str) -> tuple[float, float]:
    """Seconds that this process computed, and that passed."""
    own, clock = time.process_time(), time.perf_counter()
    response = client.get(address)
    body(response)
    assert response.status_code == 200, (address, response.status_code)
    return time.process_time() - own, time.perf_counter() - clock


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


if __name__ == "__main__":
    main()
