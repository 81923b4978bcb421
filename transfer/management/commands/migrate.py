from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils.translation import gettext as _, gettext_noop

from transfer.doctor.encoding import check_own
from transfer.doctor.schema import refusal, unknown_migrations
from transfer.errors import OwnEncoding
from transfer.management.command import FAILED, NO_DATABASE, Command as BaseCommand
from transfer.text.explain import explain


class Command(BaseCommand, DjangoCommand):
    """Django's command, which changes all or nothing and refuses another version's schema."""

    help = gettext_noop(
        "Brings our own database to this version: all pending migrations, or none if one fails. "
        "Refuses a database of a newer version, and one of 0.1.0. Exit code 4 when the database "
        "does not answer."
    )
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Connects, compares versions, migrates. Raises CommandError, SystemExit, OwnEncoding."""
        self.current, self.is_committing = "", False
        try:
            connection.ensure_connection()
        except OperationalError as error:
            self.fail(_("Data Transfer's own database failed: %(cause)s"), error, NO_DATABASE)
        try:
            check_own(connection.connection)
        except OwnEncoding as error:  # a database that has tables already may keep its encoding
            if not MigrationRecorder(connection).has_table():
                raise
            self.stderr.write(explain(error).sentence)
        if unknown := unknown_migrations():
            raise refusal(unknown)
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if not all(migration.atomic for migration, _backwards in plan):
            super().handle(*args, **options)
            return
        try:
            with transaction.atomic():
                # An alteration is refused while checks of earlier statements are still to come.
                connection.cursor().execute("set constraints all immediate")
                super().handle(*args, **options)
                self.is_committing = True
        except CommandError:
            raise
        except Exception as error:
            if not self.current or options["traceback"]:
                raise
            failed = _("The migration %(migration)s failed: %(cause)s")
            self.fail(f"{failed}\n{self.what_is_left()}", error, FAILED)

    def what_is_left(self) -> str:
        """The state of the database after a failure, and how to go on."""
        if self.is_committing:
            return _(
                "The answer to the commit was lost, so either all or nothing was changed. Run: "
                "manage.py migrate"
            )
        return _(
            "Nothing was changed: the database has the schema of the version before. Remove the "
            "cause and run manage.py migrate again, or start the version before."
        )

    def fail(self, sentence: str, error: Exception, returncode: int) -> None:
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        params = {"cause": cause, "migration": self.current}
        raise CommandError(sentence % params, returncode=returncode) from error

    def migration_progress_callback(
        self, action: str, migration: Any = None, fake: bool = False
    ) -> None:
        if action.endswith("_start") and migration is not None:
            self.current = f"{migration.app_label}.{migration.name}"
        super().migration_progress_callback(action, migration, fake)
