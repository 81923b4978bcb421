"""Headings as people write them, in Russian and English, and the columns that they mean."""

import re

from transfer.engine.kinds import BALANCES, CARDS, PINCODES, Kind

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
}

# The column that says which rejected row a line corrects: of no staging table.
REJECT = "reject"

# Without these a file can't be meant: of each group at least one.
NEEDED = {
    PINCODES.name: (("account",), ("pincode",)),
    BALANCES.name: (("account",), ("amount",)),
    CARDS.name: (("card",), ("account", "status")),
}


def folded(heading: object) -> str:
    """Without case, ё, spaces and signs."""
    return re.sub(r"[\W_]+", "", str(heading).casefold().replace("ё", "е").replace("№", "номер"))


MEANT = {
    folded(heading): column
    for column, headings in HEADINGS.items()
    for heading in headings.split(", ")
}


def recognised(kind: Kind, cells: list[object]) -> dict[str, int]:
    """Column → its place in the file. One that is meant twice is left to the user."""
    names = {*(column.name for column in kind.columns), REJECT}
    found: dict[str, list[int]] = {}
    for place, cell in enumerate(cells):
        column = MEANT.get(folded(cell))
        if column in names:
            found.setdefault(column, []).append(place)
    return {column: places[0] for column, places in found.items() if len(places) == 1}


def missing(kind: Kind, columns: dict[str, int]) -> list[tuple[str, ...]]:
    """What has to be said by hand: of each group of columns one at least."""
    return [group for group in NEEDED[kind.name] if not set(group) & set(columns)]
