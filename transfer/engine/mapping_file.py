"""Reads the file of DTADMIN_TABLES: the names, columns and units of a vendor's tables.

Positions tell rows by our own numbers (`xid`, `id`), not by the names or units of columns: another
mapping of the same table moves no row twice. A position says nothing of another staging table, so
its batch names the table, and a run refuses another (`StagingTableChanged`).
"""

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from transfer.engine.checks import (
    CARD_STATUSES,
    STATUS_WITHOUT_WORD,
    STATUS_WORD_UNKNOWN,
    VALIDITY_NOT_HELD,
)
from transfer.engine.kind import DEFAULT_STATUS, Kind
from transfer.engine.kinds import KINDS
from transfer.engine.table_mapping import LONGEST, TableMapping, Value
from transfer.errors import gettext_noop

DATABASES = ("shop_all", "bonus_server")
OURS = ("id", "xid", "created_at", "changed_xid")  # in every staging table, beside its columns
NAME = re.compile(r"[^\W\d][\w$]*")
LONGEST_NAME = 63  # bytes: PostgreSQL cuts off what is longer
VALIDITY = ("validfrom", "validto")
NUMBERS = {status.name: number for number, status in CARD_STATUSES.items()}

KeyPath = tuple[str, ...]  # the keys that lead to a value


class TablesRefused(Exception):
    """What is wrong with the file, where, and what to do."""

    def __init__(self, sentence: str, where: str = "", **params: object) -> None:
        """Both are message ids of the translation catalogue; `where` stands before."""
        self.sentence, self.where, self.params = sentence, where, params
        super().__init__(self.translated(str))

    def translated(self, translate: Callable[[str], str]) -> str:
        where = translate(self.where) % self.params
        return f"{where}{translate(self.sentence) % self.params}"


class _Wrong(Exception):
    def __init__(self, key_path: KeyPath, sentence: str, **params: object) -> None:
        self.key_path, self.sentence, self.params = key_path, sentence, params
        super().__init__(sentence)


def read(path: str) -> dict[str, Kind]:
    """The kinds, with their tables as the file has them. Raises TablesRefused."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        sentence = gettext_noop("DTADMIN_TABLES: %(file)s can't be read: %(error)s")
        raise TablesRefused(sentence, file=path, error=error) from None
    try:
        return _kinds(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        sentence = gettext_noop("%(file)s is no TOML: %(error)s. Correct the line.")
        raise TablesRefused(sentence, file=path, error=error) from None
    except _Wrong as wrong:
        where = gettext_noop("%(file)s, line %(line)s: ")
        params = {"file": path, "line": line_of(text, wrong.key_path), **wrong.params}
        raise TablesRefused(wrong.sentence, where, **params) from None


def line_of(text: str, key_path: KeyPath) -> int:
    """The line of the file on which a value ends; if it is missing, that of what it belongs to."""
    lines = text.splitlines(keepends=True)
    for end in range(1, len(lines) + 1):
        try:
            value = tomllib.loads("".join(lines[:end]))
            for key in key_path:
                value = value[key]
        except (tomllib.TOMLDecodeError, KeyError):
            continue
        return end
    return line_of(text, key_path[:-1])


def _kinds(document: dict[str, Any]) -> dict[str, Kind]:
    mapped = {}
    for name, value in _known((), document, KINDS).items():
        given = _known((name,), value, DATABASES)
        mappings = [_table_mapping(KINDS[name], one, given.get(one, {})) for one in DATABASES]
        mapped[name] = _mapped(KINDS[name], *mappings)
    kinds = {**KINDS, **mapped}
    taken: dict[str, str] = {}
    for name, kind in kinds.items():
        if (other := taken.setdefault(kind.staging, name)) != name:
            key_path = (name if name in mapped else other, "shop_all", "table")
            sentence = gettext_noop(
                "%(table)s can't be the table of %(one)s and of %(other)s: name another."
            )
            raise _Wrong(key_path, sentence, table=kind.staging, one=other, other=name)
    return kinds


def _known(key_path: KeyPath, value: Any, keys: Iterable[str]) -> dict[str, Any]:
    """The value, which has to be a table with no other keys than these."""
    known = ", ".join(keys)
    if not isinstance(value, dict):
        sentence = gettext_noop("%(key)s has to be a table in TOML; in it may stand %(known)s.")
        raise _Wrong(key_path, sentence, key=key_path[-1], known=known)
    for key in value:
        if key not in keys:
            sentence = gettext_noop("%(key)s means nothing here; there may be %(known)s.")
            raise _Wrong((*key_path, key), sentence, key=key, known=known)
    return value


def _table_mapping(kind: Kind, database: str, value: Any) -> TableMapping:
    key_path = (kind.name, database)
    special = {"balances": ["amount"], "cards": ["status"]}.get(kind.name, [])
    given = _known(key_path, value, ["table", "columns", "fixed", *special])
    unmapped: TableMapping = getattr(kind, database)
    mapping = TableMapping(
        _name((*key_path, "table"), given.get("table", unmapped.table)),
        _columns(kind, (*key_path, "columns"), given.get("columns", {})),
        _is_minor((*key_path, "amount"), given),
        _words((*key_path, "status"), given.get("status", {})),
        _fixed((*key_path, "fixed"), given.get("fixed", {})),
    )
    _check_names(kind, key_path, mapping)
    return mapping


def _name(key_path: KeyPath, value: Any) -> str:
    if isinstance(value, str) and NAME.fullmatch(value) and len(value.encode()) <= LONGEST_NAME:
        return value
    sentence = gettext_noop(
        "%(value)r is no name of a table or a column: that is a text of letters, digits and "
        "_, does not begin with a digit, and has at most %(bytes)s bytes."
    )
    raise _Wrong(key_path, sentence, value=value, bytes=LONGEST_NAME)


def _columns(kind: Kind, key_path: KeyPath, value: Any) -> dict[str, str | None]:
    of_server = key_path[1] == "bonus_server"
    stamps = [kind.stamps.name] if of_server else []
    may_lack = [*VALIDITY, "comment", *stamps] if of_server else []
    names: dict[str, str | None] = {}
    for column, name in _known(key_path, value, [*kind.names, *stamps]).items():
        if name is False and column in may_lack:
            names[column] = None
        elif name is False:
            sentence = gettext_noop("The table can't do without %(column)s: name its column.")
            raise _Wrong((*key_path, column), sentence, column=column)
        else:
            names[column] = _name((*key_path, column), name)
    return names


def _is_minor(key_path: KeyPath, given: dict[str, Any]) -> bool:
    if given.get("amount", "minor") != "minor":
        sentence = gettext_noop(
            'amount may only be "minor": whole numbers of hundredths. Leave it out where '
            "amounts have decimals."
        )
        raise _Wrong(key_path, sentence)
    return "amount" in given


def _words(key_path: KeyPath, value: Any) -> dict[int, str]:
    words: dict[int, str] = {}
    for status, word in _known(key_path, value, NUMBERS).items():
        if not isinstance(word, str) or not 0 < len(word) <= LONGEST or "\0" in word:
            sentence = gettext_noop("%(word)r is no word of 1 to %(most)s characters.")
            raise _Wrong((*key_path, status), sentence, word=word, most=LONGEST)
        if word in words.values():
            sentence = gettext_noop("%(word)r stands for another status already.")
            raise _Wrong((*key_path, status), sentence, word=word)
        words[NUMBERS[status]] = word
    if words and key_path[1] == "bonus_server" and DEFAULT_STATUS not in words:
        sentence = gettext_noop(
            "%(status)s needs a word: a card that is linked without a status gets it."
        )
        raise _Wrong(key_path, sentence, status=CARD_STATUSES[DEFAULT_STATUS].name)
    return words


def _fixed(key_path: KeyPath, value: Any) -> dict[str, Value]:
    if not isinstance(value, dict):
        sentence = gettext_noop("fixed has to be a table in TOML, of columns and their values.")
        raise _Wrong(key_path, sentence)
    for name, one in value.items():
        _name((*key_path, name), name)
        if not isinstance(one, str | int) or (isinstance(one, str) and "\0" in one):
            sentence = gettext_noop(
                "%(name)s has to be a text, a whole number, true or false; write any other "
                "value as a text."
            )
            raise _Wrong((*key_path, name), sentence, name=name)
    return dict(value)


def _check_names(kind: Kind, key_path: KeyPath, mapping: TableMapping) -> None:
    """Whether each column of the table has one meaning."""
    of_server = key_path[1] == "bonus_server"
    taken = set() if of_server else set(OURS)
    columns = (*kind.columns, kind.stamps) if of_server else kind.columns
    named = [
        *(((*key_path, "columns", one.name), name) for one, name in mapping.names(columns).items()),
        *(((*key_path, "fixed", name), name) for name in mapping.fixed),
    ]
    for where, name in named:
        if name in taken:
            sentence = gettext_noop(
                "The column %(column)s has another meaning already: name another."
            )
            raise _Wrong(where, sentence, column=name)
        taken.add(name)


def _mapped(kind: Kind, shop_all: TableMapping, bonus_server: TableMapping) -> Kind:
    columns, checks = kind.columns, list(kind.checks)
    if shop_all.words:
        # A word that is none comes along, so that a reject can name it.
        columns = tuple(
            replace(one, carried_as="text") if one.name == "status" else one for one in columns
        )
        unknown = replace(STATUS_WORD_UNKNOWN, fails=f"status not in {_texts(shop_all.words)}")
        checks = [unknown if one.code == "status_unknown" else one for one in checks]
    lacking = [one.name for one in columns if bonus_server.name(one) is None]
    if fails := " or ".join(f"{name} is not null" for name in lacking if name in VALIDITY):
        checks.append(replace(VALIDITY_NOT_HELD, fails=fails))
    if bonus_server.words and (without := CARD_STATUSES.keys() - bonus_server.words.keys()):
        checks.append(replace(STATUS_WITHOUT_WORD, fails=f"status::text in {_texts(without)}"))
    return replace(
        kind, shop_all=shop_all, bonus_server=bonus_server, columns=columns, checks=tuple(checks)
    )


def _texts(numbers: Iterable[int]) -> str:
    """SQL: a list of numbers as texts. They are ours."""
    return f"({', '.join(repr(str(number)) for number in sorted(numbers))})"
