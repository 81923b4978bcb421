"""Two clusters whose disks can be put back: what the tests of breakages are tried on."""

from collections import Counter
from contextlib import ExitStack

import pytest

from tests.chaos.instance import Instance, as_postgres
from tests.databases import connected, insert, keep, query, run
from tests.flow import Flow, purge
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import BALANCES, KINDS
from transfer.engine.restore.answers import Answers
from transfer.engine.restore.renumber_after_restore import renumber_after_restore
from transfer.engine.restore.set_position import set_position
from transfer.engine.shop_all.source import ShopAll

OLD = "update \"changeAccountBalanceTemp\" set created_at = now() - interval '40 d'"


class Site:
    """Two clusters: one holds shop All, the other a bonus server."""

    def __init__(self, home, template):
        self.home = home
        self.shop, self.server = (self._cluster(name, template) for name in ("shop", "server"))
        self.flow = Flow("balances", self.shop.dsn("shop_all"), self.server.dsn("bonus"))
        self.dsns = (self.flow.shop_all, self.flow.bonus)
        keep(*self.dsns)
        self.staged = Counter()
        self.copies = 0

    def _cluster(self, name, data):
        instance = Instance(self.home / name)
        self._begin(instance, data)
        return instance

    def _begin(self, instance, data):
        instance.restore(data)
        instance.start()

    def stage(self, *accounts):
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

    def restored_to_a_prepared_row(self):
        """A row was prepared, then rolled back; after a restore of shop All it is committed."""
        with connected(self.flow.shop_all) as writer:
            run(writer, "begin")
            insert(writer, "balances", [("prepared", 1)])
            run(writer, "prepare transaction 'twice'")
        copy = self.copy(self.shop)
        query(self.flow.shop_all, "rollback prepared 'twice'")
        self.flow.move()
        self.restore(self.shop, copy)
        query(self.flow.shop_all, "commit prepared 'twice'")

    def restored_from_a_dump_where_numbers_are_lower(self):
        """Into a new cluster, whose transactions count from the beginning."""
        dump = self.home / "shop.dump"
        dump.write_bytes(as_postgres("pg_dump", "-Fc", "-d", self.flow.shop_all).stdout)
        self.shop.crash()
        self.shop = Instance(self.home / "new")
        self.shop.create("shop_all")
        self.flow.shop_all = self.shop.dsn("shop_all")
        as_postgres("pg_restore", "-d", self.flow.shop_all, dump)

    def now(self):
        return query(self.flow.shop_all, "select clock_timestamp()")[0][0]

    def rebase(self, restored=None, *servers, doubtful_moved=None):
        """A rebase with these bonus servers, or the only one. One answer for all rows in doubt."""
        answers = answering_all(doubtful_moved)
        with ExitStack() as opened:
            source = opened.enter_context(ShopAll(self.flow.shop_all, "rebase"))
            targets = [
                opened.enter_context(BonusDatabase(dsn, "bonus server", "rebase"))
                for dsn in servers or [self.flow.bonus]
            ]
            kinds = KINDS.values()
            report = renumber_after_restore(source, targets, kinds, restored, answers=answers)
        return report.carried if report else []

    def set_position(self, request, dry_run=False):
        with self.flow.open() as (source, target):
            readers = self.flow.readers(source)
            outcome = set_position(BALANCES, source, target, request, readers, dry_run=dry_run)
        if not dry_run:
            self.flow.reader = outcome.position.reader
        return outcome

    def purge(self, days=30):
        query(self.flow.shop_all, OLD)
        return purge(self.flow.shop_all, "balances", [self.flow.position()], days)

    def held(self):
        return Counter(row[0] for row in self.flow.target_rows())

    def assert_each_row_once(self):
        self.flow.move(chunk_rows=2)
        assert self.held() == self.staged


def burn(dsn, transactions):
    """As others' work passes: the cluster's transactions are used up."""
    with connected(dsn) as connection:
        for _ in range(transactions):
            run(connection, "select pg_current_xact_id()")


def assert_refuses_for_good(site, error):
    before = site.held()
    for _ in range(2):
        with pytest.raises(error):
            site.flow.move()
        burn(site.flow.shop_all, 60)
    assert site.held() == before


def assert_reconciled(flow):
    with flow.open() as (source, _), source.snapshot():
        position = flow.position()
        source.identity.check_position(BALANCES, position)
        staged = source.reader.staged(BALANCES, position)
    totals = position.totals
    assert staged.rows + staged.purged_rows == totals.read
    assert staged.amount + staged.purged_amount == totals.amount_applied + totals.amount_rejected


def answering_all(moved):
    """The same answer for the rows in doubt of all kinds; without one, none."""
    of_kinds = [] if moved is None else [*KINDS]
    return Answers({("bonus server", kind): moved for kind in of_kinds})
