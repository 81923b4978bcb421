"""Web servers that could serve the pages: under load, slow clients, uploads and restarts."""

import signal
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import count
from statistics import median
from threading import Event
from time import perf_counter

import httpx
import psutil

from bench import estate
from bench.ground import Ground, Installation
from bench.latency import wait_until
from bench.report import Table
from bench.site import Site, administrator, answers
from bench.sizes import Sizes
from bench.timing import MS, interleaved, quantile, timed
from tests.databases import ROOT

APPLICATION = "dtadmin.wsgi:application"
PAGES = ("/", "/scheduler/", "/history/", "/rejects/", "/registers/", "/health/live")
REQUESTS = 240  # a round, by all clients together
SLOW = 40  # clients that never end their request
PATIENCE = 20  # seconds after which nobody has been answered beside them
FILE = b"account;amount\n" + b"4100000037;0.01\n" * (40 * 2**20 // 16)
PROCESSES, THREADS = 2, 16
SERVERS = {
    "gunicorn": ["gunicorn"],  # its options are those of gunicorn.conf.py
    "waitress": ["waitress", "--listen=127.0.0.1:{port}", f"--threads={THREADS}", APPLICATION],
    "granian": [
        "granian", "--interface=wsgi", "--port={port}", f"--workers={PROCESSES}",
        f"--blocking-threads={THREADS}", APPLICATION,
    ],
}  # fmt: skip


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    present = [name for name in SERVERS if find_spec(name)]
    figures: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in present}
    with ground.installation() as at:
        estate.fill(at, Sizes(sizes.factor / 20, sizes.rounds))
        password = administrator(at)
        for _, name in interleaved(present, sizes.rounds):
            with running(at, name, password) as site:
                for measured in (load, slow_clients, upload, restart):
                    for title, value in measured(site, sizes).items():
                        figures[name][title].append(value)
    rows = [
        [title, *(median(of_server[title]) for of_server in figures.values())]
        for title in figures["gunicorn"]
    ]
    missing = [f"{name} is not installed." for name in SERVERS if name not in present]
    title = f"{PROCESSES} processes of {THREADS} threads; waitress is one process"
    return [Table(title, ["", *present], rows, missing)]


@contextmanager
def running(at: Installation, name: str, password: str) -> Iterator["Server"]:
    """A server on a socket of ours, which stays open over a restart, if it can take one."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        port = listening.getsockname()[1]
        handed: socket.socket | None = listening
        if name != "gunicorn":
            listening.close()
            handed = None
        server = Server(at, name, port, password, handed)
        server.start()
        try:
            yield server
        finally:
            server.end()


class Server(Site):
    def __init__(
        self, at: Installation, name: str, port: int, password: str, handed: socket.socket | None
    ) -> None:
        self.at, self.name, self.port, self.password, self.handed = at, name, port, password, handed
        self.address = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        command = [sys.executable, "-m", *(w.format(port=self.port) for w in SERVERS[self.name])]
        descriptors = []
        if self.handed is not None:
            descriptors = [self.handed.fileno()]
            take = f'exec 3<&{descriptors[0]}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" "$@"'
            command = ["bash", "-c", take, *command]
        with tempfile.TemporaryFile("w+") as log:
            self.running = subprocess.Popen(
                command, env=self.at.environment, cwd=ROOT, pass_fds=descriptors,
                stdout=log, stderr=log,
            )  # fmt: skip
            wait_until(lambda: answers(self.address) or self.running.poll() is not None, 60)
            log.seek(0)
            assert self.running.poll() is None, f"{self.name}: {log.read()}"
        self.process = psutil.Process(self.running.pid)

    def end(self) -> None:
        processes = [self.process, *self.process.children(recursive=True)]
        self.running.terminate()
        _gone, left = psutil.wait_procs(processes, 30)
        for process in left:  # of granian, after a restart
            process.kill()
        self.running.wait()

    def restart(self) -> None:
        """As a service manager would ask for it: granian by its own signal, the others anew."""
        if self.name == "granian":
            self.running.send_signal(signal.SIGHUP)
        else:
            self.end()
            self.start()


def load(site: Server, sizes: Sizes) -> dict[str, float]:
    figures = {"memory at first, MB": site.memory()}
    for clients in (8, 50):
        seconds, taken = asked(site, clients, sizes.of(REQUESTS, clients))
        figures[f"{clients} clients, requests a second"] = len(taken) / seconds
        figures[f"{clients} clients, p95, ms"] = quantile(taken, 0.95) * MS
    return figures | {"memory after that, MB": site.memory()}


def asked(site: Server, clients: int, requests: int) -> tuple[float, list[float]]:
    """Seconds in all, and for each request."""
    browsers = [site.browser() for _ in range(clients)]

    def visit(number: int) -> list[float]:
        turns = range(number, requests, clients)
        pages = (partial(browsers[number].get, PAGES[turn % len(PAGES)]) for turn in turns)
        return [timed(lambda ask=page: ask().raise_for_status()) for page in pages]

    with ThreadPoolExecutor(clients) as pool:
        began = perf_counter()
        taken = [one for some in pool.map(visit, range(clients)) for one in some]
        return perf_counter() - began, taken


def slow_clients(site: Server, sizes: Sizes) -> dict[str, float]:
    """Half a request is all that they send; the others want their pages."""
    with ExitStack() as held:
        for _ in range(SLOW):
            one = held.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        with httpx.Client(base_url=site.address, timeout=PATIENCE) as stranger:
            taken = [until_answered(stranger)]
            while taken[-1] < PATIENCE and len(taken) < 5:
                taken.append(until_answered(stranger))
    return {f"beside {SLOW} half requests, ms ({PATIENCE},000: none)": median(taken) * MS}


def until_answered(stranger: httpx.Client) -> float:
    try:
        return timed(partial(stranger.get, "/health/live"))
    except httpx.TransportError:
        return PATIENCE


def upload(site: Server, sizes: Sizes) -> dict[str, float]:
    browser = site.browser()
    page = browser.get("/load/").text
    token = page.partition('csrfmiddlewaretoken" value="')[2][:64]
    form = {"csrfmiddlewaretoken": token, "kind": "balances"}
    file = {"file": ("40.csv", FILE[: sizes.of(len(FILE), 1000)], "text/csv")}
    send = partial(browser.post, "/load/file/", data=form, files=file)
    return {
        "upload of 40 MB, s": timed(lambda: send().raise_for_status()),
        "memory after it, MB": site.memory(),
    }


def restart(site: Server, sizes: Sizes) -> dict[str, float]:
    """Eight clients ask all the while, over a new connection each time, as nginx does."""
    stop, lost, done = Event(), count(), count()

    def visit(_number: int) -> None:
        while not stop.is_set():
            try:
                good = httpx.get(f"{site.address}/health/live", timeout=60).status_code == 200
            except httpx.TransportError:
                good = False
            next(done if good else lost)

    with ThreadPoolExecutor(8) as pool:
        visits = pool.map(visit, range(8))
        site.restart()
        before = next(done)
        wait_until(lambda: next(done) > before + 100, 60)
        stop.set()
        list(visits)
    return {"requests lost by a restart": float(next(lost))}
