"""Two clusters whose disks can be put back: what the tests of restores are tried on."""

from collections import Counter

from tests.causes import raises
from tests.chaos.instance import Instance
from tests.databases import connected, keep, run
from tests.engine import operations
from tests.flow import Flow
from transfer.causes.ledger import SHOP_ALL_WENT_BACK


class Site:
    """Two clusters: one holds shop All, the other two bonus servers, `flow` and `other`."""

    def __init__(self, home, template):
        self.home = home
        self.shop, self.server = (self._cluster(name, template) for name in ("shop", "server"))
        self.flow, self.other = (
            Flow("balances", self.shop.dsn("shop_all"), self.server.dsn(name))
            for name in ("bonus", "other")
        )
        self.dsns = (self.flow.shop_all, self.flow.bonus, self.other.bonus)
        keep(*self.dsns)
        self.staged = Counter()
        self.copies = 0

    def _cluster(self, name, data):
        instance = Instance(self.home / name)
        instance.restore(data)
        instance.start()
        return instance

    def stage(self, *accounts):
        """Stages a row of each account, in one transaction."""
        self.flow.stage(*((account, 1) for account in accounts))
        self.staged.update(accounts)

    def copy(self, instance):
        self.copies += 1
        place = self.home / f"copy{self.copies}"
        instance.copy_to(place)
        return place

    def restore(self, instance, copy):
        instance.restore(copy)
        instance.start()

    def confirm(self):
        """An administrator says that this is the right database."""
        operations.confirm(self.flow)

    def move(self):
        self.flow.move(chunk_rows=2)

    def held(self, flow=None):
        return Counter(row[0] for row in (flow or self.flow).target_rows())

    def assert_each_row_once(self):
        self.move()
        assert self.held() == self.staged
        assert self.flow.move().totals.read == 0


def burn(dsn, transactions=60):
    """As others' work passes: the cluster's transactions are used up."""
    with connected(dsn) as connection:
        for _ in range(transactions):
            run(connection, "select pg_current_xact_id()")


def assert_refuses_for_good(site, cause, flow=None):
    """Nothing moves, however often it is tried and whatever is done meanwhile."""
    flow = flow or site.flow
    before = site.held(flow)
    for _ in range(2):
        with raises(cause) as refused:
            flow.move()
        burn(flow.shop_all)
    assert site.held(flow) == before
    return refused.value


def assert_asks_and_goes_on(site):
    """Rows that servers have are missing in shop All: it is asked about, once."""
    assert_refuses_for_good(site, SHOP_ALL_WENT_BACK)
    site.confirm()
    site.assert_each_row_once()
