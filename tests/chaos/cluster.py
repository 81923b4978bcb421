"""A PostgreSQL server of the test's own, with an installation on it."""

from contextlib import contextmanager
from pathlib import Path

from tests.chaos.beginning import begin
from tests.chaos.installation import DATABASES, Installation
from tests.chaos.instance import Instance
from tests.databases import query

# As PostgreSQL has them; histories that are replayed need them otherwise (instance.py).
USUAL = ("autovacuum = on", "wal_writer_delay = '200ms'")


class Cluster(Installation):
    def __init__(self, home: Path) -> None:
        home.chmod(0o755)  # PostgreSQL does not run as root
        self.instance = Instance(home / "pg")
        begin(self.instance, *DATABASES)
        self.database_of_server = self.instance.dsn()
        for setting in USUAL:
            query(self.database_of_server, f"alter system set {setting}")
        query(self.database_of_server, "select pg_reload_conf()")
        query(self.database_of_server, "create database elsewhere")
        self.elsewhere = self.instance.dsn("elsewhere")
        super().__init__(*map(self.instance.dsn, DATABASES))
        self.move_in()

    def stop(self) -> None:
        self.instance.crash()


@contextmanager
def cluster_in(home: Path):
    cluster = Cluster(home)
    try:
        yield cluster
    finally:
        cluster.stop()
