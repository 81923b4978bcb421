"""What went wrong, as a value: a code, its parameters, and a technical text."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy

from transfer.causes.catalogue import CATALOGUE
from transfer.causes.runs import UNEXPECTED
from transfer.errors import TransferError
from transfer.parties import Party
from transfer.text.explain import Explanation, explain

FAILURE = ["error_code", "error_params", "error_technical"]


def failure(error: TransferError | None) -> dict[str, Any]:
    """The columns of `Failing`, as `update` takes them; without an error, nothing went wrong."""
    values = (error.code, error.params, error.technical) if error else ("", {}, "")
    return dict(zip(FAILURE, values, strict=True))


def saved_error(code: str, params: Mapping[str, str]) -> TransferError:
    """Return an error that was saved. An unknown code, as a newer version's, is unexpected."""
    others = {name: value for name, value in params.items() if name != "party"}
    party = None
    with suppress(KeyError, ValueError):  # it has none, or one of a newer version
        party = Party.read(params["party"])
    return TransferError(CATALOGUE.get(code, UNEXPECTED), party=party, **others)


def retry_delay(earlier: int, longest: timedelta) -> timedelta:
    """Return how long the next attempt waits after so many earlier ones: 1, 2, 4 … minutes."""
    return min(timedelta(minutes=2 ** min(earlier, 10)), longest)


class Failing(models.Model):
    """The last failure of something that is tried again and again."""

    error_code = models.CharField(max_length=40, blank=True, editable=False)
    error_params = models.JSONField(default=dict, editable=False)
    error_technical = models.TextField(gettext_lazy("technical text"), blank=True, editable=False)

    class Meta:
        abstract = True

    def assign(self, **fields: Any) -> None:
        """The caller saves."""
        for name, value in fields.items():
            setattr(self, name, value)

    def note_error(self, error: TransferError | None) -> None:
        """The caller saves."""
        self.assign(**failure(error))

    @property
    def error(self) -> TransferError | None:
        """The error as it was saved."""
        if not self.error_code:
            return None
        error = saved_error(self.error_code, self.error_params)
        error.technical = self.error_technical
        return error

    @property
    def explained(self) -> Explanation | None:
        """What went wrong and what to do, in the reader's language."""
        error = self.error
        return None if error is None else explain(error)
