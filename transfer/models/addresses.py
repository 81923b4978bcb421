"""Addresses that a page names hundreds of times: `reverse` would look each of them up."""

from functools import cache

from django.urls import reverse


def numbered(name: str, number: int) -> str:
    """The address of that name whose only argument is a number."""
    before, behind = _around(name)
    return f"{before}{number}{behind}"


@cache
def _around(name: str) -> tuple[str, str]:
    before, _number, behind = reverse(name, args=[0]).rpartition("0")
    return before, behind
