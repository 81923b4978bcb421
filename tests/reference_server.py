"""A reference bonus server on free ports, beside its database; one for all tests of a process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.databases import ROOT, as_url, query
from transfer.bonus_admin_client.contract import Endpoint
from transfer.models import AccountJob, Actor, BonusServer, CashRegister, Shop
from transfer.servers.account_job import Work

TOKEN = "token-of-the-tests-0123456789"
NOTHING_YET = """
    delete from register_account; delete from operation; delete from pin_guard;
    delete from pincode; delete from asset; delete from "cardAccounting";
    drop schema if exists datatransfer cascade
"""

# The six registers of the source document: code, name, shop.
SIX = [
    ("10.152", "10.152", "1"),
    ("10.72", "10.72", "1"),
    ("10.50", "Касса 10.50", "1"),
    ("10.52", "Касса 10.52", "1"),
    ("17", "Касса 17", "111"),
    ("2", "Касса 2", "111"),
]


@dataclass
class Reference:
    """The reference bonus server, as a process."""

    admin_port: int
    work_url: str
    process: subprocess.Popen[str]

    @property
    def work_port(self) -> int:
        return urlsplit(self.work_url).port or 0

    def endpoint(self, **fields: object) -> Endpoint:
        return Endpoint(
            **{
                "name": "Бонусный сервер 8",
                "host": "127.0.0.1",
                "port": self.admin_port,
                "token": TOKEN,
                **fields,
            }
        )


@contextmanager
def reference_server(dsn: str, *arguments: str) -> Iterator[Reference]:
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "reference_bonus_server",
                "serve",
                "--name",
                "Бонусный сервер 8",
            ),
            *("--admin-port", "0", "--work-port", "0", *arguments),
        ],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "BONUSSERVER_DATABASE_URL": as_url(dsn),
            "BONUSSERVER_TOKEN": TOKEN,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        urls = dict(process.stdout.readline().split() for _ in range(2))
        yield Reference(urlsplit(urls["admin"]).port or 0, urls["work"], process)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.fixture(scope="session")
def bonus_of_reference(postgres, bonus_template) -> Iterator[str]:
    name = f"test_reference_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    yield postgres.create(name, bonus_template)
    postgres.drop(name)


@pytest.fixture(scope="session")
def running(bonus_of_reference) -> Iterator[Reference]:
    with reference_server(bonus_of_reference) as running:
        yield running


@pytest.fixture
def reference(running, bonus_of_reference) -> Reference:
    """A reference bonus server without any accounts, cards and balances."""
    query(bonus_of_reference, NOTHING_YET)
    return running


@pytest.fixture
def docked(dock, reference, bonus_of_reference) -> BonusServer:
    """The reference server, docked, with its token."""
    server = dock(bonus_of_reference)
    server.host = "127.0.0.1"
    server.admin_port, server.work_port = reference.admin_port, reference.work_port
    server.api_token = TOKEN
    server.save()
    return server


@pytest.fixture
def six(db) -> list[CashRegister]:
    shops = {code: Shop.objects.get_or_create(code=code)[0] for _, _, code in SIX}
    return [
        CashRegister.objects.create(code=code, name=name, shop=shops[shop])
        for code, name, shop in SIX
    ]


@pytest.fixture
def ordered(docked) -> Callable[..., AccountJob]:
    """Orders a change of accounts and does it here and now."""

    def ordered(action: str, registers: list[CashRegister], server=None) -> AccountJob:
        job = AccountJob.order(
            server or docked,
            AccountJob.Action(action),
            [register.pk for register in registers],
            Actor("olga"),
        )
        Work(job).do()
        job.refresh_from_db()
        return job

    return ordered
