"""The latest batch of each reader, as our own history knows it."""

from importlib import import_module

import pytest
from django.db import connection

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


def test_the_migration_notes_what_runs_had_moved_before_it(moved):
    before = noted()
    LatestBatch.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("transfer.migrations.0046_latest_batches").NOTE_LATEST)
    assert noted() == before


def test_the_migration_notes_nothing_of_an_earlier_identity_of_shop_all(moved):
    """A rebase has settled which of those batches are gone."""
    earlier = TransferRun.objects.get(kind="pincodes")
    earlier.position_to["origin"] = "00000000-0000-0000-0000-000000000000"
    earlier.save()
    LatestBatch.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("transfer.migrations.0046_latest_batches").NOTE_LATEST)
    assert {kind for _, _, kind, *_ in noted()} == {"balances"}
