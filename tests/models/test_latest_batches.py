"""The latest batch of each reader, as our own history knows it."""

import pytest

from tests.databases import stage
from transfer.models import LatestBatch, TransferRun
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = ("reader", "origin", "kind", "server_name", "number", "token")


@pytest.fixture
def moved(receiver, shop_all):
    """Two batches of balance changes, and one of PIN codes, have reached the server."""
    for kind, row in (("balances", ("1", 1)), ("pincodes", ("1", "1111")), ("balances", ("2", 1))):
        stage(shop_all, kind, [row])
        assert run_here(receiver.tasks.get(kind=kind), Trigger.MANUAL).error_code == ""
    return receiver


def noted():
    return set(LatestBatch.objects.values_list(*FIELDS))


def test_of_each_reader_the_last_batch_that_a_run_has_moved_is_noted(moved):
    numbers = {kind: number for _, _, kind, _, number, _ in noted()}
    assert numbers == {"balances": 2, "pincodes": 1}
    tokens = {str(token) for *_, token in noted()}
    ends = [run.position_to["token"] for run in TransferRun.objects.order_by("-pk")[:2]]
    assert tokens == {*ends}


def test_it_stays_when_its_server_is_undocked(moved):
    before = noted()
    moved.delete()
    assert noted() == before
