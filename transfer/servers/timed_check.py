"""One thing that is tried, within its time, and how it ended in the user's language."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, TimeoutError as StillRunning
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connections
from django.utils.translation import get_language, gettext as _, override

from transfer.causes.bonus_servers import API_PORTS_SWAPPED, API_SERVICE_PORT
from transfer.causes.connections import TOO_SLOW
from transfer.causes.runs import UNEXPECTED
from transfer.errors import TooSlow, TransferError
from transfer.parties import Party, PartyKind
from transfer.text.commands import as_typed_here
from transfer.text.explain import explain


class Passed(NamedTuple):
    """The result, as a sentence with its parameters; `warns`: it passed, with a warning."""

    sentence: str
    params: Mapping[str, object]
    warns: bool = False


@dataclass(frozen=True)
class Result:
    stage: str
    label: str
    seconds: float
    sentence: str
    hint: str = ""
    technical: str = ""
    ok: bool = True
    warns: bool = False
    error_code: str = ""

    @property
    def may_swap_ports(self) -> bool:
        """Whether it failed since another port of the server answered than was meant."""
        return self.error_code in (API_PORTS_SWAPPED.code, API_SERVICE_PORT.code)

    @property
    def state(self) -> str:
        """One of passed, warned, failed."""
        if not self.ok:
            return "failed"
        return "warned" if self.warns else "passed"


def timed_check(stage: str, label: str, test: Callable[[], Passed], seconds: float) -> Result:
    """Runs the test in a thread of its own, which is left behind when it hangs. Never raises."""
    pool = ThreadPoolExecutor(1, thread_name_prefix=f"test-{stage}")
    began = time.monotonic()
    try:
        passed = pool.submit(_alone, test, get_language()).result(timeout=seconds)
    except TransferError as error:
        return _failed(stage, label, began, error)
    except StillRunning:
        late = TooSlow(TOO_SLOW, party=Party(PartyKind.CHECK, label), reason=f"> {seconds:g} s")
        return _failed(stage, label, began, late)
    except Exception as error:
        return _failed(stage, label, began, TransferError(UNEXPECTED, type(error).__name__))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    took = time.monotonic() - began
    sentence = as_typed_here(_(passed.sentence) % passed.params)
    return Result(stage, label, took, sentence, warns=passed.warns)


def _alone(test: Callable[[], Passed], language: str | None) -> Passed:
    """A thread has a language of its own, and its own connection to our database."""
    try:
        with override(language):
            return test()
    finally:
        connections.close_all()


def _failed(stage: str, label: str, began: float, error: TransferError) -> Result:
    sentence, hint = explain(error)
    took = time.monotonic() - began
    return Result(
        stage, label, took, sentence, hint, error.technical, ok=False, error_code=error.code
    )
