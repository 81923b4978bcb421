import math
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.logs import tell_of_work
from transfer.management.command import Command as BaseCommand
from transfer.queue.residents import stay_connected
from transfer.queue.worker import drain, soft_stop
from transfer.runs.arrivals import looking
from transfer.runs.worker_loops import keep_working


class Command(BaseCommand):
    help = gettext_noop(
        "A resident worker: starts queued runs, loads and jobs immediately. You may start any "
        "number of workers, on any number of machines. Ctrl-C and SIGTERM end it after the "
        "current chunk."
    )
    is_service = True
    flags = {"--batch": gettext_noop("work off the queue once, and end when it is empty")}

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--interval",
            type=seconds,
            default=1.0,
            help=_("seconds between two looks at an empty queue; 1 if not given"),
        )

    def handle(self, *, batch: bool, interval: float, **options: Any) -> None:
        with soft_stop() as stopped:
            if batch:
                drain(stopped)
                return
            tell_of_work()
            stay_connected("db_worker", 1)
            with looking(stopped):
                keep_working(stopped, interval)


def seconds(word: str) -> float:
    """Return the number of seconds that a word of the command line names."""
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0.01 <= number <= 3600:
        raise ArgumentTypeError(_("a number of seconds from 0.01 to 3600"))
    return number
