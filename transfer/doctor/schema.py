"""Whether our own database is of this version, judged by its migrations."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from transfer.causes.installation import DOCTOR_MADE_BEFORE, DOCTOR_NEWER_SCHEMA
from transfer.errors import TransferError

# Each database of 0.1.0 has this migration, and no later version has one of this name.
OF_0_1_0 = "transfer.0002_users"


@cache
def _loader() -> MigrationLoader:
    """The migrations of this version; they are files, so they stay the same."""
    return MigrationLoader(None)


def unknown_migrations(applied: Iterable[tuple[str, str]] | None = None) -> list[str]:
    """Migrations that another version has applied: this version has their app, but not them.

    `applied`: pairs of app and name, instead of those of our own database.
    """
    if applied is None:
        applied = MigrationRecorder(connection).applied_migrations()
    loader = _loader()
    known = {*loader.disk_migrations}.union(
        *(one.replaces for one in loader.disk_migrations.values())
    )
    return sorted(
        f"{app}.{name}"
        for app, name in applied
        if app in loader.migrated_apps and (app, name) not in known
    )


def our_unknown_migrations() -> list[str]:
    """Those of them that are our own app's.

    Compares names of files and imports none of them, since every tick asks this. Raises
    django.db.Error.
    """
    folder = Path(apps.get_app_config("transfer").path) / "migrations"
    known = {file.stem for file in folder.glob("0*.py")}
    with connection.cursor() as cursor:
        cursor.execute("select name from django_migrations where app = 'transfer' order by name")
        return [f"transfer.{name}" for (name,) in cursor if name not in known]


def refusal(unknown: list[str]) -> TransferError:
    """Why this version can't work with a database that has these unknown migrations."""
    return (
        TransferError(DOCTOR_MADE_BEFORE)
        if OF_0_1_0 in unknown
        else TransferError(DOCTOR_NEWER_SCHEMA, migration=unknown[0])
    )


def pending_migrations() -> list[str]:
    """Migrations of this version that our own database lacks."""
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(
        f"{app}.{name}" for app, name in _loader().disk_migrations if (app, name) not in applied
    )
