from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext

from transfer.errors import gettext_noop
from transfer.management.command import Command as BaseCommand
from transfer.models import BonusServer


class Command(BaseCommand):
    help = gettext_noop("Lists the docked bonus servers and their tasks.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help=gettext("one JSON line a server"))

    def handle(self, *args: Any, **options: Any) -> None:
        servers = BonusServer.objects.prefetch_related("tasks")
        for server in servers:
            tasks = {task.kind: task.enabled for task in server.tasks.all()}
            if options["json"]:
                self.say_json(
                    id=server.pk,
                    name=server.name,
                    host=server.host,
                    admin_port=server.admin_port,
                    work_port=server.work_port,
                    database=f"{server.db_host}:{server.db_port}/{server.db_name}",
                    tasks=tasks,
                )
                continue
            words = {True: gettext("enabled"), False: gettext("disabled")}
            self.stdout.write(
                f"{server.pk}  {server.name}  {server.host}:{server.admin_port}/{server.work_port}"
                f"  {server.db_name}@{server.db_host}:{server.db_port}  "
                + ", ".join(f"{kind} {words[enabled]}" for kind, enabled in tasks.items())
            )
        if not servers and not options["json"]:
            self.say(gettext_noop("No bonus server is docked. Run: manage.py add_bonus_server"))
