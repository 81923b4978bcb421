"""The product as it runs: web, cron's tick, two workers, two bonus servers; four databases.

Each database is a cluster of its own, and, for root, on a disk of its own that can be filled.
"""

import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
from psycopg2.errors import UndefinedTable

from dtadmin.demo.processes import free_port
from tests.chaos.installation import Installation
from tests.chaos.instance import Instance
from tests.chaos.writers import ROWS
from tests.databases import as_url, connected, query, run
from tests.proxy import Proxy
from transfer.engine.kinds import KINDS

DISK = "256m"
SERVERS = ("bonus 8", "bonus 9")
TICKS = 5  # seconds: cron would look every minute
PASSWORD = secrets.token_urlsafe(9)
GIVE_TOKEN = """
import os
from transfer.models import BonusServer
BonusServer.objects.filter(name="{name}").update(
    api_token=os.environ["BONUSSERVER_TOKEN"], {fields}
)
"""
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@contextmanager
def home() -> Iterator[Path]:
    """A folder for it. pytest's own are closed to the user of the databases by the next pytest."""
    with tempfile.TemporaryDirectory(prefix="dt", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Product(Installation):
    """Rows go to the second bonus server through a proxy, whose `harm` is done to messages."""

    ticks_by: tuple[str, ...] = ("tick",)  # which machines look at the schedule

    def __init__(self, home: Path, ends: ExitStack, workers: int = 2) -> None:
        """`ends`: collects what has to be undone in any case."""
        self._ends = ends
        self.home, self.workers = home, workers
        self.instances = {
            name: self._instance(name) for name in ("own", "shop_all", "bonus_8", "bonus_9")
        }
        dsns = {name: one.dsn(name) for name, one in self.instances.items()}
        super().__init__(dsns["own"], dsns["shop_all"], dsns["bonus_8"])
        self.bonuses = dict(zip(SERVERS, (dsns["bonus_8"], dsns["bonus_9"]), strict=True))
        self.harm = lambda message: True
        self.proxy = self._ends.enter_context(
            Proxy(dsns["bonus_9"], lambda message: self.harm(message))
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.commands: dict[str, list[str]] = {}
        self.trees: dict[str, Path] = {}  # of what runs another version than the rest
        self.clock = ""  # of the tick, such as +1h
        self.down: set[str] = set()  # what nobody starts again yet
        self.stop = threading.Event()
        self.port = free_port(0)
        self.ticks = 0
        self.written = 0  # rows of each kind
        self._browser: httpx2.Client | None = None

    def _instance(self, name: str) -> Instance:
        place = self.home / name
        place.mkdir()
        if os.getuid() == 0:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(place)]
            subprocess.run(mount, check=True)
            self._ends.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)
        instance = Instance(place / "cluster")
        instance.create(name)
        query(instance.dsn(name), "alter system set max_wal_size = '64MB'")
        query(instance.dsn(name), "select pg_reload_conf()")
        self._ends.callback(instance.crash)
        return instance

    def start_all(self) -> None:
        self.set_up()
        self.bonus, self.environment["BONUSSERVER_DATABASE_URL"] = (
            self.bonuses["bonus 9"],
            as_url(self.bonuses["bonus 9"]),
        )
        self.run([sys.executable, "-m", "reference_bonus_server", "migrate", "--verbosity=0"])
        query(self.own, "update transfer_bonusserver set name = %s", [SERVERS[0]])
        options = ["--name", SERVERS[1], "--host", "localhost"]
        options += ["--received", "nothing", "--database-url", self.way_to_the_second()]
        self.manage("server", "add", *options)
        self.environment |= {
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "DJANGO_SUPERUSER_EMAIL": "",
            "BONUSSERVER_TOKEN": secrets.token_urlsafe(24),
        }
        self.manage("createsuperuser", "--noinput", "--username", "root")
        self.commands = self.services()
        self.keep_up()
        self._threads = [
            threading.Thread(target=self._supervise, daemon=True),
            *(
                threading.Thread(target=self._cron, args=[one], daemon=True)
                for one in self.ticks_by
            ),
        ]
        for thread in self._threads:
            thread.start()
        self._ends.callback(self._end)

    def way_to_the_second(self) -> str:
        return as_url(self.proxy.dsn)

    def services(self) -> dict[str, list[str]]:
        """What runs all the time: its name, and what Python is called with."""
        return {**self.pages_and_workers("127.0.0.1"), **self.reference_servers()}

    def pages_and_workers(self, address: str) -> dict[str, list[str]]:
        worker = ["manage.py", "db_worker", "--verbosity=0"]
        return {
            "web": ["-m", "gunicorn", f"--bind={address}:{self.port}"],
            **{f"worker {number}": worker for number in range(1, self.workers + 1)},
        }

    def reference_servers(self) -> dict[str, list[str]]:
        commands = {}
        for name in SERVERS:
            ports = (free_port(0), free_port(0))
            commands[name] = [
                *("-m", "reference_bonus_server", "serve", "--name", name),
                *("--admin-port", str(ports[0]), "--work-port", str(ports[1])),
            ]
            fields = f"admin_port={ports[0]}, work_port={ports[1]}, host='127.0.0.1'"
            self.manage("shell", "-c", GIVE_TOKEN.format(name=name, fields=fields))
        return commands

    def place(self, name: str) -> list[str]:
        """What a process is started by, so that it runs where it belongs."""
        return []

    def _end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()
        if self._browser:
            self._browser.close()
        for process in self.processes.values():
            process.terminate()
            process.wait(30)

    def keep_up(self) -> None:
        """Starts what does not run, as systemd would."""
        for name, command in self.commands.items():
            process = self.processes.get(name)
            if name not in self.down and (process is None or process.poll() is not None):
                environment = dict(self.environment)
                if name in SERVERS:
                    environment["BONUSSERVER_DATABASE_URL"] = as_url(self.bonuses[name])
                with (self.home / f"{name}.log").open("ab") as log:
                    self.processes[name] = subprocess.Popen(
                        [*self.place(name), sys.executable, *command],
                        cwd=self.trees.get(name, self.tree),
                        env=environment,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )

    def _supervise(self) -> None:
        while not self.stop.wait(1):
            self.keep_up()

    def _cron(self, name: str) -> None:
        while not self.stop.wait(TICKS):
            environment = dict(self.environment)
            if self.clock:
                environment |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME": self.clock}
            with (self.home / f"{name}.log").open("ab") as log:
                tick = subprocess.Popen(
                    [*self.place(name), *self.command("run_due_tasks", "--no-drain")],
                    cwd=self.trees.get(name, self.tree),
                    env=environment,
                    stdout=log,
                    stderr=log,
                )
                self.processes[name] = tick
                with suppress(subprocess.TimeoutExpired):
                    tick.wait(60)
            self.ticks += 1

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    def log(self) -> str:
        return "".join(file.read_text(errors="replace") for file in self.home.glob("*.log"))

    def browser(self) -> httpx2.Client:
        """A browser that has logged in."""
        client = httpx2.Client(base_url=self.address, timeout=60)
        token = client.get("/login/").text.partition('csrfmiddlewaretoken" value="')[2][:64]
        form = {"username": "root", "password": PASSWORD, "csrfmiddlewaretoken": token}
        answer = client.post("/login/", data=form)
        if answer.is_error:
            answer.raise_for_status()
        assert answer.status_code == 302
        return client

    def switch_on(self) -> None:
        """The first bonus server's tasks run every minute, the second one's as rows arrive."""
        self.manage("task", "on", "all")
        self.manage("task", "resume", "all")
        first, second = SERVERS
        self.manage("task", "schedule", "all", "--server", first, "--cron", "* * * * *")
        self.manage("task", "schedule", "all", "--server", second, "--as-rows-arrive")

    def write(self, rows: int) -> None:
        """One transaction a kind, as head office's writer number 1."""
        for statement in ROWS.values():
            span = {"writer": 1, "first": self.written + 1, "last": self.written + rows}
            with connected(self.shop_all) as connection:
                run(connection, statement % span)
        self.written += rows

    def problems(self, tones: str = "bad|warn") -> list[str]:
        """What the overview says is wrong; or that it can't be shown."""
        try:
            self._browser = self._browser or self.browser()
            page = self._browser.get("/?ask=1", follow_redirects=True)
        except httpx2.HTTPStatusError as error:
            page = error.response
        except httpx2.TransportError:
            return ["no answer"]
        if page.status_code >= 500:
            heading = re.search("<h1[^>]*>(.*?)</h1>", page.text, re.DOTALL)
            return [f"{page.status_code}: {words(heading[1] if heading else page.text)}"]
        # Up to the next one: the causes of an outage are a list of their own.
        item = rf'<li class="problem (?:{tones})">.*?(?=<li class="problem |</section>)'
        listed = re.findall(item, page.text, re.DOTALL)
        return [words(one).partition(": ")[2] for one in listed]

    def waiting(self, server: str, kind: str) -> int:
        """Staged rows that the bonus server has not received."""
        ((staged,),) = query(self.shop_all, f'select count(*) from "{KINDS[kind].staging}"')
        position: list[tuple[int]] = []
        with suppress(UndefinedTable):  # before its first run
            position = query(
                self.bonuses[server],
                "select rows_applied + rows_unchanged + rows_rejected from datatransfer.position "
                "where kind = %s",
                [kind],
            )
        return staged - (position[0][0] if position else 0)

    def everything_has_arrived(self) -> bool:
        """And has been told to our own database, as a run does before it ends."""
        if query(self.own, "select 1 from transfer_transferrun where finished_at is null"):
            return False
        return not any(self.waiting(server, kind) for server in SERVERS for kind in KINDS)


def words(html: str) -> str:
    """What a person reads of a page's part."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()
