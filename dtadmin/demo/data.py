"""Believable rows for the staging tables, as head office would write them."""

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extras import execute_values

from transfer.engine.kind import Kind
from transfer.engine.kinds import BALANCES, CARDS, PINCODES

ACCOUNTS = 6_000
COMMENTS = (
    "Начисление за покупку",
    "Подарок ко дню рождения",
    "Приветственные бонусы",
    "Возврат товара",
    "Акция «Двойные бонусы»",
    "Сгорание бонусов",
)

Values = tuple[Any, ...]


def account(number: int) -> str:
    return f"41{number:08}"


def card(number: int) -> str:
    return f"77800{number:08}"


class HeadOffice:
    """Writes rows into the staging tables; now and then a bad one, as people do."""

    def __init__(self, dsn: str, seed: int) -> None:
        self.dsn = dsn
        self.random = random.Random(seed)  # noqa: S311 - sample data, not secrets

    def is_new(self) -> bool:
        """Whether nothing has ever been written."""
        with closing(psycopg2.connect(self.dsn)) as connection, connection.cursor() as cursor:
            cursor.execute('select from "changeAccountBalanceTemp" limit 1')
            return cursor.rowcount == 0

    def open_accounts(self) -> None:
        """The first load: a card, a PIN code and a balance for every account."""
        numbers = range(1, ACCOUNTS + 1)
        self.write(
            CARDS, [(card(n), account(n), self.random.choice((0, 1, 1, 1))) for n in numbers]
        )
        self.write(PINCODES, [self.pin(n) for n in numbers])
        self.write(BALANCES, (self.change(n) for n in numbers for _ in range(5)))
        self.write(BALANCES, self.bad_changes())
        self.write(CARDS, [(card(9_999_001), None, 2), (card(7), None, 7), (None, account(7), 1)])

    def carry_on(self) -> None:
        """What a few minutes of a working day bring."""
        some = self.random.sample(range(1, ACCOUNTS), 40)
        self.write(BALANCES, [self.change(n) for n in some])
        self.write(PINCODES, [self.pin(n) for n in some[:6]])
        self.write(CARDS, [(card(n), None, self.random.choice((0, 1, 2))) for n in some[:4]])
        if self.random.random() < 0.2:
            self.write(BALANCES, [self.random.choice(self.bad_changes())])

    def pin(self, number: int) -> Values:
        return account(number), f"{self.random.randrange(10_000):04}"

    def change(self, number: int) -> Values:
        now = datetime.now(UTC)
        amount = Decimal(self.random.randrange(100, 150_000)) / 100
        if self.random.random() < 0.15:
            amount = -amount / 4
        until = now + timedelta(days=self.random.choice((30, 90, 365)))
        comment = self.random.choice(COMMENTS)
        return account(number), amount.quantize(Decimal("0.01")), now, until, comment

    def bad_changes(self) -> list[Values]:
        now = datetime.now(UTC)
        return [
            (account(11) + " ", Decimal(500), None, None, COMMENTS[0]),
            (account(12), Decimal("99.999"), None, None, COMMENTS[0]),
            (account(13), Decimal(0), None, None, COMMENTS[3]),
            (None, Decimal(250), None, None, COMMENTS[1]),
            (account(14), Decimal(100), now, now - timedelta(days=30), COMMENTS[4]),
        ]

    def write(self, kind: Kind, rows: Iterator[Values] | list[Values]) -> None:
        statement = sql.SQL("insert into {} ({}) values %s").format(
            kind.shop_all.identifier, sql.SQL(", ").join(map(sql.Identifier, kind.names))
        )
        with (
            closing(psycopg2.connect(self.dsn)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            execute_values(cursor, statement, rows, page_size=1000)
