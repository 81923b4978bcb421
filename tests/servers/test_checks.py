"""Checks of all servers at once: what one suffers, the others don't."""

import pytest

from tests import misbehaving
from tests.misbehaving import free_port
from tests.reference_server import TOKEN
from transfer.causes.connections import TOO_SLOW
from transfer.models import BonusServer, OutagePart
from transfer.servers.checks import check_connections, look_at_all
from transfer.text.reports import report_lines

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]


@pytest.fixture
def silent(dock, bonus):
    """A second server, that accepts connections and never says a word."""
    server = dock(bonus, "Server 9")
    with misbehaving.server(misbehaving.is_silent) as port:
        server.host, server.admin_port, server.api_token = "127.0.0.1", port, TOKEN
        server.save()
        yield server


@pytest.mark.long
def test_a_silent_server_is_not_waited_for_by_the_others(docked, silent):
    answers = look_at_all([silent, docked], seconds=3)
    first, look = next(answers)
    assert (first, look.admin.accounts, look.service) == (docked, [], None)
    ((last, looked),) = answers
    assert last == silent
    assert looked.admin.cause is TOO_SLOW


@pytest.mark.long
def test_each_is_noted_by_itself(docked, silent, six, ordered):
    ordered("create", six)
    unreadable = BonusServer(name="Server 10", host="127.0.0.1", db_name="x", api_token="t")
    unreadable.dock()
    BonusServer.objects.filter(pk=unreadable.pk).update(api_token="gAAAA-of-another-key")
    report = check_connections()
    assert report == {"servers": 3, "no_token": 0, "failing": 2, "registers": 6}
    states = dict(BonusServer.objects.values_list("name", "error_code"))
    assert states == {
        docked.name: "",
        "Server 9": "too_slow",
        "Server 10": "api_secret_unreadable",
    }


def test_a_server_without_a_token_is_no_problem(docked):
    """The token is optional: transfers do not need it."""
    BonusServer.objects.filter(pk=docked.pk).update(api_token="", state="failing")
    report = check_connections()
    assert report == {"servers": 1, "no_token": 1, "failing": 0, "registers": 0}
    assert list(report_lines(report))[1:] == [
        "Of them without an API token, so only the service port is checked: 1",
        "Accounts of registers read: 0",
    ]
    docked.refresh_from_db()
    assert (docked.state, docked.error_code) == ("unmanaged", "")
    assert not OutagePart.objects.exists()
    assert not BonusServer.objects.failing().exists()


def test_a_service_port_that_is_closed_is_noted_until_it_is_open(docked):
    port, docked.work_port = docked.work_port, free_port()
    docked.save()
    check_connections()
    docked.refresh_from_db()
    assert (docked.state, docked.service_error_code) == ("available", "port_closed")
    part = OutagePart.objects.get(server=docked, part="service", answered_at=None)
    check_connections()
    assert OutagePart.objects.get().since == part.since
    docked.work_port = port
    docked.save()
    check_connections()
    docked.refresh_from_db()
    assert docked.service_error_code == ""
    assert OutagePart.objects.get().answered_at == docked.service_checked_at


def test_swapped_ports_are_no_wrong_token(docked):
    docked.admin_port, docked.work_port = docked.work_port, docked.admin_port
    docked.save()
    check_connections()
    docked.refresh_from_db()
    assert docked.error_code == "api_service_port"
