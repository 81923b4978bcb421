from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.doctor.examination import examine
from transfer.doctor.proposal import proposal, section
from transfer.errors import one_line, printable
from transfer.management.command import FAILED, Command as BaseCommand, servers_named
from transfer.servers.timed_check import Result

ANY = ""  # `--tables` without a server


class Command(BaseCommand):
    help = gettext_noop(
        "Looks at everything that can be wrong with the installation, and says what to do: one "
        "line each. Exit code 1 if a check fails."
    )
    flags = {
        "--json": gettext_noop("one JSON line for each check"),
    }
    requires_migrations_checks = False  # the doctor checks migrations itself

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--tables",
            nargs="?",
            const=ANY,
            metavar=_("SERVER"),
            help=_(
                "propose the section of this bonus server (number or name) in the file of "
                "DTADMIN_TABLES; without SERVER, the whole file, by the first server"
            ),
        )

    def handle(self, *, json: bool, tables: str | None, **options: Any) -> None:
        if tables is not None:
            (server, *_others) = servers_named(None if tables == ANY else tables)
            for line in proposal(server) if tables == ANY else section(server):
                self.stdout.write(one_line(line))  # it quotes names of tables and columns
            return
        failed = False
        for area, result in examine():
            failed |= not result.ok
            if json:
                self.say_json(
                    area=area,
                    label=result.label,
                    state=state(result),
                    sentence=result.sentence,
                    hint=result.hint,
                    technical=result.technical,
                )
            else:
                mark = {"ok": "✓", "warns": "!", "failed": "✗"}[state(result)]
                self.stdout.write(printable(f"{mark} {area} · {result.label}: {result.sentence}"))
                if result.hint:
                    self.stdout.write(printable(f"    {result.hint}"))
                if result.technical:
                    self.stdout.write(printable(f"    ({result.technical})"))
        if failed:
            raise SystemExit(FAILED)


def state(result: Result) -> str:
    return "failed" if not result.ok else "warns" if result.warns else "ok"
