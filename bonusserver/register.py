"""Plays a cash register: `python -m bonusserver register --url … --login … --secret …`.

Asks for its cards in turn, does a small operation on each, and says what came of it in one line.
An operation whose answer was lost is asked for again under the same number.
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

import httpx

log = logging.getLogger("bonusserver.register")

STOP = {signal.SIGTERM, signal.SIGINT}
ACCRUED, REDEEMED = Decimal("5.00"), Decimal("1.00")


class Register:
    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        # Numbers go on growing when the register is started anew.
        self.numbers: Iterator[int] = itertools.count(time.time_ns() // 1_000_000)
        self.unanswered: dict[str, Any] | None = None

    def call(self, card: str, with_operation: bool) -> str:
        """One visit with `card`: what to print about it. Raises httpx.HTTPError."""
        if self.unanswered:
            return f"again: {self.operate(self.unanswered)}"
        held = self.client.get(f"/cards/{quote(card, safe='')}")
        if not held.is_success:
            return f"card {card}: {refusal(held)}"
        said = held.json()
        seen = f"card {card}: {said['status_name']}, balance {said['balance']}"
        number = next(self.numbers)
        kind = chosen_kind(said, number) if with_operation else None
        if kind is None:
            return seen
        amount = ACCRUED if kind == "accrue" else REDEEMED
        operation = {"operation": str(number), "card": card, "kind": kind, "amount": str(amount)}
        return f"{seen}; {self.operate(operation)}"

    def operate(self, operation: dict[str, Any]) -> str:
        self.unanswered = operation
        answer = self.client.post("/operations", json=operation)
        if answer.status_code < 500:
            self.unanswered = None
        if not answer.is_success:
            return f"{operation['kind']} {operation['amount']}: {refusal(answer)}"
        done = answer.json()
        return f"{done['kind']} {done['amount']}, balance {done['balance']}"


def chosen_kind(card: dict[str, Any], number: int) -> str | None:
    """What the card's status and balance let us do; turn about where it is either."""
    may = {"EARN_ONLY": ["accrue"], "EARN_PAY": ["accrue", "redeem"], "PAY_ONLY": ["redeem"]}
    kinds = list(may.get(card["status_name"], [])) if card["balance"] is not None else []
    if "redeem" in kinds and Decimal(card["balance"]) < REDEEMED:
        kinds.remove("redeem")
    return kinds[number % len(kinds)] if kinds else None


def refusal(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code}, not in the words of the contract"


def run(register: Register, options: argparse.Namespace) -> None:
    """Until a signal to stop, which lets a visit that is under way come to its end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    cards = itertools.cycle(options.card or ["1"])
    pause = 0.0
    for visit in itertools.count(1):
        if signal.sigtimedwait(STOP, pause):
            log.info("stopped")
            return
        pause = options.every
        try:
            log.info(register.call(next(cards), options.operations))
        except httpx.HTTPError as error:
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
    say_to_stdout(options.login)
    try:
        with httpx.Client(
            base_url=options.url,
            auth=httpx.BasicAuth(options.login, options.secret),
            verify=ssl.create_default_context(cafile=options.certificate),
            timeout=options.timeout,
            trust_env=False,
        ) as client:
            run(Register(client), options)
    except (OSError, httpx.InvalidURL) as error:
        parser().error(str(error))
    return 0


def say_to_stdout(login: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(f"%(asctime)s {login} %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bonusserver register", description=__doc__)
    parser.add_argument("--url", required=True, help="the work port, e.g. https://bonus:7771")
    parser.add_argument("--login", required=True)
    parser.add_argument(
        "--secret",
        default=os.environ.get("BONUSSERVER_REGISTER_SECRET", ""),
        help="better in BONUSSERVER_REGISTER_SECRET, where `ps` does not show it",
    )
    parser.add_argument("--card", action="append", help="a card to ask for; may be repeated")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two visits")
    parser.add_argument("--no-operations", dest="operations", action="store_false")
    parser.add_argument("--away-after", type=int, default=0, help="go away after so many visits")
    parser.add_argument("--away-for", type=float, default=60.0, help="for so many seconds")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for an answer")
    parser.add_argument("--certificate", help="a PEM file of the CA that is trusted")
    return parser
