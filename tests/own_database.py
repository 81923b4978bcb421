"""Copies of our own database, to which a test lets it go back."""

from django.db import connection

from tests.databases import Server, query


class OwnDatabases:
    """Copies of our own database, to which it can go back."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.own = str(connection.settings_dict["NAME"])
        self.copies: list[str] = []

    def copy(self) -> str:
        place = f"{self.own}_copy_{len(self.copies)}"
        self.copies.append(place)
        self._copy(self.own, place)
        return place

    def restore(self, place: str) -> None:
        self._copy(place, self.own)

    def drop(self) -> None:
        for place in self.copies:
            self.server.drop(place)

    def _copy(self, source: str, target: str) -> None:
        connection.close()
        query(
            self.server.dsn,
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = any(%s)",
            [[source, target]],
        )
        self.server.create(target, source)
