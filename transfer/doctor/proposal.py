"""Proposes the file of DTADMIN_TABLES, or the section of one server, from the tables that exist.

What could not be decided is a comment: the lines can be pasted as they are.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _
from psycopg2 import sql

from transfer.causes.ledger import ROWS_SWALLOWED
from transfer.causes.tables import SEQUENCE_BEHIND, TABLE_UNLOGGED, TOO_MANY_TRIGGERS
from transfer.doctor import databases
from transfer.doctor.guessing import (
    AS_TEXT,
    SEQUENCES,
    TABLES,
    WHOLE_NUMBERS,
    WHY_NOT,
    Found,
    aliases,
    alike,
    columns_of,
    demanded,
    guess_columns,
    guess_sequence,
    guess_table,
    is_name,
    may_lack,
    named,
)
from transfer.engine.bonus_server.vendor_tables import VendorTables
from transfer.engine.checks import CARD_STATUSES
from transfer.engine.kind import Kind
from transfer.engine.kinds import KINDS
from transfer.engine.mapping_file import DATABASES, SERVERS
from transfer.engine.mapping_keys import OURS
from transfer.engine.postgres.database import Database
from transfer.engine.table_mapping import MINOR, Column, TableMapping, TableName
from transfer.errors import TargetTableMissing, TransferError, WrongColumns
from transfer.installed import installed_tables
from transfer.models import BonusServer
from transfer.text.explain import explain

WORDS = (
    "select distinct {column} from (select {column} from {table} limit 10000) as sample order by 1"
)
MOST_WORDS = 20
# The tables are named right, but something else is wrong with them.
IN_ANOTHER_WAY = (ROWS_SWALLOWED, SEQUENCE_BEHIND, TABLE_UNLOGGED, TOO_MANY_TRIGGERS)


def proposal(server: BonusServer) -> Iterator[str]:
    """The lines of the file, for shop All and this server. Raises TransferError."""
    yield "# " + _("Proposed from the tables of shop All and of %(server)s.") % {
        "server": server.name
    }
    yield "# " + _("Look at each line: names that sound alike may mean something else.")
    opened: tuple[Database, ...] = (databases.shop_all().database, databases.of_server(server))
    for which, database in zip(DATABASES, opened, strict=True):
        with database, database.transaction(commit=False):
            for kind in KINDS.values():
                yield ""
                base = getattr(kind, which)
                yield from _of_table(f"{kind.name}.{which}", kind, base, base, database)


def section(server: BonusServer) -> Iterator[str]:
    """The lines of the server's section, where its tables do not fit the file as it is.

    Raises TransferError where the server's database does not answer.
    """
    yield "# " + _(
        "Proposed from the tables of %(server)s. Put it into the file of DTADMIN_TABLES, in place "
        "of sections with the same names."
    ) % {"server": server.name}
    yield "# " + _("Look at each line: names that sound alike may mean something else.")
    with databases.of_server(server) as database, database.transaction(commit=False):
        for name, kind in server.kinds.items():
            yield ""
            try:
                VendorTables(database).check_columns(kind)
                yield f"# {name}: " + _("the file fits as it is.")
            except (TargetTableMissing, WrongColumns):
                part = f"{SERVERS}.{_text(server.name)}.{name}"
                base = installed_tables().common[name].bonus_server
                yield from _of_table(part, kind, base, kind.bonus_server, database)
            except TransferError as error:
                if error.cause not in IN_ANOTHER_WAY:
                    raise
                yield f"# {name}: {explain(error)}"


@dataclass(frozen=True)
class _Table:
    """A table that a section is proposed for."""

    section: str
    kind: Kind
    base: TableMapping  # what the section changes
    present: TableMapping  # what the file says at present
    database: Database
    name: str
    found: dict[str, Found]
    names: dict[Column, str]  # our columns, as far as they were found

    @property
    def is_staging(self) -> bool:
        return self.base is self.kind.shop_all

    def column(self, name: str) -> tuple[Column, Found] | None:
        """Our column of this name, and what the table has for it."""
        for column, theirs in self.names.items():
            if column.name == name:
                return column, self.found[theirs]
        return None


def _of_table(
    section: str, kind: Kind, base: TableMapping, present: TableMapping, database: Database
) -> Iterator[str]:
    """The lines of one table, as far as they differ from `base`; guessed by `present`."""
    is_staging = base is kind.shop_all
    wanted = kind.columns if is_staging else (*kind.columns, kind.stamps)
    name = guess_table(kind, present, wanted, database)
    if name is None:
        yield f"# [{section}]"
        yield f"# table = {_text(base.table)}  # " + _(
            "There is none like it. There are: %(there)s"
        ) % {"there": ", ".join(named(database, TABLES)) or "–"}
        return
    found = columns_of(database, name)
    names = guess_columns(present, wanted, found)
    table = _Table(section, kind, base, present, database, name, found, names)
    yield f"[{section}]"
    yield f"table = {_text(name)}"
    yield from _units(table)
    yield from _subtable(f"{section}.columns", _columns(table))
    yield from _words(table)
    if is_staging:
        further = demanded(database, name, [*table.names.values(), *OURS])
        yield from _subtable(f"{section}.fixed", (_undecided(table, one) for one in further))
    else:
        yield from _further(table)


def _subtable(section: str, lines: Iterator[str]) -> Iterator[str]:
    first = next(lines, None)
    if first is not None:
        yield from ("", f"[{section}]", first, *lines)


def _units(table: _Table) -> Iterator[str]:
    amount = table.column("amount")
    if amount is None:
        return
    is_minor = amount[1].type in MINOR
    if is_minor and not table.base.is_minor:
        yield 'amount = "minor"  # ' + _("whole numbers: are they hundredths?")
    elif table.base.is_minor and not is_minor:
        yield 'amount = "decimal"'


def _columns(table: _Table) -> Iterator[str]:
    """Each column whose name is not that of the base, and each that was not found."""
    used = {*table.names.values(), *(OURS if table.is_staging else ())}
    left = ", ".join(
        f"{name} ({one.declared})" for name, one in table.found.items() if name not in used
    )
    none = "# " + _("no column seems to be it; left: %(left)s") % {"left": left or "–"}
    wanted = (*table.kind.columns, table.kind.stamps)
    for column in table.names if table.is_staging else wanted:
        name, before = table.names.get(column), table.base.name(column)
        if name is not None:
            if name != before:
                yield f"{column.name} = {_text(name)}"
            continue
        yield from _misfit(table, column)
        if column.name not in may_lack(table.kind):
            yield f"# {column.name} = …  {none}"
        elif before is not None:
            yield f"{column.name} = false  {none}"


def _misfit(table: _Table, column: Column) -> Iterator[str]:
    """A column that is called alike, and why it is not taken."""
    left = [name for name in table.found if name not in table.names.values() and is_name(name)]
    name = alike(column.name, aliases(column), left)
    if name is not None:
        type_ = table.found[name].declared
        why = AS_TEXT if column.is_code else WHY_NOT[column.name]
        yield f"# {column.name}: {_text(name)} ({type_}) {_(why)}"


def _words(table: _Table) -> Iterator[str]:
    """Which word means which status, an administrator has to say: they are listed as found."""
    status = table.column("status")
    if status is None:
        return
    column, found = status
    words = table.present.words
    if not found.is_of_words:
        if table.base.words:
            yield from (
                "",
                f"[{table.section}.status]",
                "# " + _("no words: the table has numbers"),
            )
        return
    if words == table.base.words and words and not table.base.words_lacking(column, found.labels):
        return
    known = found.labels
    if not known:
        identifiers = {
            "column": sql.Identifier(table.names[column]),
            "table": TableName(table.name),
        }
        rows = table.database.rows(sql.SQL(WORDS).format(**identifiers))
        known = [word for (word,) in rows if word is not None]
    yield from ("", f"[{table.section}.status]")
    listed = ", ".join(map(_text, known[:MOST_WORDS])) or "–"
    yield "# " + _("The table contains: %(words)s") % {"words": listed}
    for number, name in CARD_STATUSES.items():
        word = words.get(number)
        if word is None or (found.labels and word not in known):
            word = alike(name.name, (), known)
        yield f"# {name.name} = …" if word is None else f"{name.name} = {_text(word)}"


def _further(table: _Table) -> Iterator[str]:
    """Columns that we know nothing of, but that each new row has to fill."""
    base, present, found = table.base, table.present, table.found
    fixed = {name: value for name, value in present.fixed.items() if name in found}
    sequences = {name: one for name, one in present.sequences.items() if name in found}
    known = [*table.names.values(), *fixed, *sequences]
    asked = demanded(table.database, table.name, known)
    keys = [name for name, is_key in asked.items() if is_key and found[name].type in WHOLE_NUMBERS]
    values = [name for name in asked if name not in keys]
    if keys or sequences != base.sequences:
        lines = (f"{_key(name)} = {_text(one)}" for name, one in sequences.items())
        yield from ("", f"[{table.section}.sequences]", *lines)
        yield from (_numbered(table, name) for name in keys)
    if values or fixed != base.fixed:
        lines = (f"{_key(name)} = {_text(value)}" for name, value in fixed.items())
        yield from ("", f"[{table.section}.fixed]", *lines)
        yield from (_undecided(table, name) for name in values)


def _numbered(table: _Table, name: str) -> str:
    """The sequence that numbers a key without default, if one is named after the table."""
    known = named(table.database, SEQUENCES)
    if (sequence := guess_sequence(table.name, name, known)) is None or not is_name(name):
        listed = ", ".join(known) or "–"
        text = _("the key; name the sequence that the vendor draws it from. There are: %(known)s")
        return f"# {_key(name)} = …  # " + text % {"known": listed}
    return f"{_key(name)} = {_text(sequence)}  # " + _("does the vendor draw this key from it?")


def _undecided(table: _Table, name: str) -> str:
    found = table.found[name]
    text = _("%(type)s, must not be null") % {"type": found.declared}
    labels = f": {', '.join(map(_text, found.labels))}" if found.labels else ""
    return f"# {_key(name)} = …  # {text}{labels}"


def _key(name: str) -> str:
    """As TOML writes a key. One that the file can't name is only shown, in a comment."""
    return _text(name) if is_name(name) and not name.isascii() else name


def _text(value: str | int) -> str:
    """As TOML writes a value."""
    return json.dumps(value, ensure_ascii=False)
