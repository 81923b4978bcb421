"""Makes databases, their users and rights, or tells the SQL by which an administrator does."""

import os
import pwd
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import CommandError
from django.db import DatabaseError, transaction
from django.utils.translation import gettext as _
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn

from transfer.causes.connections import DATABASE_MISSING, LOGIN_REFUSED
from transfer.doctor import encoding
from transfer.engine.kind import Kind
from transfer.engine.postgres.connection import LOCAL
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.schema.indexes import Step
from transfer.engine.shop_all.schema.initialise import COMPLETE, Staging
from transfer.engine.shop_all.schema.rights import PIN, UNPIN, Guards
from transfer.engine.shop_all.schema.tables import TABLES
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.table_mapping import TableName
from transfer.errors import GuardsOfAnother, GuardsOutdated, QueryFailed, TransferError, Unreachable
from transfer.installed import installed_kinds
from transfer.management.passwords import verifier
from transfer.models import Actor, AuditEntry, Settings
from transfer.parties import OWN, SHOP_ALL, Party
from transfer.text.explain import explain, name_of

PURPOSE = "setup"
# Statements that an administrator need not run.
TIMEOUTS = ("set local statement_timeout", "set statement_timeout", "set lock_timeout", "reset ")
CONCURRENTLY = " index concurrently "
NO_RIGHT = "42501"  # SQLSTATE

THERE = """
    select exists (select from pg_roles where rolname = %s),
           exists (select from pg_database where datname = %s)
"""
# For psql.
IF_MISSING = """
select $${}$$ where not exists (select from pg_database where datname = '{}') \\gexec
""".strip()
MIGRATIONS = TableName("django_migrations")
FOREIGN = """
    select exists (select from pg_tables
                    where schemaname not in ('pg_catalog', 'information_schema')),
           to_regclass(%s) is not null
"""
# What a transfer, a load, a correction, an undo and a purge do. Nobody changes the identity of shop
# All, so it is only read.
GRANTS = """
grant connect, temporary on database {database} to {user};
grant usage on schema datatransfer to {user};
grant select on {identity} to {user};
grant select, insert, update, delete on {ours} to {user};
grant select, insert, update, delete on {tables} to {user};
grant usage on sequence {sequences} to {user};
"""
MAY_ALL = """
    select bool_and(has_table_privilege(name, "right"))
      from unnest(%s) as name cross join unnest(%s) as "right"
"""
MAY_READ = "select has_table_privilege(%s, 'select')"
IDENTITY, *OURS = [f"datatransfer.{name}" for name in TABLES]
RIGHTS = ["select", "insert", "update", "delete"]


class AdministratorNeeded(Exception):
    """`script` is for an administrator of the server; `cause` says why we can't run it."""

    def __init__(self, script: str, cause: TransferError) -> None:
        self.script, self.cause = script, cause
        super().__init__()

    def in_words(self) -> list[str]:
        """The cause. What to do about guards is the script."""
        sentence, hint = explain(self.cause)
        return [sentence] if isinstance(self.cause, GuardsOutdated) else [sentence, hint]


class Administrator:
    """The user of a database server that may create others; `setup` logs in as this user."""

    def __init__(self, user: str, given: str, ask: Callable[[], str]) -> None:
        self.user, self.given, self.ask = user, given, ask

    @contextmanager
    def logged_in(self, url: str, database: str) -> Iterator[str]:
        """The DSN of a database on the server of `url`.

        Root becomes the account of that name, which PostgreSQL lets in over its socket.
        """
        parts = parse_dsn(url) | {"user": self.user, "dbname": database, "password": self.given}
        account = None
        if not self.given and parts.get("host", "") in LOCAL and os.geteuid() == 0:
            account = next((one for one in pwd.getpwall() if one.pw_name == self.user), None)
        if account is None:
            yield make_dsn(**parts | {"password": self.given or self.ask()})
            return
        os.seteuid(account.pw_uid)
        try:
            yield make_dsn(**parts | {"host": ""})
        finally:
            os.seteuid(0)


def ensure(url: str, party: Party, administrator: Administrator) -> bool:
    """Creates the database of the URL if it does not exist; returns whether it was created.

    Raises CommandError where there is such a user with another password, which may be somebody
    else's; AdministratorNeeded, Unreachable.
    """
    try:
        with Database(url, party, PURPOSE, secret=False) as database:
            database.only_row("select 1")
        return False
    except Unreachable as refusal:
        if refusal.cause not in (LOGIN_REFUSED, DATABASE_MISSING):
            raise
        parts = parse_dsn(url)
        user, called = quoted(parts["user"]), quoted(parts["dbname"])
        password = parts.get("password")
        by_password = f" password '{verifier(password)}'" if password else ""
        make_user = f"create role {user} login{by_password};"
        make_database = f"create database {called} owner {user} encoding 'UTF8' template template0;"
        wanted = [make_user] if refusal.cause is LOGIN_REFUSED else []
        try:
            with (
                administrator.logged_in(url, "postgres") as dsn,
                Database(dsn, party, PURPOSE, secret=False) as server,
            ):
                server.connection.set_session(autocommit=True)
                has_user, has_database = server.only_row(THERE, [parts["user"], parts["dbname"]])
                if wanted and has_user:
                    sentence = _(
                        "%(what)s: the user %(user)s has another password. Give that password, or "
                        "name another user."
                    )
                    named = {"what": name_of(party), "user": parts["user"]}
                    raise CommandError(sentence % named) from None
                for statement in wanted + [make_database] * (not has_database):
                    server.execute(statement)
        except (Unreachable, QueryFailed) as cause:
            if_missing = IF_MISSING.format(make_database, parts["dbname"].replace("'", "''"))
            raise AdministratorNeeded("\n".join([*wanted, if_missing]), cause) from None
    return True


def check_own(url: str) -> None:
    """Checks that our own database is none of another program, and a new one has UTF8.

    Raises CommandError, OwnEncoding.
    """
    with Database(url, OWN, PURPOSE, secret=False) as database:
        has_tables, has_migrations = database.only_row(FOREIGN, [MIGRATIONS])
        if not has_tables:
            encoding.check_own(database.connection)
            return
        query = sql.SQL("select exists (select from {} where app = 'transfer')").format(MIGRATIONS)
        is_ours = has_migrations and database.only_row(query)[0]
        if not is_ours:
            sentence = _("The database %(name)s has tables of another program. Name another one.")
            raise CommandError(sentence % {"name": parse_dsn(url)["dbname"]})


def add_existing_rows(parser: ArgumentParser) -> None:
    """Adds `--existing-rows`."""
    parser.add_argument(
        "--existing-rows",
        choices=["waiting", "moved"],
        help=_("rows of tables that lack our columns: to be sent to every server, or to none"),
    )


def ensure_staging(
    url: str, administrator: Administrator | None = None, existing_rows: str | None = None
) -> list[Step]:
    """Creates what shop All lacks, as its user or, if that may not, as the administrator.

    Raises AdministratorNeeded, TransferError.
    """
    existing_moved = None if existing_rows is None else existing_rows == "moved"
    try:
        with ShopAll(url, PURPOSE, secret=False) as shop_all:
            return initialise(shop_all, existing_moved)
    except (QueryFailed, GuardsOfAnother) as error:
        if not isinstance(error, GuardsOfAnother) and not error.technical.startswith(NO_RIGHT):
            raise
        refusal = error
    with Script(url, SHOP_ALL, PURPOSE) as script:
        staging = Staging(script, installed_kinds().values(), Unchecked(), existing_moved)
        steps = staging.initialise()
        if may_all(script) and not without_complete(steps):
            return steps
        ending = grants(script, url), PIN + "\n" + staging.guards.hand_over() + UNPIN
        try:
            if administrator is None:
                raise refusal
            with (
                administrator.logged_in(url, parse_dsn(url)["dbname"]) as dsn,
                ShopAll(dsn, PURPOSE, secret=False) as shop_all,
            ):
                steps = initialise(shop_all, existing_moved)
                with shop_all.database.transaction():
                    shop_all.database.execute("\n".join(ending))
        except (Unreachable, QueryFailed, GuardsOfAnother) as cause:
            there = f"\\connect {quoted(parse_dsn(url)['dbname'])}\n"
            raise AdministratorNeeded(there + script.text(ending), why(script, cause)) from None
    return steps


def note_staging(steps: list[Step], existing_rows: str | None) -> bool:
    """Note in the audit which parts of shop All were missing, and what `--existing-rows` said.

    Return False where our own database does not answer, or has no tables yet.
    """
    names = [step.params.get("table") or step.params["names"] for step in without_complete(steps)]
    facts = {"tables": list(dict.fromkeys(names)), "existing_rows": existing_rows}
    try:
        with transaction.atomic():
            AuditEntry.record(
                Actor.at_command_line(),
                AuditEntry.Action.STAGING,
                Settings.load(),
                new={name: value for name, value in facts.items() if value},
            )
    except DatabaseError:
        return False
    return True


def without_complete(steps: list[Step]) -> list[Step]:
    """Return the steps that changed something."""
    return [step for step in steps if step.sentence != COMPLETE]


def why(database: Database, cause: TransferError) -> TransferError:
    """The problem of the guards, which is urgent, or else `cause`."""
    try:
        Guards(database, installed_kinds().values()).check()
    except GuardsOutdated as urgent:
        return urgent
    return cause


def initialise(shop_all: ShopAll, existing_moved: bool | None = None) -> list[Step]:
    """See `Staging`."""
    kinds = installed_kinds().values()
    staging = Staging(shop_all.database, kinds, shop_all.identity, existing_moved)
    return staging.initialise()


class Script(Database):
    """A database that answers queries, and keeps other statements instead of running them."""

    def __init__(self, dsn: str, party: Party, purpose: str) -> None:
        super().__init__(dsn, party, purpose, secret=False)
        self.statements: list[str] = []

    def execute(self, statement: Any, parameters: Any = None) -> int:
        text = statement if isinstance(statement, str) else statement.as_string(self.connection)
        if not text.startswith(TIMEOUTS):
            self.statements.append(text.strip().rstrip(";"))
        return 0

    def text(self, ending: Iterable[str]) -> str:
        """Return the kept statements, and then these, as one transaction.

        A row that another session stages between two of them would get a wrong name. The indexes
        that are created beside writers follow, since no transaction may do that.
        """
        within = [one for one in self.statements if CONCURRENTLY not in one]
        within += [one.strip().rstrip(";") for one in ending]
        beside = [one for one in self.statements if CONCURRENTLY in one]
        return "".join(f"{one};\n" for one in ["begin", *within, "commit", *beside])


class Unchecked:
    """Replaces `Identity` while nothing is changed: the tables are as they were."""

    def check_table(self, kind: Kind) -> None:
        """It was checked before by the user of the URL, or is missing."""

    def check_staging(self, kind: Kind) -> None:
        """The log may be missing that a kept statement makes."""

    def check_types(self, kind: Kind) -> None:
        """A column may be missing that a kept statement adds."""

    def check_columns(self, kind: Kind) -> None:
        """Likewise a default and a trigger."""

    def check_guards(self, guards: Guards) -> None:
        """They are as they were."""


def may_all(database: Database) -> bool:
    """Whether its user has the rights that it needs at least, on all that there should be."""
    tables = staging_tables(database)
    names = [*tables, IDENTITY, *OURS]
    may_look = "select has_schema_privilege(to_regnamespace('datatransfer'), 'usage')"
    missing = "select bool_or(to_regclass(one) is null) from unnest(%s) as one"
    if not database.only_row(may_look)[0] or database.only_row(missing, [names])[0]:
        return False
    may_change = database.value(MAY_ALL, [[*OURS, *tables], RIGHTS])
    return bool(may_change and database.value(MAY_READ, [IDENTITY]))


def grants(database: Database, url: str) -> str:
    """The rights that the user of the URL needs at least."""
    parts = parse_dsn(url)
    tables = staging_tables(database)
    # Numbers that are yet to be made get the usual name.
    query = """
        select coalesce((select pg_get_serial_sequence(one, attname) from pg_attribute
                          where attrelid = to_regclass(one) and attname = 'id'),
                        left(one, -1) || '_id_seq"')
          from unnest(%s) as one
    """
    sequences = [name for (name,) in database.rows(query, [tables])]
    return GRANTS.format(
        database=quoted(parts["dbname"]), user=quoted(parts["user"]),
        identity=IDENTITY, ours=", ".join(OURS), tables=", ".join(tables),
        sequences=", ".join(sequences),
    ).strip()  # fmt: skip


def staging_tables(database: Database) -> list[str]:
    """As a statement names them."""
    return [
        kind.shop_all.identifier.as_string(database.connection)
        for kind in installed_kinds().values()
    ]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
