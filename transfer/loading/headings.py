"""Headings as people write them, in Russian and English, and the columns that they mean."""

import re
from collections.abc import Sequence
from typing import Protocol

HEADINGS = {
    "account": (
        "account, account id, account number, account no, acc, счет, номер счета, № счета, "
        "счет №, ид счета, id счета, код счета, лицевой счет, номер лицевого счета, "
        "бонусный счет, номер бонусного счета, счет клиента"
    ),
    "pincode": "pincode, pin, pin code, пин, пин код, pin код, пинкод, новый пин код, новый пин",
    "amount": (
        "amount, sum, change, balance change, bonus, bonuses, points, сумма, сумма бонусов, "
        "сумма изменения, изменение, изменение баланса, баланс изменение, бонусы, баллы, "
        "количество бонусов, количество баллов, кол-во бонусов, кол-во баллов, начисление, "
        "сумма начисления, сумма руб"
    ),
    "validfrom": (
        "validfrom, valid from, from, start, start date, date from, действует с, действует от, "
        "действителен с, действительно с, дата начала, начало, начало действия, "
        "дата начала действия, с, с даты, дата с"
    ),
    "validto": (
        "validto, valid to, valid until, to, until, end, end date, expires, date to, "
        "действует по, действует до, действителен до, действительно до, годен до, "
        "дата окончания, окончание, окончание действия, дата окончания действия, конец, "
        "срок действия, дата сгорания, сгорает, по, до, по дату, дата по"
    ),
    "comment": (
        "comment, comments, note, remark, description, комментарий, примечание, основание, "
        "описание, назначение, причина"
    ),
    "card": (
        "card, card number, card no, card code, карта, номер карты, № карты, карта №, код карты, "
        "бонусная карта, номер бонусной карты, штрихкод карты, штрих-код карты"
    ),
    "status": "status, card status, state, статус, статус карты, состояние, состояние карты",
    "reject": (
        "reject, reject no, rejected row, rejected row no, rejected row number, "
        "отклоненная строка, № отклоненной строки, отклоненная строка №, номер отклоненной строки"
    ),
    "shop": "shop, shop code, магазин, код магазина, номер магазина",
    "shop_name": "shop’s name, shop name, название магазина",
    "code": "code, register, register code, код, касса, код кассы, номер кассы",
    "name": "name, register’s name, register name, название, название кассы",
    "mothballed": "out of service, mothballed, консервация, в консервации",
}

# The column that says which rejected row a line corrects: of no staging table.
REJECT = "reject"


class Expected(Protocol):
    """The type of a file: the rows of a `Kind`, or registers."""

    @property
    def title(self) -> str:
        """A message id: what a sheet of a workbook may be called."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        """Groups of columns, of each of which the file must have one."""

    @property
    def secrets(self) -> frozenset[str]:
        """The columns whose cells are never shown."""


def folded(heading: object) -> str:
    """A heading without case, ё, spaces and signs, to be compared."""
    return re.sub(r"[\W_]+", "", str(heading).casefold().replace("ё", "е").replace("№", "номер"))


MEANT = {
    folded(heading): column
    for column, headings in HEADINGS.items()
    for heading in headings.split(", ")
}


def is_known(heading: object) -> bool:
    """Whether it is the heading of one of our columns."""
    return folded(heading) in MEANT


def recognised(expected: Expected, cells: Sequence[object]) -> dict[str, int]:
    """Column → its place in the file. One that is meant twice is left to the user."""
    meant = [MEANT.get(folded(cell), "") for cell in cells]
    names = {*expected.names, REJECT}
    return {name: meant.index(name) for name in meant if name in names and meant.count(name) == 1}


def missing(expected: Expected, columns: dict[str, int]) -> list[tuple[str, ...]]:
    """The columns to choose by hand: at least one of each group."""
    return [group for group in expected.needed if columns.keys().isdisjoint(group)]
