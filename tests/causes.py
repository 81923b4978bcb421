"""That something is refused for the right cause."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from transfer.causes.cause import Cause
from transfer.errors import TransferError


@contextmanager
def raises(
    cause: Cause, *, match: str | None = None
) -> Iterator[pytest.ExceptionInfo[TransferError]]:
    """Fail unless the block raises an error with this cause; give what `pytest.raises` gives."""
    with pytest.raises(TransferError, match=match) as caught:
        yield caught
    assert caught.value.cause is cause
