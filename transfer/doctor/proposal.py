"""Reads the tables that there are, and proposes the file of DTADMIN_TABLES."""

import json
import re
from collections.abc import Iterator

from django.utils.translation import gettext as _
from psycopg2 import sql

from transfer.doctor import databases
from transfer.engine.bonus_server.vendor_tables import DEMANDED
from transfer.engine.checks import CARD_STATUSES
from transfer.engine.kind import Kind
from transfer.engine.kinds import KINDS
from transfer.engine.mapping_file import DATABASES, NAME, OURS, VALIDITY
from transfer.engine.postgres.database import COLUMNS, Database
from transfer.engine.table_mapping import MINOR, TEXT, Column, TableMapping
from transfer.engine.table_name import TableName
from transfer.models import BonusServer

# What others call our columns, in small letters and digits alone; the likeliest first.
ALIASES = {
    "account": ("accountnumber", "accountno", "accountnum", "accnumber"),
    "pincode": ("pin",),
    "amount": ("sum", "value"),
    "validfrom": ("begin", "begindate", "datebegin", "startdate", "datefrom", "start"),
    "validto": ("end", "enddate", "dateend", "dateto", "expires", "expiredate"),
    "comment": ("description", "note", "remark"),
    "card": ("number", "cardnumber", "cardno", "cardnum"),
    "status": ("cardstatus", "state"),
    "created_at": ("created", "date", "datetime", "createdate", "time"),
    "changed_at": ("changed", "updated", "updatedat", "modified", "lastchange", "date"),
}
TABLES = """
    select relname from pg_class
     where relkind in ('r', 'p')
       and relnamespace in (select oid from pg_namespace where nspname = any(%s))
       and relnamespace <> all (array['pg_catalog', 'information_schema']::regnamespace[])
     order by relname
"""
WORDS = (
    "select distinct {column} from (select {column} from {table} limit 10000) as sample order by 1"
)
MOST_WORDS = 20


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
                yield from _of_table(kind, which, database)


def _of_table(kind: Kind, which: str, database: Database) -> Iterator[str]:
    mapping: TableMapping = getattr(kind, which)
    section = f"{kind.name}.{which}"
    tables = [name for (name,) in database.rows(TABLES, [database.connection.schemas])]
    wanted = (*kind.columns, kind.stamps) if which == "bonus_server" else kind.columns
    table = _alike(mapping.table, (), tables) or _only_fitting(kind, wanted, tables, database)
    if table is None:
        yield f"# [{section}]"
        yield f"# table = {_text(mapping.table)}  # " + _(
            "There is none like it. There are: %(there)s"
        ) % {"there": ", ".join(tables) or "–"}
        return
    there = _there(table, database)
    names = _columns(wanted, there)
    yield f"[{section}]"
    yield f"table = {_text(table)}"
    if any(column.name == "amount" and there[name] in MINOR for column, name in names.items()):
        yield 'amount = "minor"  # ' + _("whole numbers: are they hundredths?")
    yield from _section(f"{section}.columns", _of_columns(kind, which, names, there))
    yield from _section(f"{section}.status", _of_words(table, names, there, database))
    yield from _section(f"{section}.fixed", _of_fixed(table, names, there, database))


def _only_fitting(
    kind: Kind, wanted: tuple[Column, ...], tables: list[str], database: Database
) -> str | None:
    """The table that has all that a row has to say, if only one has."""
    needed = {name for group in kind.needed for name in group}
    fitting = [
        table
        for table in tables
        if needed <= {column.name for column in _columns(wanted, _there(table, database))}
    ]
    return fitting[0] if len(fitting) == 1 else None


def _there(table: str, database: Database) -> dict[str, str]:
    """Its columns and their types."""
    return {name: type_ for name, type_, *_rest in database.rows(COLUMNS, [TableName(table)])}


def _section(section: str, lines: Iterator[str]) -> Iterator[str]:
    first = next(lines, None)
    if first is not None:
        yield from ("", f"[{section}]", first, *lines)


def _columns(wanted: tuple[Column, ...], there: dict[str, str]) -> dict[Column, str]:
    """Each of our columns with that of the table which may be it."""
    names: dict[Column, str] = {}
    for column in wanted:
        also = {"amount": MINOR, "status": TEXT}.get(column.name, frozenset())
        left = [
            name
            for name, type_ in there.items()
            if type_ in column.types | also and name not in names.values()
        ]
        if (name := _alike(column.name, ALIASES[column.name], left)) is not None:
            names[column] = name
    return names


def _alike(ours: str, aliases: tuple[str, ...], there: list[str]) -> str | None:
    """What of `there` is called so, but for capitals and signs; or by an alias."""
    plain = {_plain(name): name for name in reversed(there) if NAME.fullmatch(name)}
    if ours in there:
        return ours
    return next((plain[one] for one in (_plain(ours), *aliases) if one in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _of_columns(
    kind: Kind, which: str, names: dict[Column, str], there: dict[str, str]
) -> Iterator[str]:
    if which == "shop_all":  # init_shop_all adds what is missing
        yield from (f"{one.name} = {_text(n)}" for one, n in names.items() if one.name != n)
        return
    used = {*names.values(), *OURS}
    left = ", ".join(f"{name} ({type_})" for name, type_ in there.items() if name not in used)
    none = "# " + _("no column seems to be it; left: %(left)s") % {"left": left}
    for column in (*kind.columns, kind.stamps):
        name = names.get(column)
        if name is not None and name != column.name:
            yield f"{column.name} = {_text(name)}"
        elif name is None and column.name in (*VALIDITY, "comment", kind.stamps.name):
            yield f"{column.name} = false  {none}"
        elif name is None:
            yield f"# {column.name} = …  {none}"


def _of_words(
    table: str, names: dict[Column, str], there: dict[str, str], database: Database
) -> Iterator[str]:
    """Which word means what, somebody has to say: they are listed as they are found."""
    for column, name in names.items():
        if column.name == "status" and there[name] in TEXT:
            query = sql.SQL(WORDS).format(column=sql.Identifier(name), table=TableName(table))
            words = [_text(word) for (word,) in database.rows(query) if word is not None]
            listed = ", ".join(words[:MOST_WORDS]) or "–"
            yield "# " + _("In the table stand: %(words)s") % {"words": listed}
            yield from (f"# {status.name} = …" for status in CARD_STATUSES.values())


def _of_fixed(
    table: str, names: dict[Column, str], there: dict[str, str], database: Database
) -> Iterator[str]:
    for (name,) in database.rows(DEMANDED, [TableName(table), [*names.values(), *OURS]]):
        yield f"# {name} = …  # " + _("%(type)s, must not be null") % {"type": there[name]}


def _text(value: str) -> str:
    """As TOML writes it."""
    return json.dumps(value, ensure_ascii=False)
