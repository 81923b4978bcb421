import sys
from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.utils.translation import gettext as _, gettext_noop

from transfer.causes.ledger import COPY_OF
from transfer.errors import ServerUndecided, TransferError
from transfer.management.command import (
    ALREADY_RUNNING,
    FAILED,
    UNASKED,
    CommandGroup,
    Subcommand,
    confirm,
    servers_named,
)
from transfer.management.docking import check_fields, database_fields, dock
from transfer.models import Actor, BonusServer, TransferTask
from transfer.runs import left_behind
from transfer.runs.beginning import Answer, Decision, begin, decide
from transfer.runs.undocking import consequences, question, undock, why_not_now
from transfer.servers.stages import STAGES, note_test, run_stage
from transfer.servers.timed_check import Result
from transfer.text.explain import explain

# What `--received` says of a server.
RECEIVED = (Answer.NOTHING, Answer.EVERYTHING, Answer.OWN)


class List(Subcommand):
    help = gettext_noop("Lists the docked bonus servers and their tasks.")

    def handle(self, *, json: bool, **options: Any) -> None:
        servers = BonusServer.objects.prefetch_related("tasks")
        for server in servers:
            tasks = {task.kind: task.enabled for task in server.tasks.all()}
            if json:
                self.say_json(**as_json(server), tasks=tasks)
            else:
                self._report(server, tasks)
        if not servers and not json:
            self.say(_("No bonus server is docked. Run: manage.py server add"))

    def _report(self, server: BonusServer, tasks: dict[str, bool]) -> None:
        words = {True: _("on"), False: _("off")}
        self.say(
            "%(number)s  %(name)s  %(address)s  %(database)s  %(tasks)s",
            number=server.pk,
            name=server.name,
            address=f"{server.host}:{server.admin_port}/{server.work_port}",
            database=f"{server.db_name}@{server.db_host}:{server.db_port}",
            tasks=", ".join(f"{kind} {words[enabled]}" for kind, enabled in tasks.items()),
        )


class ServerSubcommand(Subcommand):
    """A subcommand for the bonus server that its first argument names."""

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        parser.add_argument("server", metavar=_("SERVER"), help=_("number or name"))

    def handle(self, *, server: str, **options: Any) -> None:
        (named,) = servers_named(server)
        self.act(named, **options)

    def act(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError


class Test(ServerSubcommand):
    help = gettext_noop(
        "Tests the connection to a bonus server in stages, up to the first that fails. Exit code "
        "1 if one fails."
    )

    def act(self, server: BonusServer, *, json: bool, **options: Any) -> None:
        if not run_stages(self, server, json):
            sys.exit(FAILED)


class Add(Subcommand):
    help = gettext_noop(
        "Docks a bonus server: creates its tasks, off; tests the connection; begins its "
        "positions. If rows are staged already, --received says which of them the server has."
    )

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--name", required=True, metavar=_("NAME"), help=_("as pages and commands call it"))
        add("--host", required=True, metavar=_("HOST"), help=_("its name or IP address"))
        for option, port in (("--admin-port", 7770), ("--work-port", 7771)):
            text = _("default: %(default)s")
            add(option, type=int, default=port, metavar=_("PORT"), help=text)
        add(
            "--database-url",
            required=True,
            metavar="postgresql://user:password@host/name",
            help=_("its database; - reads the URL from standard input, so that it stays secret"),
        )
        add(
            "--received",
            choices=[*RECEIVED],
            help=_(
                "which of the staged rows it has; own: its database is a copy of another server's, "
                "with our schema, and it goes on from there"
            ),
        )

    def handle(
        self, *, database_url: str, received: str | None, json: bool, **options: Any
    ) -> None:
        url = sys.stdin.readline().strip() if database_url == "-" else database_url
        given = {name: options[name] for name in ("name", "host", "admin_port", "work_port")}
        server = BonusServer(**given, **database_fields(url))
        check_fields(server)
        dock(server)
        if json:
            self.say_json(**as_json(server))
        else:
            docked = _("Bonus server %(id)s, %(name)s, is docked. Its tasks are off.")
            self.say(docked, id=server.pk, name=server.name)
        run_stages(self, server, json)
        self.begin(server, received, json)

    def begin(self, server: BonusServer, received: str | None, json: bool) -> None:
        """Begins the positions of the server, and reports what has to be decided first.

        The first run tries again after any other error; it does not know `received`.
        """
        for task in server.tasks.select_related("server"):
            try:
                self._begin_task(task, received)
            except TransferError as error:
                is_question = isinstance(error, ServerUndecided)
                if received or is_question:
                    self._report_error(task, error, json)
                if not is_question:  # a database that does not answer would be waited for again
                    return

    def _begin_task(self, task: TransferTask, received: str | None) -> None:
        """Raises ServerUndecided where the answer is not given, or does not fit."""
        actor = Actor.at_command_line()
        try:
            begin(task, actor)
        except ServerUndecided as error:
            is_copy = error.cause is COPY_OF
            if received is None or (received == Answer.OWN) != is_copy:
                raise
            decide(task, Decision(Answer(received)), actor, dry_run=False)

    def _report_error(self, task: Any, error: TransferError, json: bool) -> None:
        sentence, hint = explain(error)
        if json:
            names = task.audit_params()
            self.say_json(**names, error=error.code, sentence=sentence, hint=hint)
        else:
            self.say("%(task)s: %(text)s\n  %(hint)s", task=task, text=sentence, hint=hint)


class Remove(ServerSubcommand):
    help = gettext_noop(
        "Undocks a bonus server: says what that means, and asks. Exit code 3 while a transfer to "
        "it is running, or accounts of registers are being changed on it."
    )
    flags: ClassVar[dict[str, str]] = UNASKED

    def act(self, server: BonusServer, *, yes: bool, json: bool, **options: Any) -> None:
        if why := why_not_now(server):
            raise CommandError(why, returncode=ALREADY_RUNNING)
        if not json:
            self.say("%(points)s", points="\n".join(consequences(server)))
        words = _("Undocking has to be confirmed: add --yes.")
        confirm(question(server), words, yes=yes, json=json)
        removed = as_json(server)
        undock(server, Actor.at_command_line())
        if json:
            self.say_json(**removed)
        else:
            self.say(_("%(server)s is undocked."), server=server.name)


class LeaveBehind(ServerSubcommand):
    help = gettext_noop(
        "Lets purges go on without a bonus server whose database can't be read. Its next run says "
        "exactly how many rows it lacks."
    )
    flags: ClassVar[dict[str, str]] = UNASKED

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reason", required=True, metavar=_("TEXT"), help=_("for the audit"))

    def act(
        self, server: BonusServer, *, reason: str, yes: bool, json: bool, **options: Any
    ) -> None:
        if not json:
            self.say("%(points)s", points="\n".join(left_behind.consequences(server)))
        words = _("Leaving a bonus server behind has to be confirmed: add --yes.")
        confirm(_("Leave %(server)s behind?") % {"server": server}, words, yes=yes, json=json)
        for task in left_behind.leave_behind(server, Actor.at_command_line(), reason):
            if json:
                self.say_json(**task.audit_params(), left_behind=True)
            else:
                self.say(_("%(task)s: purges do not wait for it any more."), task=task)


class TakeBack(ServerSubcommand):
    help = gettext_noop(
        "Lets purges wait again for a bonus server that was left behind, if no rows are purged "
        "that it has not received."
    )

    def act(self, server: BonusServer, *, json: bool, **options: Any) -> None:
        left_behind.take_back(server, Actor.at_command_line())
        if json:
            self.say_json(server=server.name, left_behind=False)
        else:
            self.say(_("Purges wait for %(server)s again."), server=server)


class Command(CommandGroup):
    help = gettext_noop("Lists, docks, tests and undocks bonus servers, and leaves them behind.")
    subcommands: ClassVar[dict[str, type[Subcommand]]] = {
        "list": List,
        "add": Add,
        "test": Test,
        "remove": Remove,
        "leave-behind": LeaveBehind,
        "take-back": TakeBack,
    }


def run_stages(subcommand: Subcommand, server: BonusServer, json: bool) -> bool:
    """Tests the connection up to the first failure, and reports; returns whether all passed.

    A missing token does not end the test: it is entered on the server's page later.
    """
    note_test(server, Actor.at_command_line())
    passed = True
    for stage in STAGES:
        result = run_stage(stage, server)
        report_stage(subcommand, server, result, json)
        passed = passed and result.ok
        if not result.ok and (stage != "token" or server.api_token):
            break
    return passed


def report_stage(subcommand: Subcommand, server: BonusServer, result: Result, json: bool) -> None:
    if json:
        subcommand.say_json(
            server=server.name,
            stage=result.stage,
            ok=result.ok,
            seconds=round(result.seconds, 3),
            sentence=result.sentence,
            hint=result.hint,
        )
        return
    lines = [f"{'✓' if result.ok else '✗'} {result.label}: {result.sentence}"]
    subcommand.say(
        "%(lines)s", lines="\n  ".join([*lines, *([result.hint] if result.hint else [])])
    )


def as_json(server: BonusServer) -> dict[str, object]:
    return {
        "id": server.pk,
        "name": server.name,
        "host": server.host,
        "admin_port": server.admin_port,
        "work_port": server.work_port,
        "database": f"{server.db_host}:{server.db_port}/{server.db_name}",
    }
