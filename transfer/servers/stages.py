"""Tests a bonus server in stages, each with its time; the first failure says what to do.

A stage is bounded as a whole: it runs in a thread of its own, which is left behind when it hangs.
"""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError as StillRunning
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.bonus_api import errors as errors
from transfer.bonus_api.client import BonusApi
from transfer.bonus_api.http import CONNECT_SECONDS
from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.kinds import KINDS
from transfer.errors import TransferError, gettext_noop
from transfer.models import BonusServer
from transfer.words.explain import explain

STAGE_SECONDS = 8.0
CLOCK_SECONDS = 60  # so far apart, "valid from" begins visibly too late

Said = tuple[str, dict[str, object]]


@dataclass(frozen=True)
class Result:
    """How a stage ended, in the user's language."""

    stage: str
    label: str
    seconds: float
    sentence: str
    hint: str = ""
    technical: str = ""
    ok: bool = True
    warns: bool = field(default=False)


def try_name(server: BonusServer) -> Said:
    try:
        found = socket.getaddrinfo(server.host, server.admin_port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise errors.HostUnknown(str(error), host=server.host) from None
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    return gettext_noop("The address is %(addresses)s."), {"addresses": addresses}


def try_ports(server: BonusServer) -> Said:
    for port in (server.admin_port, server.work_port):
        _connect(server.host, port)
    return (
        gettext_noop("Ports %(admin)s and %(work)s accept connections."),
        {"admin": server.admin_port, "work": server.work_port},
    )


def _connect(host: str, port: int) -> None:
    where: dict[str, object] = {"host": host, "port": port}
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except ConnectionRefusedError as error:
        raise errors.PortClosed(str(error), **where) from None
    except TimeoutError as error:
        raise errors.HostSilent(str(error), seconds=f"{CONNECT_SECONDS:g}", **where) from None
    except OSError as error:
        raise errors.NoRoute(str(error), reason=error.strerror or error, **where) from None


def try_token(server: BonusServer) -> Said:
    with BonusApi(server.endpoint) as api:
        status = api.status()
    ahead = round((status.time - timezone.now()).total_seconds())
    told: dict[str, object] = {"name": status.name, "version": status.version}
    if abs(ahead) < CLOCK_SECONDS:
        return gettext_noop("%(name)s, version %(version)s, accepts the token."), told
    return (
        gettext_noop(
            "%(name)s, version %(version)s, accepts the token. But its clock is off by "
            "%(seconds)s s: set both by a time server."
        ),
        told | {"seconds": f"{ahead:+d}"},
    )


def try_login(server: BonusServer) -> Said:
    server.check_secrets()
    with _database(server) as database:
        version, encrypted = database.one(
            "select current_setting('server_version'), coalesce((select ssl from pg_stat_ssl "
            "where pid = pg_backend_pid()), false)"
        )
    if encrypted:
        return gettext_noop("PostgreSQL %(version)s, encrypted."), {"version": version}
    return gettext_noop("PostgreSQL %(version)s, not encrypted."), {"version": version}


def try_tables(server: BonusServer) -> Said:
    with _database(server) as database:
        for kind in KINDS.values():
            database.check_columns(kind)
    tables = ", ".join(kind.target for kind in KINDS.values())
    return gettext_noop("There are %(tables)s, with the right columns."), {"tables": tables}


def try_rights(server: BonusServer) -> Said:
    with _database(server) as database:
        database.check_rights(*KINDS.values())
        with database.transaction(commit=False):
            database.ensure_schema()
    return gettext_noop("The database user may do all that a transfer does."), {}


def _database(server: BonusServer) -> BonusDatabase:
    return BonusDatabase(server.dsn, server.name or server.host, "connection test")


STAGES: dict[str, tuple[Any, Callable[[BonusServer], Said]]] = {
    "name": (gettext_lazy("Name"), try_name),
    "ports": (gettext_lazy("Ports"), try_ports),
    "token": (gettext_lazy("API token"), try_token),
    "login": (gettext_lazy("Database log-in"), try_login),
    "tables": (gettext_lazy("Tables"), try_tables),
    "rights": (gettext_lazy("Rights"), try_rights),
}


def following(stage: str) -> str | None:
    """The stage after this one."""
    names = list(STAGES)
    after = names.index(stage) + 1
    return names[after] if after < len(names) else None


def run_stage(stage: str, server: BonusServer, seconds: float = STAGE_SECONDS) -> Result:
    """Runs one stage, within its time. Never raises."""
    label, test = STAGES[stage]
    pool = ThreadPoolExecutor(1, thread_name_prefix=f"test-{stage}")
    began = time.monotonic()
    try:
        sentence, params = pool.submit(test, server).result(timeout=seconds)
        took = time.monotonic() - began
        warns = "clock" in sentence
        return Result(stage, str(label), took, _(sentence) % params, warns=warns)
    except TransferError as error:
        return _failed(stage, time.monotonic() - began, error)
    except StillRunning:
        hung = errors.StageTooSlow(seconds=f"{seconds:g}")
        return _failed(stage, time.monotonic() - began, hung)
    except Exception as error:
        return _failed(stage, time.monotonic() - began, TransferError(type(error).__name__))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _failed(stage: str, took: float, error: TransferError) -> Result:
    sentence, hint = explain(error)
    return Result(stage, str(STAGES[stage][0]), took, sentence, hint, error.technical, ok=False)


def run_all(server: BonusServer) -> Iterator[Result]:
    """All stages, up to the first that fails."""
    for stage in STAGES:
        result = run_stage(stage, server)
        yield result
        if not result.ok:
            return
