"""Tests a bonus server in stages, each with its time; the first failure says what to do."""

import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.bonus_admin_client.client import BonusApi
from transfer.bonus_admin_client.http import CONNECT_SECONDS
from transfer.bonus_admin_client.ports import Port, port_at
from transfer.causes.bonus_servers import API_ADMIN_PORT, API_PORTS_SWAPPED, API_SERVICE_PORT
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.relations import TRIGGERS, remarks
from transfer.engine.table_mapping import TableName
from transfer.errors import TransferError, from_socket
from transfer.installed import installed_tables
from transfer.models import Actor, AuditEntry, BonusServer
from transfer.parties import gettext_noop, server as party_of
from transfer.servers.timed_check import Passed, Result, timed_check

STAGE_SECONDS = 8.0
ONE_TEST = timedelta(minutes=1)
ADDRESS = ("host", "admin_port", "db_host", "db_port", "db_name", "db_user")
BY_SECTION = gettext_noop("the file of DTADMIN_TABLES has a section for this server")
PUBLISHED = gettext_noop(
    "%(tables)s are published (%(names)s). Where shop All moves to another server by logical "
    "replication, run init_shop_all there after the switch, not before: our triggers refuse "
    "replicated rows"
)
HARMLESS = (TRIGGERS, BY_SECTION, PUBLISHED)
Remark = tuple[str, dict[str, str]]  # a message id and its parameters
CLOCK_SECONDS = 60  # so far apart, "valid from" begins visibly too late


def try_name(server: BonusServer) -> Passed:
    try:
        known = socket.getaddrinfo(server.host, server.admin_port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise _failed(server, server.admin_port, error) from None
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in known))
    return Passed(gettext_noop("The address is %(addresses)s."), {"addresses": addresses})


def try_ports(server: BonusServer) -> Passed:
    for port in (server.admin_port, server.work_port):
        _connect(server, port)
    if wrong := _wrong_port(server):
        raise wrong
    ports: dict[str, object] = {"admin": server.admin_port, "work": server.work_port}
    if other := server.with_same_ports():
        return Passed(
            gettext_noop(
                "Ports %(admin)s and %(work)s accept connections. But %(other)s has the same host "
                "and port: one of the two may be entered wrong."
            ),
            ports | {"other": other.name},
            warns=True,
        )
    return Passed(gettext_noop("Ports %(admin)s and %(work)s accept connections."), ports)


def _wrong_port(server: BonusServer) -> TransferError | None:
    """Why a port is not the one that it was entered as, as far as its answer tells."""
    admin, work = (
        port_at(server.host, port, tls=server.api_tls)
        for port in (server.admin_port, server.work_port)
    )
    name, party = server.name or server.host, party_of(server.name or server.host)
    if (admin, work) == (Port.SERVICE, Port.ADMIN):
        return TransferError(
            API_PORTS_SWAPPED,
            party=party,
            server=name,
            admin=server.admin_port,
            work=server.work_port,
        )
    if admin == Port.SERVICE:
        return TransferError(API_SERVICE_PORT, party=party, server=name, port=server.admin_port)
    if work == Port.ADMIN:
        return TransferError(API_ADMIN_PORT, party=party, server=name, port=server.work_port)
    return None


def check_service_port(server: BonusServer) -> TransferError | None:
    """Why registers can't connect to the service port, if they can't. Queries no database."""
    try:
        _connect(server, server.work_port)
    except TransferError as error:
        return error
    return None


def _connect(server: BonusServer, port: int) -> None:
    try:
        socket.create_connection((server.host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise _failed(server, port, error) from None


def _failed(server: BonusServer, port: int, error: OSError | UnicodeError) -> TransferError:
    party = party_of(server.name or server.host)
    return from_socket(error, party, server.host, port, CONNECT_SECONDS)


def try_token(server: BonusServer) -> Passed:
    if not server.api_token:
        text = gettext_noop("No API token is entered: accounts of registers are not managed here.")
        return Passed(text, {}, warns=True)
    with BonusApi(server.endpoint) as api:
        status = api.status()
    ahead = round((status.time - timezone.now()).total_seconds())
    params: dict[str, object] = {"name": status.name, "version": status.version}
    if abs(ahead) < CLOCK_SECONDS:
        return Passed(gettext_noop("%(name)s, version %(version)s, accepts the token."), params)
    return Passed(
        gettext_noop(
            "%(name)s, version %(version)s, accepts the token. But its clock is off by "
            "%(seconds)s s: set both by a time server."
        ),
        params | {"seconds": f"{ahead:+d}"},
        warns=True,
    )


def try_login(server: BonusServer) -> Passed:
    server.check_secrets()
    with _database(server) as database:
        version, encrypted = database.database.only_row(
            "select current_setting('server_version'), coalesce((select ssl from pg_stat_ssl "
            "where pid = pg_backend_pid()), false)"
        )
    sentence = gettext_noop("PostgreSQL %(version)s, not encrypted.")
    if encrypted:
        sentence = gettext_noop("PostgreSQL %(version)s, encrypted.")
    return Passed(sentence, {"version": version})


def try_tables(server: BonusServer) -> Passed:
    with _database(server) as database:
        for kind in server.kinds.values():
            database.tables.check_columns(kind)
        tables = [kind.target_table for kind in server.kinds.values()]
        has_section = server.name in installed_tables().sections
        return remarks_on(database.database, tables, [(BY_SECTION, {})] if has_section else [])


def remarks_on(
    database: Database, tables: Iterable[TableName], others: Iterable[Remark] = ()
) -> Passed:
    """Tables with the right columns, and what an administrator should know of them.

    `others`: further remarks.
    """
    names: list[str] = []
    found = [*others]
    for table in tables:
        names.append(table.name)
        found += remarks(database, table)
    params = {"tables": ", ".join(names)}
    if not found:
        return Passed(gettext_noop("There are %(tables)s, with the right columns."), params)
    return Passed(
        gettext_noop("There are %(tables)s, with the right columns. Note: %(remarks)s."),
        params | {"remarks": "; ".join(_(text) % named for text, named in found)},
        warns=any(text not in HARMLESS for text, _named in found),
    )


def try_rights(server: BonusServer) -> Passed:
    with _database(server) as database:
        database.tables.check_rights(*server.kinds.values())
        with database.database.transaction(commit=False):
            database.ensure_schema()
    return Passed(gettext_noop("The database user may do all that a transfer does."), {})


def _database(server: BonusServer) -> BonusDatabase:
    return BonusDatabase(server.dsn, server.name or server.host, "connection test", secret=False)


STAGES: dict[str, tuple[Any, Callable[[BonusServer], Passed]]] = {
    "name": (gettext_lazy("Name"), try_name),
    "ports": (gettext_lazy("Ports"), try_ports),
    "token": (gettext_lazy("API token"), try_token),
    "login": (gettext_lazy("Database log-in"), try_login),
    "tables": (gettext_lazy("Tables"), try_tables),
    "rights": (gettext_lazy("Rights"), try_rights),
}


def note_test(tested: BonusServer, actor: Actor) -> None:
    """Notes the test in the audit, once, before the secrets are sent."""
    new = {name: getattr(tested, name) for name in ADDRESS}
    noted = AuditEntry.objects.filter(
        who=actor.name, action=AuditEntry.Action.TEST, new=new, at__gt=timezone.now() - ONE_TEST
    )
    if not noted.exists():
        AuditEntry.record(actor, AuditEntry.Action.TEST, tested, new=new)


def run_stage(stage: str, server: BonusServer, seconds: float = STAGE_SECONDS) -> Result:
    """Runs one stage, within its time. Never raises."""
    label, test = STAGES[stage]
    return timed_check(stage, str(label), lambda: test(server), seconds)


def run_all(server: BonusServer) -> Iterator[Result]:
    """Runs all stages, up to the first that fails."""
    for stage in STAGES:
        result = run_stage(stage, server)
        yield result
        if not result.ok:
            return
