"""Reads the file of DTADMIN_TABLES: the names, columns and units of a vendor's tables.

The common part maps shop All, and all bonus servers that have no section. A section is named by a
server's name. It maps that server's own tables, and takes the rest from the common part. It never
maps shop All, whose rows go to every server.

Rows are named by our own columns, not by the names or units of others: another
mapping of the same table moves no row twice. The log is that of one table: `head` names it, and
whatever runs refuses another (`STAGING_TABLE_CHANGED`).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transfer.causes.rows import STATUS_WITHOUT_WORD, STATUS_WORD_UNKNOWN, VALIDITY_NOT_HELD
from transfer.engine.checks import CARD_STATUSES, Check
from transfer.engine.kind import Kind
from transfer.engine.kinds import KINDS
from transfer.engine.mapping_keys import (
    VALIDITY,
    KeyPath,
    Wrong,
    known,
    server_mapping,
    staging_mapping,
)
from transfer.engine.table_mapping import Column, TableMapping
from transfer.parties import gettext_noop

DATABASES = ("shop_all", "bonus_server")
SERVERS = "servers"  # the key that the sections of servers are under

Kinds = Mapping[str, Kind]  # by name


@dataclass(frozen=True)
class Tables:
    """The kinds with the tables of an installation."""

    # For what concerns shop All alone. A row fails only checks that it fails at every server.
    shop_all: Kinds = field(default_factory=lambda: KINDS)
    common: Kinds = field(default_factory=lambda: KINDS)  # of servers without a section
    sections: Mapping[str, Kinds] = field(default_factory=dict)  # by the server's name

    def of(self, server: str) -> Kinds:
        """The kinds with the tables of the bonus server with this name."""
        return self.sections.get(server, self.common)

    def are_same(self, one: str, other: str) -> bool:
        """Whether servers with these names have the same mapping."""
        kinds, others = self.of(one), self.of(other)
        return all(
            vars(kinds[name].bonus_server) == vars(others[name].bonus_server) for name in kinds
        )


class TablesRefused(Exception):
    """What is wrong with the file, where, and what to do."""

    def __init__(self, sentence: str, where: str = "", **params: object) -> None:
        """Both are message ids of the translation catalogue; `where` stands before."""
        self.sentence, self.where, self.params = sentence, where, params
        super().__init__(self.translated(str))

    def translated(self, translate: Callable[[str], str]) -> str:
        """Return the sentence in another language; `translate` is given message ids only.

        An empty one is none: its translation is the catalogue's own header.
        """
        where = translate(self.where) % self.params if self.where else ""
        return f"{where}{translate(self.sentence) % self.params}"


def read(path: str) -> Tables:
    """The kinds, with their tables as the file has them. Raises TablesRefused."""
    import tomllib  # here, since most installations have no file, and each tick starts Python

    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        sentence = gettext_noop("DTADMIN_TABLES: %(file)s can't be read: %(error)s")
        raise TablesRefused(sentence, file=path, error=error) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        sentence = gettext_noop("%(file)s is not valid TOML: %(error)s. Correct the line.")
        raise TablesRefused(sentence, file=path, error=error) from None
    try:
        return _tables(document)
    except Wrong as wrong:
        section = _section(document, wrong.key_path)
        where = gettext_noop("%(file)s, line %(line)s: ")
        if section:
            where = gettext_noop("%(file)s, line %(line)s, section [%(section)s]: ")
        line = line_of(text, wrong.key_path)
        params = {"file": path, "line": line, "section": section, **wrong.params}
        raise TablesRefused(wrong.sentence, where, **params) from None


def line_of(text: str, key_path: KeyPath) -> int:
    """The line of the file on which a value ends; if it is missing, that of what it belongs to."""
    import tomllib

    lines = text.splitlines(keepends=True)
    for end in range(1, len(lines) + 1):
        try:
            value = tomllib.loads("".join(lines[:end]))
            for key in key_path:
                value = value[key]
        except (tomllib.TOMLDecodeError, KeyError, TypeError):
            continue
        return end
    return line_of(text, key_path[:-1])


def _section(document: dict[str, Any], key_path: KeyPath) -> str:
    """The section of the file that a value is in, as the file writes its name; "" for none."""
    names: list[str] = []
    value: Any = document
    for key in key_path:
        value = value.get(key)
        if not isinstance(value, dict):
            break
        is_bare = key.isascii() and key.isidentifier()
        names.append(key if is_bare else json.dumps(key, ensure_ascii=False))
    return ".".join(names)


def _tables(document: dict[str, Any]) -> Tables:
    given = known((), document, (*KINDS, SERVERS))
    staging, common = {}, {}
    for name, kind in KINDS.items():
        parts = known((name,), given.get(name, {}), DATABASES)
        at, on_server = ((name, one) for one in DATABASES)
        staging[name] = staging_mapping(kind, at, parts.get("shop_all", {}))
        base = kind.bonus_server
        common[name] = server_mapping(kind, on_server, parts.get("bonus_server", {}), base)
    _check_one_kind_each(staging, given)
    servers = given.get(SERVERS, {})
    if not isinstance(servers, dict):
        sentence = gettext_noop(
            "%(key)s has to be a table in TOML. A section for a server is"
            ' [servers."NAME".balances].'
        )
        raise Wrong((SERVERS,), sentence, key=SERVERS)
    sections = {
        server: _of_section((SERVERS, server), value, common) for server, value in servers.items()
    }
    every = [common, *sections.values()]
    return Tables(
        {name: _mapped(name, staging, common, [one[name] for one in every]) for name in KINDS},
        {name: _mapped(name, staging, common, [common[name]]) for name in KINDS},
        {
            server: {name: _mapped(name, staging, of, [of[name]]) for name in KINDS}
            for server, of in sections.items()
        },
    )


def _of_section(
    key_path: KeyPath, value: Any, common: dict[str, TableMapping]
) -> dict[str, TableMapping]:
    """The mappings of one server: what its section gives, the rest from the common part."""
    given = known(key_path, value, KINDS)
    for name, one in given.items():
        for database in DATABASES:
            if isinstance(one, dict) and database in one:
                sentence = gettext_noop(
                    "A server's section maps the tables of that server: write "
                    '[servers."NAME".%(kind)s], without %(key)s. The tables of shop All are the '
                    "same for all servers: they belong into [%(kind)s.shop_all]."
                )
                raise Wrong((*key_path, name, database), sentence, kind=name, key=database)
    return {
        name: server_mapping(kind, (*key_path, name), given.get(name, {}), common[name])
        for name, kind in KINDS.items()
    }


def _check_one_kind_each(staging: dict[str, TableMapping], given: dict[str, Any]) -> None:
    """Raises Wrong if two kinds would be read from the same table of shop All.

    A name without a schema may mean a table of any schema.
    """
    taken: list[tuple[str, str, str]] = []
    for name, mapping in staging.items():
        schema, _, table = mapping.table.rpartition(".")
        for other, others_schema, others_table in taken:
            may_be_same = schema == others_schema or not (schema and others_schema)
            if table == others_table and may_be_same:
                key_path = (name if name in given else other, "shop_all", "table")
                sentence = gettext_noop(
                    "%(table)s can't be the table of %(one)s and of %(other)s: name another."
                )
                raise Wrong(key_path, sentence, table=mapping.table, one=other, other=name)
        taken.append((name, schema, table))


def _mapped(
    name: str,
    staging: Mapping[str, TableMapping],
    server: Mapping[str, TableMapping],
    judges: Sequence[TableMapping],
) -> Kind:
    """The kind with these tables. A row fails what none of the `judges` could take."""
    kind, shop_all = KINDS[name], staging[name]
    columns, checks = kind.columns, kind.checks
    if shop_all.words:
        # A word that is none comes along, so that a reject can name it.
        columns = tuple(
            replace(one, carried_as="text") if one.name == "status" else one for one in columns
        )
        unknown = Check(STATUS_WORD_UNKNOWN, f"status not in {_texts(shop_all.words)}")
        checks = tuple(unknown if one.code == "status_unknown" else one for one in checks)
    return replace(
        kind,
        shop_all=shop_all,
        bonus_server=server[name],
        columns=columns,
        checks=(*checks, *_checks_by_tables(columns, judges)),
    )


def _checks_by_tables(columns: Iterable[Column], judges: Sequence[TableMapping]) -> Iterable[Check]:
    """The checks of rows that no table of these can hold."""
    lacking = [
        one.name
        for one in columns
        if one.name in VALIDITY and all(mapping.name(one) is None for mapping in judges)
    ]
    if lacking:
        yield Check(VALIDITY_NOT_HELD, " or ".join(f"{name} is not null" for name in lacking))
    without = [
        number
        for number in CARD_STATUSES
        if all(mapping.words and number not in mapping.words for mapping in judges)
    ]
    if without:
        yield Check(STATUS_WITHOUT_WORD, f"status::text in {_texts(without)}")


def _texts(numbers: Iterable[int]) -> str:
    """SQL: a list of numbers as texts. They are ours."""
    return f"({', '.join(repr(str(number)) for number in sorted(numbers))})"
