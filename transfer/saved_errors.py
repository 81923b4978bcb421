"""Reads the errors that our own database keeps of runs, jobs, loads and problems."""

from collections.abc import Mapping
from contextlib import suppress

from transfer.causes.catalogue import CATALOGUE
from transfer.causes.runs import UNEXPECTED
from transfer.errors import TransferError
from transfer.parties import Party


def saved_error(code: str, params: Mapping[str, str]) -> TransferError:
    """Return an error that was saved. An unknown code, as a newer version's, is unexpected."""
    others = {name: value for name, value in params.items() if name != "party"}
    party = None
    with suppress(KeyError, ValueError):  # it has none, or one of a newer version
        party = Party.read(params["party"])
    return TransferError(CATALOGUE.get(code, UNEXPECTED), party=party, **others)
