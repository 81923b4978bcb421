"""What the writers of staging tables do, and other programs of head office."""

from typing import Any

import psycopg2

from tests.chaos.going_back import GoingBack
from tests.chaos.happened import step
from tests.databases import query, run


class HeadOffice(GoingBack):
    @step
    def stage(self, rows: list[str], how: str = "commit") -> None:
        """Writes rows, good, bad or "no", in one transaction, which ends in one of the ways:
        commit, roll back, forgettable (an asynchronous commit), partly (a savepoint is rolled
        back), late (it stays open), two-phase (it is prepared).
        """
        connection = psycopg2.connect(self.shop_all)
        numbers = [str(next(self.numbers)) for _ in rows]
        if how == "forgettable":
            run(connection, "set local synchronous_commit = off")
        if how == "partly":
            self._write(connection, ["good"], [str(next(self.numbers))], "savepoint part")
            run(connection, "rollback to part")
        self._write(connection, rows, numbers)
        if how == "late":
            self.late.append((connection, numbers))
            return
        if how == "two-phase":
            run(connection, f"prepare transaction 'rows {' '.join(numbers)}'")
        elif how == "roll back":
            connection.rollback()
        else:
            connection.commit()
            self.now.ever.update(numbers)
        connection.close()

    def _write(self, connection: Any, rows: list[str], numbers: list[str], first: str = "") -> None:
        if first:
            run(connection, first)
        for row, number in zip(rows, numbers, strict=True):
            values = self.rows.values_of(row, number)
            marks = ", ".join(["%s"] * len(values))
            run(
                connection,
                f"insert into {self.rows.staging} ({', '.join(values)}) values ({marks})",
                [*values.values()],
            )

    @step
    def end_late(self, *, commit: bool) -> None:
        connection, numbers = self.late.pop(0)
        if commit:
            connection.commit()
            self.now.ever.update(numbers)
        connection.close()

    @step
    def end_prepared(self, *, commit: bool) -> None:
        gid = self.prepared()[0]
        query(self.shop_all, f"{'commit' if commit else 'rollback'} prepared %s", [gid])
        if commit:
            self.now.ever.update(gid.split()[1:])
            self.now.prepared.update(gid.split()[1:])

    @step
    def prepare_nothing(self) -> None:
        """Shop All can prepare no transactions, as PostgreSQL comes: no rebase asks about them."""
        query(self.shop_all, "alter system set max_prepared_transactions = 0")
        self.instances["shop_all"].stop()
        self.instances["shop_all"].start()

    @step
    def grow_careless(self) -> None:
        """Somebody sets for the whole database that commits need not be flushed."""
        query(self.shop_all, "alter database shop_all set synchronous_commit = off")

    @step
    def burn(self, transactions: int) -> None:
        """Other programs use up transactions."""
        self._burn(self.shop_all, transactions)
