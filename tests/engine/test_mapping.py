"""DTADMIN_TABLES: rows move into a vendor's tables, unless a table is not as the file says."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.causes import raises
from tests.databases import initialise_shop_all, query
from tests.engine.operations import changed, correct, load, opened, send_changes, undo
from tests.vendor import TABLES, mapped
from transfer.causes.tables import RIGHTS_MISSING
from transfer.errors import WrongColumns
from transfer.installed import installed_kinds

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATE = datetime(2026, 12, 31, tzinfo=UTC)


def test_pin_codes_go_into_a_table_of_another_and_the_last_one_wins(vendor):
    flow = vendor("pincodes")
    flow.stage(("4100", "1"), ("4200", "2"), ("4100", "3"), ("", "4"))
    assert flow.move().codes == ["account_missing"]
    flow.stage(("4200", "2"), ("4200", "5"))
    flow.move()
    assert query(flow.bonus, 'select * from "accountPin" order by 1') == [
        ("4100", "3", "head office's, 100 %s {rows}"),
        ("4200", "5", "head office's, 100 %s {rows}"),
    ]


def test_amounts_in_minor_units_are_exact_and_one_that_has_none_whole_is_rejected(vendor):
    flow = vendor("balances")
    query(flow.shop_all, 'alter table "balanceChanges" alter sum type numeric')
    kind = installed_kinds()["balances"]
    assert kind.shop_all.is_minor
    with pytest.raises(WrongColumns, match="sum numeric ≠ bigint"):
        flow.move()
    query(flow.shop_all, 'alter table "balanceChanges" alter sum type bigint')
    flow.stage(("4100", Decimal("0.01")), ("4100", Decimal("-9999999999999.99"), EARLY))
    query(
        flow.shop_all,
        'insert into "balanceChanges" ("accountNumber", sum, source) values (\'4200\', 0, 7)',
    )
    moved = flow.move()
    assert moved.codes == ["amount_zero"]
    assert moved.totals.amount_applied == Decimal("-9999999999999.98")
    assert query(flow.bonus, 'select amount, "assetGroupId", status, begin from asset') == [
        (1, 1, "ACTIVE", None),
        (-999999999999999, 1, "ACTIVE", EARLY),
    ]


def test_an_amount_without_a_whole_number_of_minor_units_is_not_rounded(
    flow, bonus, tmp_path, vendor
):
    of_server_alone = (
        TABLES.replace('table = "balanceChanges"\namount = "minor"', "")
        .replace('[balances.shop_all.columns]\naccount = "accountNumber"\namount = "sum"', "")
        .replace("[balances.shop_all.fixed]\nsource = 7", "")
    )
    bonus = vendor("balances").bonus
    with mapped(tmp_path / "other.toml", changed=lambda _: of_server_alone):
        mine = flow("balances")
        mine.bonus = bonus
        mine.stage(("4100", Decimal("1.005")), ("4100", "NaN"), ("4100", Decimal("1.5")))
        moved = mine.move()
    assert moved.codes == ["amount_decimals", "amount_not_finite"]
    assert [one.payload["amount"] for one in moved.rejects] == ["1.005", "NaN"]
    assert query(bonus, "select amount from asset") == [(150,)]


def test_corrections_changes_and_undos_count_in_hundredths(vendor):
    flow = vendor("balances")
    query(flow.bonus, """alter table asset add check ("accountNumber" <> 'b')""")
    name = load(flow, ("a", "10.50"), ("b", 2))
    flow.move()
    assert held(flow) == {"a": 1050}
    assert opened(flow) == [(name, 2)]
    correct(flow, ((name, 2), {"account": "c"}))
    flow.move()
    assert held(flow) == {"a": 1050, "c": 200}
    query(flow.shop_all, 'update "balanceChanges" set sum = 1275 where line = 1 and sum = 1050')
    (row,) = changed(flow)
    assert (row.payload["amount"], float(row.before)) == ("12.75", 10.5)
    send_changes(flow, [row])
    flow.move()
    assert held(flow) == {"a": 1275, "c": 200}
    undo(flow, name)
    flow.move()
    assert held(flow) == {}
    staged = query(flow.shop_all, 'select sum, source from "balanceChanges" order by id')
    assert staged[-2:] == [(-1050, 7), (-200, 7)]
    totals = flow.position().totals
    assert query(
        flow.shop_all,
        "select rows_to, amount_to from datatransfer.log order by number desc limit 1",
    ) == [(totals.read, totals.amount_applied + totals.amount_rejected)]


def held(flow):
    """Account → its sum on the bonus server, without accounts of zero."""
    return dict(
        query(
            flow.bonus,
            'select "accountNumber", sum(amount)::bigint from asset group by 1'
            " having sum(amount) <> 0",
        )
    )


def test_a_date_that_the_table_has_no_place_for_is_a_reject(vendor):
    flow = vendor("balances")
    flow.stage(("4100", 1, EARLY), ("4100", 2, None, LATE), ("4100", 3, None, None, "gift"))
    assert flow.move().codes == ["validity_not_held"]
    assert query(flow.bonus, "select amount, begin, note from asset order by id") == [
        (100, EARLY, None),
        (300, None, "gift"),
    ]


def test_a_fixed_value_is_written_also_where_null_would_do(vendor, tmp_path):
    flow = vendor("balances")
    query(
        flow.bonus,
        'alter table asset alter amount type numeric, alter "assetGroupId" drop not null, '
        'alter status drop not null, alter "isOpen" drop not null',
    )
    major = TABLES.replace('table = "asset"\namount = "minor"', 'table = "asset"')
    with mapped(tmp_path / "major.toml", changed=lambda _: major):
        flow.stage(("4100", Decimal("1.25")))
        flow.move()
    assert query(flow.bonus, 'select amount, "assetGroupId", status, "isOpen" from asset') == [
        (Decimal("1.25"), 1, "ACTIVE", True)
    ]


def test_what_the_table_of_another_refuses_is_a_reject(vendor):
    flow = vendor("cards")
    query(flow.bonus, "alter table \"cardAccounting\" add constraint sum check (status <> 'SPEND')")
    flow.stage(("1", "a", 1), ("2", "b", 3), ("3", "c", 0))
    (reject,) = flow.move().rejects
    assert (reject.code, reject.constraint) == ("refused_by_server", "sum")
    assert [card for card, *_ in flow.target_rows()] == ["1", "3"]


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        ('alter table asset drop column "assetGroupId"', "assetGroupId – ≠ 1"),
        ("alter table asset alter status type integer using 1", "status integer ≠ 'ACTIVE'"),
        ("alter table asset alter status type varchar(3)", r"status character varying\(3\) ≠ 'ACT"),
        ("alter table asset alter amount type numeric", "amount numeric ≠ bigint"),
        (
            "alter table asset alter amount type double precision",
            "amount double precision ≠ bigint",
        ),
        ("alter table asset alter amount type integer", "amount integer ≠ bigint"),
        ("alter table asset drop column date", "date –"),
        ('alter table asset alter "lastStatus" set not null', "lastStatus not null, no default"),
    ],
)
def test_a_table_that_is_not_as_the_file_says_is_refused(vendor, harm, problem):
    flow = vendor("balances")
    flow.stage(("4100", 1))
    query(flow.bonus, harm)
    with pytest.raises(WrongColumns, match=problem):
        flow.move()
    assert query(flow.bonus, "select * from asset") == []


def test_a_missing_right_is_told_with_the_names_of_another(vendor):
    flow = vendor("cards")
    query(flow.bonus, "drop role if exists vendors_guest; create role vendors_guest login")
    flow.bonus += " user=vendors_guest"
    with flow.open() as (_, target), raises(RIGHTS_MISSING) as refused:
        target.tables.check_rights(installed_kinds()["cards"])
    assert 'on "public"."cardAccounting" to "vendors_guest"' in refused.value.params["statements"]
    query(flow.bonus.replace(" user=vendors_guest", ""), "drop role vendors_guest")


def test_a_table_of_another_schema_is_named_with_it(vendor, tmp_path):
    flow = vendor("balances")
    for dsn, table in ((flow.bonus, "asset"), (flow.shop_all, '"balanceChanges"')):
        query(dsn, f'create schema "Loyalty"; alter table {table} set schema "Loyalty"')

    def with_schema(text):
        return text.replace('"asset"', '"Loyalty.asset"').replace(
            '"balanceChanges"', '"Loyalty.balanceChanges"'
        )

    with mapped(tmp_path / "schema.toml", changed=with_schema):
        initialise_shop_all(flow.shop_all)
        flow.stage(("4100", 1), ("", 2))
        assert flow.move().codes == ["account_missing"]
    assert query(flow.bonus, 'select amount from "Loyalty".asset') == [(100,)]


def test_a_domain_is_taken_for_what_it_is_made_of(vendor):
    flow = vendor("balances")
    query(
        flow.bonus,
        "create domain money_in_kopecks as bigint; create domain short as varchar(20); "
        "alter table asset alter amount type money_in_kopecks",
    )
    flow.stage(("4100", 1))
    flow.move()
    assert query(flow.bonus, "select amount from asset") == [(100,)]
    query(flow.bonus, 'alter table asset alter "accountNumber" type short')
    flow.stage(("4200", 1))
    with pytest.raises(WrongColumns, match=r"accountNumber public\.short ≠ varchar"):
        flow.move()
