"""Tables as another has made them, with the file of DTADMIN_TABLES that says so."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.databases import Server, initialise_shop_all, query
from tests.flow import Flow
from transfer import installed

TABLES = """\
[pincodes.shop_all]
table = "pinChanges"

[pincodes.shop_all.columns]
account = "accountNumber"
pincode = "PIN"

[pincodes.bonus_server]
table = "accountPin"

[pincodes.bonus_server.columns]
account = "accountNumber"
pincode = "pin"
changed_at = false

[pincodes.bonus_server.fixed]
setBy = "head office's, 100 %s {rows}"

[balances.shop_all]
table = "balanceChanges"
amount = "minor"

[balances.shop_all.columns]
account = "accountNumber"
amount = "sum"

[balances.shop_all.fixed]
source = 7

[balances.bonus_server]
table = "asset"
amount = "minor"

[balances.bonus_server.columns]
account = "accountNumber"
validfrom = "begin"
validto = false
comment = "note"
created_at = "date"

[balances.bonus_server.fixed]
assetGroupId = 1
status = "ACTIVE"
isOpen = true

[cards.shop_all]
table = "cardChanges"

[cards.shop_all.columns]
card = "number"
account = "accountNumber"

[cards.bonus_server.columns]
card = "number"
account = "accountNumber"
changed_at = false

[cards.bonus_server.status]
EARN_ONLY = "ACCUMULATE"
EARN_PAY = "ACTIVE"
NO_OPERATION = "BLOCKED"
PAY_ONLY = "SPEND"

[cards.bonus_server.fixed]
blockedBy = ""
"""

SHOP_ALL = """
create table "pinChanges" ("accountNumber" varchar(100), "PIN" varchar(100));
create table "balanceChanges" ("accountNumber" varchar(100), sum bigint, source integer not null);
create table "cardChanges" (number varchar(100), "accountNumber" varchar(100), status integer);
"""
BONUS = """
create table "accountPin" (
    "accountNumber" varchar(100) primary key, pin varchar(100) not null,
    "setBy" varchar(100) not null
);
create table asset (
    id bigserial primary key, amount bigint not null, "accountNumber" varchar(100) not null,
    "assetGroupId" integer not null, begin timestamptz, note text, date timestamptz not null,
    status varchar(20) not null, "lastStatus" varchar(20), "isOpen" boolean not null
);
create table "cardAccounting" (
    idcard bigserial primary key, number varchar(100) not null unique, status varchar(32) not null,
    "accountNumber" varchar(100) not null, "blockedBy" varchar(32) not null
);
"""


@contextmanager
def mapped(file: Path, *, changed: Callable[[str], str] = str) -> Iterator[Path]:
    """The product has these tables for the time of the block; gives the file that says so.

    Not by the fixture `settings`: its changes end later, and would leave these tables behind.
    """
    # A name of its own: a process reads a file once.
    named = file.with_stem(f"{file.stem}-{uuid4().hex}")
    named.write_text(changed(TABLES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed, "file_of_tables", lambda: str(named))
        yield named


@pytest.fixture
def vendor(postgres: Server, tmp_path: Path, settings: object) -> Iterator[Callable[[str], Flow]]:
    """Makes the flow of a kind between tables of another; the settings name that shop All."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    names = [f"test_vendor_{one}_{worker}" for one in ("shop_all", "bonus")]
    shop_all, bonus = map(postgres.create, names)
    query(shop_all, SHOP_ALL)
    query(bonus, BONUS)
    with mapped(tmp_path / "tables.toml"):
        initialise_shop_all(shop_all)
        settings.SHOP_ALL_DATABASE_URL = shop_all
        yield lambda kind: Flow(kind, shop_all, bonus)
    for name in names:
        postgres.drop(name)
