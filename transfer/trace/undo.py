"""Counts what taking a load back would do, before it is requested."""

from dataclasses import dataclass

from transfer.loading.below_zero import Warning
from transfer.loading.undo_balances import warnings
from transfer.models import Upload
from transfer.trace.arrival import Arrival, arrivals


@dataclass(frozen=True)
class Outlook:
    """How much of a load has arrived where, and which balances would go below zero."""

    arrivals: list[Arrival]
    waiting: int | None  # rows that no server has read; None where a server does not answer
    warnings: list[Warning]


def outlook(load: Upload, seconds: float) -> Outlook:
    """Takes about twice so many seconds at most. Raises TransferError."""
    on_servers = arrivals(load, seconds)
    waiting = None
    if all(one.error is None for one in on_servers):
        waiting = load.good - max((one.moved for one in on_servers), default=0)
    return Outlook(on_servers, waiting, [*warnings(load, seconds)])
