"""Runs the administration port and the work port in one process until SIGTERM or SIGINT."""

import os
import signal
import ssl
from argparse import ArgumentParser
from threading import Thread
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.wsgi import get_wsgi_application
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from bonusserver.models import digest
from bonusserver.server import Server

STOP = {signal.SIGTERM, signal.SIGINT}


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--admin-port", type=int, default=7770, help="0: any free one")
        parser.add_argument("--work-port", type=int, default=7771, help="0: any free one")
        parser.add_argument(
            "--token",
            default=os.environ.get("BONUSSERVER_TOKEN", ""),
            help="the API token; better in BONUSSERVER_TOKEN, where `ps` does not show it",
        )
        parser.add_argument(
            "--name", default=os.environ.get("BONUSSERVER_NAME", "Reference bonus server")
        )
        parser.add_argument("--certificate", help="a PEM file: both ports then speak TLS")
        parser.add_argument("--key", help="the certificate's key, unless it is in the same file")
        parser.add_argument(
            "--patience", type=float, default=10.0, help="seconds that a silent caller may take"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["token"]:
            raise CommandError("Set the API token: BONUSSERVER_TOKEN or --token.")
        check_tables()
        tls = tls_context(options["certificate"], options["key"])
        # Blocked from here on in every thread and waited for below: a handler that sets an event
        # can run just before the wait for that event begins, which then never ends.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        ports = {"admin": options["admin_port"], "work": options["work_port"]}
        environ = {
            "bonusserver.token_digest": digest(options["token"]),
            "bonusserver.name": options["name"],
        }
        servers = [
            listen(
                (options["host"], port),
                {**environ, "bonusserver.port": name},
                tls,
                options["patience"],
            )
            for name, port in ports.items()
        ]
        for server in servers:
            Thread(target=server.serve_forever, args=[0.1], daemon=True).start()
            self.stdout.write(f"{server.base_environ['bonusserver.port']} {server.url}")
        self.stdout.flush()
        signal.sigwait(STOP)
        for server in servers:
            server.stop()


def listen(
    address: tuple[str, int], environ: dict[str, str], tls: ssl.SSLContext | None, patience: float
) -> Server:
    try:
        return Server(address, get_wsgi_application(), environ, tls, patience)
    except (OSError, OverflowError) as error:
        raise CommandError(f"Can't listen on {address[0]}:{address[1]}: {error}") from None


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
        raise CommandError("Tables are missing: run `python -m bonusserver migrate` first.")
    connection.close()
