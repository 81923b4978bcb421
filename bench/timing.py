"""Seconds, medians and quantiles; and rounds in which each way comes first, second and last."""

import time
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import Any, TypeVar

MS = 1000
T = TypeVar("T")


def timed(work: Callable[[], Any]) -> float:
    """Seconds that passed."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    return sorted(values)[max(ceil(share * len(values)), 1) - 1]


def interleaved(ways: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Round and way: a slower minute slows all of them."""
    for number in range(rounds):
        first = number % len(ways)
        for way in [*ways[first:], *ways[:first]]:
            yield number, way
