"""Staged rows that are changed after their transfer: noticed, never sent by themselves, decided."""

from decimal import Decimal

import pytest

from tests.databases import initialise_shop_all, query
from tests.flow import Flow
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import BALANCES, KINDS, PINCODES
from transfer.engine.restore.renumber_after_restore import renumber_after_restore
from transfer.engine.shop_all.source import ShopAll


def changed(flow):
    """Number, values and servers of the rows that wait for a decision."""
    with ShopAll(flow.shop_all, "tests") as source, source.snapshot(KINDS[flow.kind]):
        rows = source.changes.rows(KINDS[flow.kind], 100)
        assert len(rows) == source.changes.count(KINDS[flow.kind])
        return [(row.id, row.servers) for row in rows]


def decide(flow, decision, *values):
    kind = KINDS[flow.kind]
    with ShopAll(flow.shop_all, "tests") as source, source.database.transaction():
        rows = source.changes.rows(kind, 100)
        if decision == "amount":
            return source.changes.send_amount(kind, rows[0], Decimal(values[0]), "olga")
        return getattr(source.changes, decision)(kind, rows, "olga")


def update(flow, values, where="true"):
    query(flow.shop_all, f'update "{KINDS[flow.kind].staging}" set {values} where {where}')


def amounts(flow):
    return sorted(int(row[1]) for row in flow.target_rows())


@pytest.fixture
def pins(flow):
    return flow("pincodes")


@pytest.fixture
def first(flow):
    return flow("balances")


@pytest.fixture
def second(first, second_bonus):
    return Flow("balances", first.shop_all, second_bonus)


class TestWhatIsNoticed:
    def test_a_second_pin_in_the_row_of_the_first_is_listed_and_not_sent(self, pins):
        pins.stage(("4100", "1111"), ("4200", "2222"))
        pins.move()
        update(pins, "pincode = '9999'", "account = '4100'")
        assert pins.move().totals.read == 0
        assert changed(pins) == [(1, ["bonus server"])]

    def test_a_row_that_still_waits_is_read_with_its_new_value(self, pins):
        pins.stage(("4100", "1111"))
        update(pins, "pincode = '9999'")
        pins.move()
        assert changed(pins) == []
        assert pins.target_rows()[0][:2] == ("4100", "9999")

    def test_an_update_to_the_same_values_is_none(self, pins):
        pins.stage(("4100", "1111"))
        pins.move()
        update(pins, "pincode = pincode, created_at = now()")
        assert changed(pins) == []

    def test_head_office_may_still_change_the_type_of_a_column(self, first):
        first.stage(("4100", 5))
        first.move()
        query(first.shop_all, f'alter table "{BALANCES.staging}" alter account type text')
        assert changed(first) == []
        update(first, "account = '4200'")
        assert changed(first) == [(1, ["bonus server"])]

    def test_a_writers_own_operators_hide_no_change(self, first):
        first.stage(("4100", 5))
        first.move()
        run_as_writer = """
            create function public.same(jsonb, jsonb) returns bool language sql as 'select true';
            create operator public.= (leftarg = jsonb, rightarg = jsonb, function = public.same);
            create function public.other(jsonb, jsonb) returns bool language sql as 'select false';
            create operator public.<> (leftarg = jsonb, rightarg = jsonb, function = public.other);
            set search_path = public, pg_catalog;
        """
        table = BALANCES.staging
        query(first.shop_all, f'{run_as_writer} update public."{table}" set amount = 7')
        assert changed(first) == [(1, ["bonus server"])]

    @pytest.mark.parametrize("emptied", ["''", "null"])
    def test_an_emptied_pin_is_none(self, pins, emptied):
        pins.stage(("4100", "1111"))
        pins.move()
        query(pins.shop_all, 'alter table "accountpincodeTemp" alter pincode drop not null')
        update(pins, f"pincode = {emptied}")
        assert changed(pins) == []

    def test_it_is_told_which_server_had_read_the_row_before(self, first, second):
        first.stage(("4100", 5))
        first.move()
        update(first, "amount = 7")
        second.move()
        query(
            first.shop_all,
            "update datatransfer.batch set server = 'one' where reader = %s",
            [first.reader],
        )
        query(
            first.shop_all,
            "update datatransfer.batch set server = 'two' where reader = %s",
            [second.reader],
        )
        assert changed(first) == [(1, ["one"])]
        assert (amounts(first), amounts(second)) == ([5], [7])

    def test_a_writer_cannot_hide_a_change(self, first):
        first.stage(("4100", 5))
        first.move()
        update(first, "amount = 7")
        update(first, "changed_xid = null")
        update(first, "amount = 8, changed_xid = '3'")
        assert changed(first) == [(1, ["bonus server"])]

    def test_a_writer_does_not_choose_it_for_a_new_row(self, first):
        query(
            first.shop_all,
            f'insert into "{BALANCES.staging}" (account, amount, changed_xid) '
            "values ('4100', 5, '999999999')",
        )
        first.move()
        assert changed(first) == []

    def test_a_staging_table_of_the_version_before_goes_on_until_init_shop_all(self, first):
        query(
            first.shop_all,
            f'alter table "{BALANCES.staging}" drop column changed_xid cascade; '
            f'drop trigger if exists datatransfer_values_insert on "{BALANCES.staging}"; '
            f'drop trigger if exists datatransfer_values_update on "{BALANCES.staging}"; '
            "drop table datatransfer.change_decision, datatransfer.uncertain_change, "
            "datatransfer.undone_row",
        )
        first.stage(("4100", 5))
        assert first.move().totals.applied == 1
        assert changed(first) == []
        initialise_shop_all(first.shop_all)
        update(first, "amount = 7")
        assert changed(first) == [(1, ["bonus server"])]


class TestDecisions:
    def test_to_leave_it_is_final_until_the_next_change(self, first):
        first.stage(("4100", 5))
        first.move()
        update(first, "amount = 7")
        assert decide(first, "leave") == 1
        assert changed(first) == []
        update(first, "amount = 9")
        assert changed(first) == [(1, ["bonus server"])]

    def test_a_pin_is_sent_again_with_its_present_value(self, pins):
        pins.stage(("4100", "1111"))
        pins.move()
        update(pins, "pincode = '9999'")
        assert decide(pins, "send_again") == 1
        pins.move()
        assert changed(pins) == []
        assert pins.target_rows()[0][:2] == ("4100", "9999")

    def test_a_decision_that_somebody_else_has_made_stages_nothing(self, pins):
        pins.stage(("4100", "1111"))
        pins.move()
        update(pins, "pincode = '9999'")
        with ShopAll(pins.shop_all, "tests") as source, source.database.transaction():
            rows = source.changes.rows(PINCODES, 100)
        assert decide(pins, "leave") == 1
        with ShopAll(pins.shop_all, "tests") as source, source.database.transaction():
            assert source.changes.send_again(PINCODES, rows, "ivan") == 0
        assert pins.move().totals.read == 0

    @pytest.mark.parametrize("together", [False, True])
    def test_a_typed_amount_lands_where_the_old_one_did_and_nowhere_else(
        self, first, second, together
    ):
        first.stage(("4100", 5))
        first.move()
        update(first, "amount = 7")
        if not together:
            second.move()
        assert decide(first, "amount", 2) == 1
        assert first.move().codes == []
        assert second.move().codes == ["not_for_this_server"]
        assert (amounts(first), amounts(second)) == ([2, 5], [7])

    def test_a_row_that_was_changed_while_its_batch_was_read_gets_no_typed_amount(
        self, first, second
    ):
        """The first server reads the new value; the log says that its batch is older."""
        first.stage(("4100", 5), ("4200", 5))
        second.move()
        first.move_one(chunk_rows=1)
        update(first, "amount = 7", "account = '4200'")
        assert decide(first, "amount", 2) == 1
        assert first.move().codes == ["not_for_this_server"]
        assert second.move().codes == []
        assert (amounts(first), amounts(second)) == ([5, 7], [2, 5, 5])

    def test_a_row_that_a_restored_server_reads_again_gets_no_typed_amount(self, first):
        first.stage(("4100", 5))
        first.move()
        query(first.bonus, "create table kept as table datatransfer.position")
        first.stage(("4200", 5))
        first.move()
        query(
            first.bonus,
            "delete from asset where account = '4200'; delete from datatransfer.position; "
            "insert into datatransfer.position table kept",
        )
        update(first, "amount = 7", "account = '4200'")
        first.move()
        assert decide(first, "amount", 2) == 1
        assert first.move().codes == ["not_for_this_server"]
        assert amounts(first) == [5, 7]

    def test_after_a_rebase_it_is_not_certain_who_had_read_an_undecided_change(self, first, second):
        first.stage(("4100", 5), ("4200", 5))
        second.move()
        first.move_one(chunk_rows=1)
        update(first, "amount = 7", "account = '4200'")
        first.move()
        query(first.shop_all, "delete from datatransfer.uncertain_change")  # as in a copy
        rebase(first, second)
        assert decide(first, "amount", 2) == 1
        assert first.move().codes == second.move().codes == ["not_for_this_server"]
        assert (amounts(first), amounts(second)) == ([5, 7], [5, 5])

    def test_after_a_rebase_a_typed_amount_is_refused_not_doubled(self, first, second):
        first.stage(("4100", 5))
        first.move()
        update(first, "amount = 7")
        second.move()
        decide(first, "amount", 2)
        rebase(first, second)
        assert first.move().codes == ["not_for_this_server"]
        assert second.move().codes == ["not_for_this_server"]
        assert (amounts(first), amounts(second)) == ([5], [7])

    def test_a_rebase_keeps_what_is_undecided_and_is_no_change_itself(self, first, second):
        first.stage(("4100", 5), ("4200", 6))
        first.move()
        second.move()
        update(first, "amount = 7", "account = '4100'")
        rebase(first, second)
        first.move()
        assert [number for number, _ in changed(first)] == [1]
        decide(first, "leave")
        rebase(first, second)
        assert changed(first) == []


def rebase(first, second):
    """As after a restored dump."""
    query(first.shop_all, "update datatransfer.origin set xid = xid")
    with (
        ShopAll(first.shop_all, "rebase") as source,
        BonusDatabase(first.bonus, "first", "rebase") as one,
        BonusDatabase(second.bonus, "second", "rebase") as other,
    ):
        assert renumber_after_restore(source, [one, other], KINDS.values())


SMALL = "alter table asset add constraint small check (amount < 100)"


@pytest.mark.parametrize("chunk_rows", [1, 50])
def test_a_rejected_row_corrected_in_place_and_sent_again_is_not_doubled_at_a_lagging_server(
    first, second, chunk_rows
):
    """Line 8 of issue 24. The first server rejects 100; the lagging one reads the corrected 99."""
    query(first.bonus, SMALL)
    first.stage(("4100", 100))
    assert first.move().codes == ["refused_by_server"]
    update(first, "amount = 99")
    first.stage(("4100", 99))
    query(
        first.shop_all,
        "insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, where_rejected) "
        f"select origin, 'balances', 1, row.id, row.xid, true from datatransfer.origin, "
        f'"{BALANCES.staging}" as row where row.id = 2',
    )
    assert first.move(chunk_rows).codes == []
    assert second.move(chunk_rows).codes == ["accepted_before"]
    assert (amounts(first), amounts(second)) == ([99], [99])


@pytest.mark.parametrize("rebased", [False, True])
def test_a_typed_amount_does_not_land_where_the_row_was_rejected(first, second, rebased):
    """Its reject is the way there: both together would double it."""
    query(first.bonus, SMALL)
    first.stage(("4100", 100))
    first.move()
    second.move()
    if rebased:
        rebase(first, second)
        first.move()
        second.move()
    update(first, "amount = 99")
    decide(first, "amount", -1)
    assert first.move().codes == ["not_for_this_server"]
    assert second.move().codes == []
    assert (amounts(first), amounts(second)) == ([], [-1, 100])
