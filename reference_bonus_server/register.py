"""Plays a cash register: `python -m reference_bonus_server register --url … --login … --secret …`.

It asks for its cards in turn, does a small operation on each, and prints a line about each visit.
An operation whose answer was lost is repeated under the same number.
"""

import argparse
import itertools
import logging
import os
import signal
import ssl
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx2

log = logging.getLogger("reference_bonus_server.register")

STOP = {signal.SIGTERM, signal.SIGINT}
# A kind of operation, its amount, the statuses of a card that allow it, the least balance.
KINDS = [
    ("accrue", "5.00", {"EARN_ONLY", "EARN_PAY"}, Decimal("-Infinity")),
    ("redeem", "1.00", {"PAY_ONLY", "EARN_PAY"}, Decimal("1.00")),
]


class Register:
    def __init__(self, client: httpx2.Client) -> None:
        self.client = client
        # Numbers go on growing when the register is started again.
        self.numbers: Iterator[int] = itertools.count(time.time_ns() // 1_000_000)
        self.unanswered: dict[str, Any] | None = None

    def visit(self, number: str, with_operation: bool) -> str:
        """What there is to print about a visit with a card. Raises httpx2.HTTPError."""
        if self.unanswered:
            return f"again: {self.operate(self.unanswered)}"
        answer = self.client.get(f"/cards/{quote(number, safe='')}")
        if not answer.is_success:
            return f"card {number}: {refusal(answer)}"
        card = answer.json()
        line = f"card {number}: {card['status_name']}, balance {card['balance']}"
        operation = next_operation(card, next(self.numbers)) if with_operation else None
        return f"{line}; {self.operate(operation)}" if operation else line

    def operate(self, operation: dict[str, Any]) -> str:
        self.unanswered = operation
        answer = self.client.post("/operations", json=operation)
        if answer.status_code < 500:
            self.unanswered = None
        if not answer.is_success:
            return f"{operation['kind']} {operation['amount']}: {refusal(answer)}"
        result = answer.json()
        return f"{result['kind']} {result['amount']}, balance {result['balance']}"


def next_operation(card: dict[str, Any], number: int) -> dict[str, Any] | None:
    """What the card's status and balance allow. Where both kinds are allowed, they alternate."""
    if card["balance"] is None:
        return None
    operations = [
        {"operation": str(number), "card": card["card"], "kind": kind, "amount": amount}
        for kind, amount, statuses, least in KINDS
        if card["status_name"] in statuses and Decimal(card["balance"]) >= least
    ]
    return operations[number % len(operations)] if operations else None


def refusal(answer: httpx2.Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code}, not in the words of the contract"


def run(register: Register, options: argparse.Namespace) -> None:
    """Visits until a signal to stop. A visit under way then comes to its end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    cards = itertools.cycle(options.card or ["1"])
    pause = 0.0
    for visit in itertools.count(1):
        if signal.sigtimedwait(STOP, pause):
            log.info("stopped")
            return
        pause = options.every
        try:
            log.info(register.visit(next(cards), options.operations))
        except httpx2.HTTPError as error:
            log.info("no answer: %s", error or type(error).__name__)
        except (ValueError, KeyError, TypeError):
            log.info("an answer that is not in the words of the contract")
        if options.away_after and visit % options.away_after == 0:
            log.info("away for %g s", options.away_for)
            pause = options.away_for


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    if not options.secret:
        parser().error("give --secret, or set BONUSSERVER_REGISTER_SECRET")
    line = f"%(asctime)s {options.login} %(message)s"
    logging.basicConfig(stream=sys.stdout, format=line, datefmt="%H:%M:%S")
    log.setLevel(logging.INFO)  # of the others, such as httpx2, only what is wrong
    try:
        with httpx2.Client(
            base_url=options.url,
            auth=httpx2.BasicAuth(options.login, options.secret),
            verify=ssl.create_default_context(cafile=options.certificate),
            timeout=options.timeout,
            trust_env=False,
        ) as client:
            run(Register(client), options)
    except (OSError, httpx2.InvalidURL) as error:
        parser().error(str(error))
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m reference_bonus_server register", description=__doc__
    )
    add = parser.add_argument
    add("--url", required=True, help="the work port, e.g. https://bonus:7771")
    add("--login", required=True)
    add(
        "--secret",
        default=os.environ.get("BONUSSERVER_REGISTER_SECRET", ""),
        help="better in BONUSSERVER_REGISTER_SECRET, where `ps` does not show it",
    )
    add("--card", action="append", help="a card to ask for; may be repeated")
    add("--every", type=float, default=5.0, help="seconds between two visits")
    add("--no-operations", dest="operations", action="store_false")
    add("--away-after", type=int, default=0, help="go away after so many visits")
    add("--away-for", type=float, default=60.0, help="for so many seconds")
    add("--timeout", type=float, default=5.0, help="seconds to wait for an answer")
    add("--certificate", help="a PEM file of the CA that is trusted")
    return parser
