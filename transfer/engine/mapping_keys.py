"""Reads what the file of DTADMIN_TABLES says of one table, and refuses what is wrong in it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from transfer.engine.checks import CARD_STATUSES
from transfer.engine.kind import DEFAULT_STATUS, Kind
from transfer.engine.table_mapping import LONGEST, TableMapping, Value
from transfer.parties import gettext_noop

OURS = ("id", "xid", "created_at", "changed_xid")  # in every staging table, beside its columns
NAME = re.compile(r"[^\W\d][\w$]*")
LONGEST_NAME = 63  # bytes: PostgreSQL cuts off what is longer
VALIDITY = ("validfrom", "validto")
NUMBERS = {status.name: number for number, status in CARD_STATUSES.items()}
MINOR, DECIMAL = "minor", "decimal"  # the words for units of amounts

KeyPath = tuple[str, ...]  # the keys that lead to a value


class Wrong(Exception):
    """What is wrong with the value that the keys lead to: a message id, and its parameters."""

    def __init__(self, key_path: KeyPath, sentence: str, **params: object) -> None:
        self.key_path, self.sentence, self.params = key_path, sentence, params
        super().__init__(sentence)


def known(key_path: KeyPath, value: Any, keys: Iterable[str]) -> dict[str, Any]:
    """The value, which has to be a table with no other keys than these. Raises Wrong."""
    listed = ", ".join(keys)
    if not isinstance(value, dict):
        sentence = gettext_noop("%(key)s has to be a table in TOML. Its possible keys: %(known)s.")
        raise Wrong(key_path, sentence, key=key_path[-1], known=listed)
    for key in value:
        if key not in keys:
            sentence = gettext_noop("%(key)s is not a known key here. Possible keys: %(known)s.")
            raise Wrong((*key_path, key), sentence, key=key, known=listed)
    return value


def staging_mapping(kind: Kind, key_path: KeyPath, value: Any) -> TableMapping:
    """The table of shop All: what the file gives, the rest as in our own. Raises Wrong."""
    readers = _readers(kind, staging=True)
    mapping = _changed(kind.shop_all, key_path, value, readers)
    columns = {one.name: name for one, name in mapping.names(kind.columns).items()}
    _check_meanings(key_path, columns, mapping, OURS)
    return mapping


def server_mapping(kind: Kind, key_path: KeyPath, value: Any, base: TableMapping) -> TableMapping:
    """The table of bonus servers, or of one: what the file gives, the rest as in `base`.

    Columns are given one by one; each other key replaces that of `base` as a whole. Raises Wrong.
    """
    mapping = _changed(base, key_path, value, _readers(kind, staging=False))
    columns = {one.name: name for one, name in mapping.names((*kind.columns, kind.stamps)).items()}
    _check_meanings(key_path, columns, mapping, ())
    return mapping


Reader = Callable[[KeyPath, Any], dict[str, Any]]  # to fields of TableMapping


def _readers(kind: Kind, *, staging: bool) -> dict[str, Reader]:
    """What each key means, in the order in which messages list them."""
    columns = partial(_columns, kind.names, ())
    if not staging:
        stamps = kind.stamps.name
        columns = partial(_columns, (*kind.names, stamps), (*VALIDITY, "comment", stamps))
    readers: dict[str, Reader] = {"table": _table, "columns": columns, "fixed": _fixed}
    if not staging:
        readers["sequences"] = _sequences
    if "amount" in kind.names:
        readers["amount"] = _amount
    if "status" in kind.names:
        readers["status"] = partial(_words, needs_default=not staging)
    return readers


def _changed(
    base: TableMapping, key_path: KeyPath, value: Any, readers: dict[str, Reader]
) -> TableMapping:
    changes: dict[str, Any] = {}
    for key, one in known(key_path, value, readers).items():
        changes |= readers[key]((*key_path, key), one)
    changes["columns"] = {**base.columns, **changes.get("columns", {})}
    return replace(base, **changes)


def _table(key_path: KeyPath, value: Any) -> dict[str, Any]:
    return {"table": _name_with_schema(key_path, value)}


def _name_with_schema(key_path: KeyPath, value: Any) -> str:
    """A name that may have the schema before it, as in schema.name."""
    for one in value.split(".", 1) if isinstance(value, str) else [value]:
        _name(key_path, one)
    return str(value)


def _name(key_path: KeyPath, value: Any) -> str:
    if isinstance(value, str) and NAME.fullmatch(value) and len(value.encode()) <= LONGEST_NAME:
        return value
    sentence = gettext_noop(
        "%(value)r is not a valid name of a table or a column. A name has letters, digits and "
        "_, does not begin with a digit, and has at most %(bytes)s bytes. A table may be "
        "named with its schema, as in schema.table."
    )
    raise Wrong(key_path, sentence, value=value, bytes=LONGEST_NAME)


def _columns(
    columns: tuple[str, ...], may_lack: tuple[str, ...], key_path: KeyPath, value: Any
) -> dict[str, Any]:
    names: dict[str, str | None] = {}
    for column, name in known(key_path, value, columns).items():
        if name is False and column in may_lack:
            names[column] = None
        elif name is False:
            sentence = gettext_noop("The table needs %(column)s: name its column.")
            raise Wrong((*key_path, column), sentence, column=column)
        else:
            names[column] = _name((*key_path, column), name)
    return {"columns": names}


def _amount(key_path: KeyPath, value: Any) -> dict[str, Any]:
    if value not in (MINOR, DECIMAL):
        sentence = gettext_noop(
            'amount has to be "minor" (whole numbers of hundredths) or "decimal" (the default).'
        )
        raise Wrong(key_path, sentence)
    return {"is_minor": value == MINOR}


def _words(key_path: KeyPath, value: Any, *, needs_default: bool) -> dict[str, Any]:
    words: dict[int, str] = {}
    for status, word in known(key_path, value, NUMBERS).items():
        if not isinstance(word, str) or not 0 < len(word) <= LONGEST or "\0" in word:
            sentence = gettext_noop("%(word)r must be 1 to %(most)s characters long.")
            raise Wrong((*key_path, status), sentence, word=word, most=LONGEST)
        if word in words.values():
            sentence = gettext_noop("%(word)r is already the word of another status.")
            raise Wrong((*key_path, status), sentence, word=word)
        words[NUMBERS[status]] = word
    if words and needs_default and DEFAULT_STATUS not in words:
        sentence = gettext_noop(
            "%(status)s needs a word: a card that is linked without a status gets it."
        )
        raise Wrong(key_path, sentence, status=CARD_STATUSES[DEFAULT_STATUS].name)
    return {"words": words}


def _fixed(key_path: KeyPath, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        sentence = gettext_noop("fixed has to be a table in TOML, of columns and their values.")
        raise Wrong(key_path, sentence)
    values: dict[str, Value] = {}
    for name, one in value.items():
        _name((*key_path, name), name)
        if not isinstance(one, str | int) or (isinstance(one, str) and "\0" in one):
            sentence = gettext_noop(
                "%(name)s has to be a text, a whole number, true or false; write any other "
                "value as a text."
            )
            raise Wrong((*key_path, name), sentence, name=name)
        values[name] = one
    return {"fixed": values}


def _sequences(key_path: KeyPath, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        sentence = gettext_noop(
            "sequences has to be a table in TOML, of columns and the sequences that number them."
        )
        raise Wrong(key_path, sentence)
    for name, one in value.items():
        _name((*key_path, name), name)
        _name_with_schema((*key_path, name), one)
    return {"sequences": dict(value)}


def _check_meanings(
    key_path: KeyPath, columns: dict[str, str], mapping: TableMapping, taken: Iterable[str]
) -> None:
    """Raises Wrong if a column of the table has two meanings."""
    named = [
        *(((*key_path, "columns", ours), name) for ours, name in columns.items()),
        *(((*key_path, "fixed", name), name) for name in mapping.fixed),
        *(((*key_path, "sequences", name), name) for name in mapping.sequences),
    ]
    seen = set(taken)
    for where, name in named:
        if name in seen:
            sentence = gettext_noop(
                "The column %(column)s has another meaning already: name another."
            )
            raise Wrong(where, sentence, column=name)
        seen.add(name)
