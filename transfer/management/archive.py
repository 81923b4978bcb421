"""Our own database as a file, which PostgreSQL's own programs write and read."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management.base import CommandError
from django.db import connection
from django.utils.translation import gettext as _
from django_tasks_db.models import DBTaskResult

from transfer.causes.bonus_servers import ACCOUNT_SECRET_NOT_TAKEN
from transfer.causes.installation import DOCTOR_MADE_BEFORE
from transfer.doctor import encoding
from transfer.doctor.schema import refusal, unknown_migrations
from transfer.models import (
    Actor,
    BonusServer,
    FailedStep,
    Guess,
    Heartbeat,
    IssuedSecret,
    Recipient,
)
from transfer.models.secret import ENCRYPTED, cipher

# Their tables come back empty: what was to be done next, who was logged in, who had guessed
# passwords, who has ticked.
EMPTY = (DBTaskResult, Session, Guess, Heartbeat, FailedStep)
WITH_SECRETS = (BonusServer, Recipient, IssuedSecret)
SECRET = re.compile(rf"(?:^|\t)({ENCRYPTED}[\w=-]+)(?=\t|$)", re.MULTILINE)

COPIED = ("--no-owner", "--no-privileges", "--no-comments")
# Those of libpq's parameters whose variable is not "PG" and their name.
VARIABLES = {
    "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}

# Jobs that were pending in the backup are closed: they were done since, or are obsolete. In the
# transaction that restores, so a worker that runs meanwhile sees none of them.
AT_REST = (
    *(f"update transfer_{runs} set state = 'interrupted', finished_at = now() "  # noqa: S608
      "where state in ('queued', 'running')" for runs in ("transferrun", "maintenancerun")),
    "update transfer_upload set state = 'ready' where state = 'confirmed'",
    "update transfer_accountjob set finished_at = now() where finished_at is null",
    # Requested, perhaps created, and its secret is unknown: the next attempt creates it again.
    f"update transfer_registeraccount set state = 'error', reply_lost = true, "  # noqa: S608
    f"error_code = '{ACCOUNT_SECRET_NOT_TAKEN.code}' where state = 'waiting'",
    # Rejects that were sent again since are closed when they are fetched again.
    "update transfer_transfertask "
    "set mirrored_version = null, mirrored_at = null",
    # As old as those that are given up.
    "update transfer_notice set created_at = created_at - interval '2 days' where sent_at is null",
)  # fmt: skip
PAUSE = """
    update transfer_{} set next_run_at = null, retry_at = null,
           paused_until = greatest(paused_until, now() + interval '1 hour'),
           paused_by = :'who', pause_reason = :'why'
     where enabled;
"""
# A copy of an earlier version may lack a table or a column of these.
IF_THERE = """
do $at_rest$ begin
    {};
exception when undefined_table or undefined_column then null;
end $at_rest$;
"""
PAUSES = map(PAUSE.format, ("transfertask", "maintenancetask"))
REST = "".join(["reset search_path;", *map(IF_THERE.format, AT_REST), *PAUSES, "commit;"])


def dump(path: Path) -> None:
    """Writes the file, for our own eyes only, and puts it in its place when it is whole.

    Raises CommandError.
    """
    options = ["--format=custom", *COPIED]
    options += [f"--exclude-table-data={one._meta.db_table}" for one in EMPTY]
    try:
        beside, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        os.close(beside)
        try:
            _run("pg_dump", *options, f"--file={name}")  # which it flushes to the disk
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def check(path: Path, *, other_key: bool) -> None:
    """Checks that the file can be restored here: into an empty database with UTF8, with its key.

    Raises CommandError, OwnEncoding.
    """
    if connection.introspection.table_names():
        raise CommandError(
            _(
                "The database %(name)s is not empty. Create an empty one, name it in "
                "DATABASE_URL, and restore into it. The old one is not changed."
            )
            % {"name": connection.settings_dict["NAME"]}
        )
    encoding.check_own(connection.connection)
    rows = _rows(path, "django_migrations").splitlines()
    migrations = [line.split("\t") for line in rows if line.count("\t") == 3]
    applied = [(app, name) for _number, app, name, _at in migrations]
    if unknown := unknown_migrations(applied):
        if refusal(unknown).cause is DOCTOR_MADE_BEFORE:
            raise CommandError(
                _("Data Transfer 0.1.0 made this backup. There is no upgrade from that version.")
            )
        raise CommandError(
            _("A newer version made this backup (%(migration)s). Install that version.")
            % {"migration": unknown[0]}
        )
    secrets = SECRET.findall(_rows(path, *(one._meta.db_table for one in WITH_SECRETS)))
    if not other_key and not all(map(_is_readable, secrets)):
        raise CommandError(
            _(
                "The backup was made with another SECRET_KEY: its passwords can't be read. Set "
                "that key, or add it to SECRET_KEY_FALLBACKS. If it is lost, use --other-key, and "
                "enter the passwords again afterwards."
            )
        )


def _rows(path: Path, *tables: str) -> str:
    """The data of some tables, as COPY writes it."""
    options = ["--data-only", "--file=-", *(f"--table={table}" for table in tables)]
    return _run("pg_restore", *options, str(path))


def _is_readable(secret: str) -> bool:
    try:
        cipher().decrypt(secret.encode())
    except InvalidToken:
        return False
    return True


def restore(path: Path) -> None:
    """Restores the file into the empty database and puts it to rest; all of it, or nothing.

    Raises CommandError.
    """
    reads = [_program("pg_restore"), *COPIED, "--file=-", str(path)]
    who, why = Actor.at_command_line().name, _("Restored from a backup: is it as it should be?")
    sets = ["--set=ON_ERROR_STOP=1", f"--set=who={who}", f"--set=why={why}"]
    writes = [_program("psql"), "--no-psqlrc", "--quiet", *sets]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(reads, stdout=pipe, stderr=errors) as source,  # noqa: S603 - PostgreSQL's
        subprocess.Popen(  # noqa: S603 - PostgreSQL's
            writes, stdin=pipe, stdout=nowhere, stderr=errors, env=_environment()
        ) as target,
    ):
        try:
            _feed(source, target.stdin)  # type: ignore[arg-type]
        except BrokenPipeError:  # the target has said why it ended
            source.kill()
        if source.wait() or target.wait():
            errors.seek(0)
            ends = f"pg_restore: {source.returncode}, psql: {target.returncode}"
            raise CommandError(_first(errors.read()) or ends)


def _feed(source: subprocess.Popen[bytes], into: IO[bytes]) -> None:
    """Without the last line, of a file that breaks off, nothing is committed."""
    with into:
        into.write(b"begin;\n")
        shutil.copyfileobj(source.stdout, into)  # type: ignore[arg-type]
        if source.wait() == 0:
            into.write(REST.encode())


def _run(program: str, *options: str) -> str:
    """The output of one of PostgreSQL's programs. Raises CommandError."""
    command = [_program(program), *options]
    done = subprocess.run(  # noqa: S603 - PostgreSQL's
        command, capture_output=True, env=_environment(), check=False
    )
    if done.returncode:
        raise CommandError(_first(done.stderr) or f"{program}: {done.returncode}")
    return done.stdout.decode()


def _first(errors: bytes) -> str:
    """The first lines of what went wrong: further ones may quote a row."""
    return "\n".join(errors.decode(errors="replace").splitlines()[:2])


def _program(name: str) -> str:
    """Where one of PostgreSQL's programs lies; rather of the version that our server has."""
    major = connection.pg_version // 10000  # type: ignore[attr-defined]
    folders = [settings.POSTGRES_PROGRAMS, f"/usr/lib/postgresql/{major}/bin", os.environ["PATH"]]
    if path := shutil.which(name, path=os.pathsep.join(filter(None, folders))):
        return path
    raise CommandError(
        _("%(program)s, a part of PostgreSQL, is missing. Run: apt install %(package)s")
        % {"program": name, "package": f"postgresql-client-{major}"}
    )


def _environment() -> dict[str, str]:
    """The environment for our own database: no process list shows it."""
    return os.environ | {
        VARIABLES.get(name, f"PG{name.upper().replace('_', '')}"): str(value)
        for name, value in connection.get_connection_params().items()
        if isinstance(value, str | int)
    }
