"""What can be tried in a running demo: a bonus server that is away, and a restore of shop All.

`make demo-outage` leaves a note for the running demo, which stops the server and starts it again.
`make demo-restore` puts shop All back to a copy that the demo has made some minutes before, as an
administrator would from a backup: what was staged since is gone, and bonus servers have it.
"""

import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2 import sql

from dtadmin import embedded
from dtadmin.demo.processes import Processes

OUTAGE_SECONDS = 300
COPY_EVERY_SECONDS = 120
COPIES = 3
"""How many are kept: the oldest is up to so many times COPY_EVERY_SECONDS old."""


class Outage:
    """The time when a bonus server is away: its ports closed, its database without log-ins.

    The note is a file, so that another process can write it. It holds when the outage ends, by the
    machine's clock.
    """

    def __init__(self, home: Path, socket_folder: str, server: str, database: str) -> None:
        self.note = home / "demo_outage"
        self.socket_folder = socket_folder
        self.server = server
        self.database = database
        self.is_on = False

    def ask_for(self) -> None:
        """Begin an outage, or prolong the one under way; the running demo sees to it."""
        self.note.write_text(str(time.time() + OUTAGE_SECONDS))

    def forget(self) -> None:
        """End what a demo left behind that was stopped meanwhile."""
        self.note.unlink(missing_ok=True)
        self._allow_log_ins(True)

    def carry_on(self, processes: Processes) -> None:
        """Begin or end the outage, as the note says now."""
        is_wanted = self.note.exists() and time.time() < float(self.note.read_text() or 0)
        if is_wanted == self.is_on:
            return
        if is_wanted:
            processes.stop(self.server)
            self._allow_log_ins(False)
        else:
            self._allow_log_ins(True)
            processes.start_again(self.server)
        self.is_on = is_wanted

    def _allow_log_ins(self, allowed: bool) -> None:
        with closing(as_superuser(self.socket_folder)) as connection, connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("alter database {} with allow_connections {}").format(
                    sql.Identifier(self.database), sql.Literal(allowed)
                )
            )
            if not allowed:
                cursor.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                    [self.database],
                )


class Copies:
    """Copies of shop All that the demo makes while it runs, the newest last."""

    def __init__(self, home: Path, socket_folder: str, database: str) -> None:
        self.folder = home / "demo_copies"
        self.socket_folder = socket_folder
        self.database = database
        self.made_at = 0.0

    def carry_on(self) -> None:
        """Make a copy if it is time for one, and remove those that are too many."""
        if time.monotonic() - self.made_at < COPY_EVERY_SECONDS and self.made_at:
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        begun = self.folder / "begun"
        self._call("pg_dump", "--format=custom", f"--file={begun}", self.database)
        begun.rename(self.folder / f"{int(time.time())}.dump")
        for old in self.all()[:-COPIES]:
            old.unlink()
        self.made_at = time.monotonic()

    def all(self) -> list[Path]:
        return sorted(self.folder.glob("*.dump"))

    def restore_oldest(self) -> int | None:
        """Put shop All back to the oldest copy; return how many seconds ago it was made.

        None where there is no copy yet. All copies are of the database before: they go.
        """
        copies = self.all()
        if not copies:
            return None
        with closing(as_superuser(self.socket_folder)) as connection, connection.cursor() as cursor:
            name = sql.Identifier(self.database)
            cursor.execute(sql.SQL("drop database {} with (force)").format(name))
            cursor.execute(sql.SQL("create database {}").format(name))
        self._call("pg_restore", "--exit-on-error", f"--dbname={self.database}", str(copies[0]))
        seconds = int(time.time()) - int(copies[0].stem)
        for copy in copies[1:]:
            copy.unlink()
        return seconds

    def _call(self, program: str, *arguments: str) -> None:
        path = embedded.programs() / program
        log_in = (f"--host={self.socket_folder}", "--username=postgres", "--no-password")
        subprocess.run([path, *log_in, *arguments], check=True)  # noqa: S603 - a program of ours


def as_superuser(socket_folder: str) -> "psycopg2.extensions.connection":
    connection = psycopg2.connect(host=socket_folder, user="postgres", dbname="postgres")
    connection.autocommit = True
    return connection
