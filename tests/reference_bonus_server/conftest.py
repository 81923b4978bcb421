"""A reference bonus server in a process of its own, on a database of its own."""

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import httpx2
import psycopg2
import pytest

from tests.databases import ROOT, Server, as_url
from tests.waiting import wait_until

TABLES = [
    *("pincode", "asset", '"cardAccounting"'),
    *("register_account", "operation", "pin_guard"),
]
TOKEN = "token-of-the-tests-0123456789"
TRUST = ssl.create_default_context()  # made once: it takes longer than a request


class Process:
    """A command of `python -m reference_bonus_server`, with what it prints."""

    def __init__(self, arguments: list[str], environ: dict[str, str], log: Path) -> None:
        self.log_file = log
        with log.open("wb") as stderr:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "reference_bonus_server", *arguments],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "", **environ},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.lines: Queue[str] = Queue()
        self.reader = Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.popen.stdout
        for line in self.popen.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self) -> str:
        return self.lines.get(timeout=20)

    def line_with(self, text: str) -> str:
        return wait_until(lambda: (line := self.line()) and text in line and line)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def stop(self) -> int:
        self.popen.terminate()
        return self.wait()

    def wait(self) -> int:
        try:
            return self.popen.wait(timeout=20)
        finally:
            self.popen.kill()
            self.popen.wait()
            self.reader.join()
            assert self.popen.stdout
            self.popen.stdout.close()


@dataclass
class Served:
    process: Process
    admin_url: str
    work_url: str

    @property
    def log(self) -> str:
        return self.process.log


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reference_bonus_server")


@pytest.fixture(scope="session")
def database_url(postgres: Server, bonus_template: str) -> Iterator[str]:
    name = f"test_bonusserver_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    yield as_url(postgres.create(name, bonus_template))
    postgres.drop(name)


@contextmanager
def serving(database_url: str, folder: Path, *arguments: str) -> Iterator[Served]:
    environ = {"BONUSSERVER_DATABASE_URL": database_url, "BONUSSERVER_TOKEN": TOKEN}
    ports = ["--admin-port", "0", "--work-port", "0"]
    log = folder / f"serve-{time.monotonic_ns()}.log"
    process = Process(["serve", *ports, *arguments], environ, log)
    try:
        urls = dict(process.line().split(" ") for _ in range(2))
        yield Served(process, urls["admin"], urls["work"])
    finally:
        assert process.stop() == 0, process.log


@pytest.fixture(scope="session")
def served(database_url, folder) -> Iterator[Served]:
    with serving(database_url, folder, "--name", "Бонусный сервер 8") as served:
        yield served


class Database:
    def __init__(self, connection) -> None:
        self.connection = connection

    def run(self, statement: str, *values: object) -> list[tuple]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def card(self, card: str, account: str | None, status: int, balance: object = 0) -> None:
        self.run('insert into "cardAccounting" values (%s, %s, %s, now())', card, account, status)
        if balance:
            self.asset(account, balance)

    def asset(self, account, amount, validfrom=None, validto=None) -> None:
        self.run(
            "insert into asset (account, amount, validfrom, validto) "
            "values (%s, %s, now() + %s::interval, now() + %s::interval)",
            account,
            amount,
            validfrom,
            validto,
        )

    def pin(self, account: str, pin: str) -> None:
        self.run("insert into pincode values (%s, %s, now())", account, pin)


@pytest.fixture
def db(database_url) -> Iterator[Database]:
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        database = Database(connection)
        for table in TABLES:
            database.run(f"delete from {table}")
        yield database


def admin_client(url: str, **options: Any) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    options = {"verify": TRUST, "timeout": 20, "trust_env": False, **options}
    return httpx2.Client(base_url=url, headers=headers, **options)


@pytest.fixture
def admin(served, db) -> Iterator[httpx2.Client]:
    with admin_client(served.admin_url) as client:
        yield client


def account(admin: httpx2.Client, register: str = "10.152", shop: str = "1") -> dict[str, Any]:
    answer = admin.post("/accounts", json={"register": register, "shop": shop, "name": register})
    assert answer.status_code == 201, answer.text
    return answer.json()


@contextmanager
def calling(url: str, account: dict[str, Any], **options: Any) -> Iterator[httpx2.Client]:
    """A register that calls the work port with its account."""
    auth = (account["login"], account["secret"])
    options = {"verify": TRUST, "timeout": 20, "trust_env": False, **options}
    with httpx2.Client(base_url=url, auth=auth, **options) as client:
        yield client


@pytest.fixture
def register(served, admin) -> Iterator[httpx2.Client]:
    with calling(served.work_url, account(admin)) as client:
        yield client


@contextmanager
def locked(db: Database, account: str) -> Iterator[None]:
    """The account is locked, as by an operation on it that has not ended yet."""
    db.run("select pg_advisory_lock(hashtextextended(%s, 7771))", account)
    try:
        yield
    finally:
        db.run("select pg_advisory_unlock(hashtextextended(%s, 7771))", account)


def waiting(db: Database) -> int:
    """How many operations wait for a lock."""
    (row,) = db.run("""
        select count(*) from pg_locks join pg_database on pg_database.oid = database
         where locktype = 'advisory' and not granted and datname = current_database()
    """)
    return row[0]


def refused(answer: httpx2.Response, status: int, code: str) -> bool:
    """Whether it is an error as the contract has it: exactly a code and a sentence."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, code), answer.text
    assert body.keys() == {"error", "message"}
    assert body["message"].endswith(".")
    return True
