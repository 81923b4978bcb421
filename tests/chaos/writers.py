"""Head office, which writes into the staging tables through all failures of the server."""

import random
import threading
import time
from contextlib import closing, suppress

import psycopg2

PATIENCE = 60  # seconds until a server that does not come back fails the test

# Rows are made by the server, so that few statements write many. Every account and card belongs
# to one writer: its transactions, one after another, alone decide which row is the last.
ROWS = {
    "balances": """
        insert into "changeAccountBalanceTemp" (account, amount, validfrom, validto, comment)
        select case when n %% 41 = 0 then 'bad account' else format('%(writer)s-%%s', n %% 50) end,
               case when n %% 53 = 0 then 0.001 else (n %% 9973 + 1) / 100.0 end,
               now(), now() + interval '1 year', format('%(writer)s/%%s', n)
          from generate_series(%(first)s, %(last)s) as n
    """,
    "pincodes": """
        insert into "accountpincodeTemp" (account, pincode)
        select format('%(writer)s-%%s', n %% 20), case when n %% 31 > 0 then n::text end
          from generate_series(%(first)s, %(last)s) as n
    """,
    "cards": """
        insert into "changeCardAccountTemp" (card, account, status)
        select format('%(writer)s-%%s', n * 7 %% 60),
               case when n %% 3 = 0 then format('%(writer)s-%%s', n %% 11) end,
               case when n %% 2 = 0 then n %% 5 end
          from generate_series(%(first)s, %(last)s) as n
    """,
}
KINDS = ["balances", "balances", "balances", "balances", "pincodes", "cards"]


class Writer(threading.Thread):
    """One connection after another, since the server may go away at any time."""

    def __init__(self, dsn: str, number: int, stop: threading.Event) -> None:
        super().__init__(name=f"writer {number}", daemon=True)
        self.dsn = dsn
        self.number = number
        self.stop = stop
        self.chance = random.Random(number)
        self.next = 1  # no number is used twice, whether it was committed or not

    def run(self) -> None:
        while not self.stop.is_set():
            with suppress(psycopg2.Error), closing(psycopg2.connect(self.dsn)) as connection:
                while not self.stop.is_set():
                    self.transaction(connection)
                    self.stop.wait(self.chance.random() / 5)  # how busy head office is

    def transaction(self, connection) -> None:
        chance = self.chance
        with connection.cursor() as cursor:
            for _ in range(chance.randrange(1, 4)):
                cursor.execute("savepoint part")
                self.write(cursor, chance.choice(KINDS))
                if chance.random() < 0.1:
                    cursor.execute("rollback to part")
                self.stop.wait(chance.choice([0, 0, 0.1]))  # a commit that is late
        connection.rollback() if chance.random() < 0.1 else connection.commit()

    def write(self, cursor, kind: str) -> None:
        last = self.next + self.chance.choice([0, 5, 100, 500])
        span = {"writer": self.number, "first": self.next, "last": last}
        self.next = last + 1
        cursor.execute(ROWS[kind] % span)


class SingleRows(Writer):
    """Commits one row after another."""

    def transaction(self, connection) -> None:
        with connection.cursor() as cursor:
            kind = self.chance.choice(KINDS)
            cursor.execute(
                ROWS[kind] % {"writer": self.number, "first": self.next, "last": self.next}
            )
            self.next += 1
        connection.commit()


class Idler:
    """A transaction that has written and stays open; a new one after the server was lost."""

    def __init__(self, dsn: str, statement: str) -> None:
        self.dsn = dsn
        self.statement = statement
        self.connection = None

    def keep(self) -> None:
        try:
            if self.connection is None:
                self.connection = psycopg2.connect(self.dsn)
                self.connection.cursor().execute(self.statement)
            self.connection.cursor().execute("select 1")
        except psycopg2.Error:
            self.connection = None

    def commit(self) -> None:
        """Commits at last; the server may be recovering still."""
        deadline = time.monotonic() + PATIENCE
        self.keep()
        while self.connection is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            self.keep()
        self.connection.commit()
        self.connection.close()
