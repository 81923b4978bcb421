"""A page asks our own database as often with thirty bonus servers as with three."""

import pytest

from tests.chain import many_servers, registers
from tests.pages.look import queries_of
from tests.records import a_reject, a_run, user
from transfer.models import Actor, BonusServer, CashRegister, Settings, Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_asked")]

PAGES = (
    *("/", "/?open=0", "/scheduler/", "/scheduler/?open=all", "/scheduler/?kind=cards"),
    "/servers/",
    *("/servers/{server}/", "/servers/{server}/live/", "/servers/{server}/tasks/"),
    *("/registers/", "/registers/?state=problem", "/registers/{register}/"),
    *(
        "/registers/{register}/?open=all",
        "/history/",
        "/history/grid/",
        "/rejects/",
        "/load/",
        "/notifications/",
    ),
    *("/audit/", "/settings/", "/metrics"),
)
# A query more for the numbers of a list of several pages, or for what a compact page shows
# beside the servers.
BESIDE = 2


@pytest.fixture
def shown(client, settings):
    settings.METRICS_TOKEN = ""
    client.force_login(user("administrator"))
    Settings.load().change(Actor("ivan"), show_transfer_tasks=True)


@pytest.mark.long
def test_thirty_servers_take_as_many_queries_as_three(client, shown):
    few, many = queries(client, 3), queries(client, 30)
    more = {page: (few[page], many[page]) for page in PAGES if many[page] > few[page] + BESIDE}
    assert more == {}


def queries(client, count):
    """The queries of each page with so many servers."""
    for model in (BonusServer, CashRegister, Shop):
        model.objects.all().delete()
    servers = many_servers(count)
    registers(12, servers)
    for one in servers:
        a_run(one, "pincodes")
        a_reject(one)
    of_one = {"server": servers[0].pk, "register": CashRegister.objects.first().pk}
    return {page: queries_of(client, page.format(**of_one)) for page in PAGES}
