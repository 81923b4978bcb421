import os
import pwd
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.db import connection
from django.utils import translation
from django.utils.translation import gettext as _, gettext_noop
from dotenv import dotenv_values, set_key
from psycopg2.extensions import parse_dsn

from transfer.access import Role
from transfer.engine.postgres.connection import LOCAL, as_django_setting
from transfer.engine.shop_all.schema.indexes import Step
from transfer.errors import Unreachable
from transfer.management import provision, services
from transfer.management.command import Command as BaseCommand, UsageError, typed
from transfer.management.provision import Administrator
from transfer.management.setup_values import Questions, env_values, read_secrets
from transfer.models import Actor, Heartbeat, User
from transfer.parties import OWN, SHOP_ALL, Party
from transfer.text.explain import name_of

DEBIANS_POSTGRES = Path("/usr/lib/postgresql")
WAYS = ("worker", "cron")


class Command(BaseCommand):
    help = gettext_noop(
        "Sets up the missing parts of an installation: the env file, databases and their users, "
        "tables, the first administrator, the schedule; then checks everything. Asks on a "
        "terminal for options that are not given. Running it again changes nothing."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        provision.add_existing_rows(parser)
        url = "postgresql://user@host/name"
        add("--database", metavar=url, help=_("our own database, without the password"))
        add("--shop-all", metavar=url, help=_("the database of shop All"))
        for name in ("--database-admin", "--shop-all-admin"):
            add(name, default="postgres", help=_("who may make users there; default: %(default)s"))
        add("--language", choices=dict(settings.LANGUAGES),
            help=_("of the command line, and of pages until a user chooses"))  # fmt: skip
        add("--time-zone", help=_("of schedules and pages; default: Europe/Moscow"))
        add("--address", metavar="https://dtadmin.shop.local", help=_("where browsers reach it"))
        add("--administrator", help=_("login of the first administrator"))
        add("--schedule", choices=WAYS,
            help=_("background workers, or a line of cron that does everything"))  # fmt: skip
        add("--secrets", metavar=_("FILE|-"),
            help=_("passwords, a NAME=password a line: DATABASE, SHOP_ALL, DATABASE_ADMIN, "
                   "SHOP_ALL_ADMIN, ADMINISTRATOR; - reads standard input"))  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        self.file = self.env_file()
        self.written = {name: text for name, text in dotenv_values(self.file).items() if text}
        self.questions = Questions(read_secrets(options["secrets"]))
        question, codes = "Язык, language: ru, en", dict(settings.LANGUAGES)
        language = options["language"] or self.written.get("DTADMIN_LANGUAGE")
        language = language or self.questions.ask(question, settings.LANGUAGE_CODE, codes)
        with translation.override(language):
            self.set_up(options)

    def set_up(self, options: dict[str, Any]) -> None:
        """Raises CommandError, TransferError; SystemExit where doctor finds something."""
        values = env_values(options, self.written, self.questions)
        self.write(values)
        own, shop_all = values["DATABASE_URL"], values["SHOP_ALL_DATABASE_URL"]
        self.make_database(own, OWN, "DATABASE_ADMIN", options["database_admin"])
        provision.check_own(own)
        self.make_database(shop_all, SHOP_ALL, "SHOP_ALL_ADMIN", options["shop_all_admin"])
        steps = self.make_staging(shop_all, options["shop_all_admin"], options["existing_rows"])
        self.must("migrate", "--noinput", "--verbosity=0")
        connection.settings_dict |= as_django_setting(own)
        if provision.without_complete(steps):
            provision.note_staging(steps, options["existing_rows"])
        self.make_administrator(options["administrator"])
        behind_proxy = values.get("BEHIND_PROXY") or self.written.get("BEHIND_PROXY", "")
        if services.may_be_started():
            services.move_pages(behind_proxy)
        if options["schedule"] or Heartbeat.last() is None:
            self.schedule(
                options["schedule"] or self.questions.ask(_("worker or cron"), "worker", WAYS),
                behind_proxy,
            )
        failed = self.manage("doctor")
        self.say(_("The pages: %(address)s"), address=values["SITE_URL"])
        if failed:
            raise SystemExit(failed)

    def env_file(self) -> Path:
        """Raises UsageError."""
        named = os.environ.get("DTADMIN_ENV")
        if not named:
            raise UsageError(
                _("Name the env file that is to be written: DTADMIN_ENV=/path/to/file")
            )
        file = Path(named).resolve()
        if not os.access(file, os.R_OK | os.W_OK):
            raise UsageError(_("%(file)s can't be written."), file=file)
        return file

    def write(self, values: dict[str, str]) -> None:
        """Changes the differing values in the env file; its permissions stay."""
        before = self.file.stat()
        for name, value in values.items():
            if self.written.get(name) != value:
                set_key(self.file, name, value)
        os.chown(self.file, before.st_uid, self.owner.st_gid if is_root() else before.st_gid)

    def make_database(self, url: str, party: Party, secret: str, user: str) -> None:
        """Raises CommandError, Unreachable."""
        what = name_of(party)
        administrator = self.administrator_of_server(secret, user)
        try:
            with self.sql_of_who_may(what):
                if provision.ensure(url, party, administrator):
                    self.say(_("%(what)s: made."), what=what)
        except Unreachable:
            if parse_dsn(url).get("host", "") not in LOCAL or DEBIANS_POSTGRES.is_dir():
                raise
            sentence = _(
                "%(what)s: there is no PostgreSQL on this machine. Install it, then run setup "
                "again: sudo apt install postgresql. Or name another server."
            )
            raise CommandError(sentence % {"what": what}) from None

    def make_staging(self, url: str, user: str, existing_rows: str | None) -> list[Step]:
        """Create what shop All lacks. Return the steps. Raises CommandError."""
        administrator = self.administrator_of_server("SHOP_ALL_ADMIN", user)
        with self.sql_of_who_may(name_of(SHOP_ALL)):
            steps = provision.ensure_staging(url, administrator, existing_rows)
            for step in steps:
                self.say(_(step.sentence), **step.params)
            return steps

    def administrator_of_server(self, secret: str, user: str) -> Administrator:
        question = _("Password of %(user)s") % {"user": user}
        return Administrator(
            user,
            self.questions.secrets.get(secret, ""),
            lambda: self.questions.password(secret, question),
        )

    @contextmanager
    def sql_of_who_may(self, what: str) -> Iterator[None]:
        """Prints the SQL that an administrator is needed for, and raises CommandError."""
        try:
            yield
        except provision.AdministratorNeeded as needed:
            self.stdout.write(needed.script)
            sentence = _(
                "%(what)s: let an administrator of that server run this SQL, then run setup again."
            )
            lines = [*needed.in_words(), sentence % {"what": what}]
            raise CommandError("\n".join(lines)) from None

    def make_administrator(self, name: str | None) -> None:
        """Raises UsageError, ValidationError."""
        if User.objects.active().administrators().exists():
            return
        name = name or self.questions.ask(_("Login of the first administrator"), "admin")
        password = self.first_password(name)
        User.add(Actor.at_command_line(), role=Role.ADMINISTRATOR, password=password, username=name)
        self.say(_("%(name)s may log in, and then chooses a password of their own."), name=name)

    def first_password(self, name: str) -> str:
        """Asks twice on a terminal, until it is good. Raises ValidationError elsewhere."""
        question = _("Password of %(user)s") % {"user": name}
        password = self.questions.password("ADMINISTRATOR", question)
        if "ADMINISTRATOR" in self.questions.secrets or not sys.stdin.isatty():
            validate_password(password, User(username=name))
            return password
        while True:
            try:
                validate_password(password, User(username=name))
            except ValidationError as error:
                self.stdout.write("\n".join(error.messages))
            else:
                if typed(getpass, _("The same password again: ")) == password:
                    return password
                self.stdout.write(_("They differ."))
            password = self.questions.password("ADMINISTRATOR", question)

    def schedule(self, how: str, behind_proxy: str) -> None:
        """Starts the scheduler, and runs it once, as it will be run."""
        if how == "cron":
            self.must("crontab", "add")
        if services.may_be_started():
            services.start(how == "worker", behind_proxy)
        else:
            names = ["gunicorn"]
            if how == "worker":
                names += ["manage.py run_scheduler --workers 0", "manage.py db_worker"]
            self.say(_("Run these as services: %(names)s"), names="; ".join(names))
        self.must("run_due_tasks", *([] if how == "cron" else ["--no-drain"]))

    @property
    def owner(self) -> os.stat_result:
        """The user that the product runs as: the owner of the folder for generated files."""
        return (settings.VAR if settings.VAR.exists() else settings.BASE_DIR).stat()

    def manage(self, *arguments: str) -> int:
        """Runs another command as the installation will: by the env file, as its owner."""
        file = dotenv_values(self.file)
        environment = {name: text for name, text in os.environ.items() if name not in file}
        environment["DTADMIN_ENV"] = str(self.file)
        as_owner: dict[str, Any] = {}
        if is_root():
            user, group = self.owner.st_uid, self.owner.st_gid
            as_owner = {"user": user, "group": group, "extra_groups": []}
            # libpq looks for certificates there.
            environment["HOME"] = pwd.getpwuid(user).pw_dir
        self.stdout.flush()  # what comes now is written past it
        return subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
            env=environment,
            check=False,
            **as_owner,
        ).returncode

    def must(self, *arguments: str) -> None:
        """Raises CommandError; the command has said why."""
        if self.manage(*arguments):
            failure = _("%(command)s failed. Correct the problem it reports, then run setup again.")
            raise CommandError(failure % {"command": arguments[0]})


def is_root() -> bool:
    return os.geteuid() == 0
