from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import Command as BaseCommand
from transfer.models import BonusServer


class Command(BaseCommand):
    help = gettext_noop("Lists the docked bonus servers and their tasks.")
    flags = {"--json": gettext_noop("one JSON line a server")}

    def handle(self, *args: Any, **options: Any) -> None:
        servers = BonusServer.objects.prefetch_related("tasks")
        report = self._report_json if options["json"] else self._report
        for server in servers:
            report(server, {task.kind: task.enabled for task in server.tasks.all()})
        if not servers and not options["json"]:
            self.say(_("No bonus server is docked. Run: manage.py add_bonus_server"))

    def _report(self, server: BonusServer, tasks: dict[str, bool]) -> None:
        words = {True: _("enabled"), False: _("disabled")}
        self.stdout.write(
            f"{server.pk}  {server.name}  {server.host}:{server.admin_port}/{server.work_port}"
            f"  {server.db_name}@{server.db_host}:{server.db_port}  "
            + ", ".join(f"{kind} {words[enabled]}" for kind, enabled in tasks.items())
        )

    def _report_json(self, server: BonusServer, tasks: dict[str, bool]) -> None:
        self.say_json(
            id=server.pk,
            name=server.name,
            host=server.host,
            admin_port=server.admin_port,
            work_port=server.work_port,
            database=f"{server.db_host}:{server.db_port}/{server.db_name}",
            tasks=tasks,
        )
