"""Runs the administration port and the work port in one process until SIGTERM or SIGINT."""

import asyncio
import os
import signal
import ssl
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from reference_bonus_server.models import digest
from reference_bonus_server.server import Port

STOP = {signal.SIGTERM, signal.SIGINT}


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--host", default="127.0.0.1")
        add("--admin-port", type=int, default=7770, help="0: any free one")
        add("--work-port", type=int, default=7771, help="0: any free one")
        add(
            "--token",
            default=os.environ.get("BONUSSERVER_TOKEN", ""),
            help="the API token; better in BONUSSERVER_TOKEN, where `ps` does not show it",
        )
        add("--name", default=os.environ.get("BONUSSERVER_NAME", "Reference bonus server"))
        add("--certificate", help="a PEM file: both ports then speak TLS")
        add("--key", help="the certificate's key, unless it is in the same file")
        add("--patience", type=float, default=10.0, help="seconds in which a request must arrive")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["token"]:
            raise CommandError("Set the API token: BONUSSERVER_TOKEN or --token.")
        check_tables()
        tls = tls_context(options["certificate"], options["key"])
        environ = {
            "reference_bonus_server.token_digest": digest(options["token"]),
            "reference_bonus_server.name": options["name"],
        }
        ports = {
            name: Port({**environ, "reference_bonus_server.port": name}, options["patience"])
            for name in ("admin", "work")
        }
        # They stay blocked in every thread, so that a second one does not cut the first one short.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        asyncio.run(self.serve(ports, tls, options))

    async def serve(
        self, ports: dict[str, Port], tls: ssl.SSLContext | None, options: dict[str, Any]
    ) -> None:
        urls = [
            f"{name} {await listen(port, options['host'], options[f'{name}_port'], tls)}"
            for name, port in ports.items()
        ]
        self.stdout.write("\n".join(urls))
        self.stdout.flush()
        await asyncio.to_thread(signal.sigwait, STOP)
        await asyncio.gather(*(port.close() for port in ports.values()))


async def listen(port: Port, host: str, number: int, tls: ssl.SSLContext | None) -> str:
    try:
        return await port.open(host, number, tls)
    except (OSError, OverflowError) as error:
        raise CommandError(f"Can't listen on {host}:{number}: {error}") from None


def tls_context(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"Can't use the certificate {certificate}: {error}") from None
    return context


def check_tables() -> None:
    try:
        executor = MigrationExecutor(connection)
    except OperationalError as error:
        raise CommandError(f"Can't reach the database: {error}") from None
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError(
            "Tables are missing: run `python -m reference_bonus_server migrate` first."
        )
    connection.close()
