"""A vendor's table whose key is drawn from a sequence."""

import pytest

from tests.causes import raises
from tests.databases import query
from tests.vendor import mapped
from transfer.causes.tables import RIGHTS_MISSING, SEQUENCE_BEHIND
from transfer.errors import WrongColumns
from transfer.installed import installed_kinds

NUMBERED = """
    alter table asset alter id drop default;
    alter sequence asset_id_seq owned by none;
    alter sequence asset_id_seq rename to "assetNumbers";
"""

SEQUENCE = '\n[balances.bonus_server.sequences]\nid = "assetNumbers"\n'


def test_a_key_without_default_is_drawn_from_the_sequence_of_the_vendor(vendor, tmp_path):
    flow = vendor("balances")
    query(flow.bonus, NUMBERED)
    flow.stage(("4100", 1), ("4200", 2))
    with pytest.raises(WrongColumns, match="id not null, no default"):
        flow.move()
    with mapped(tmp_path / "numbered.toml", changed=lambda text: text + SEQUENCE):
        flow.move()
        query(flow.bonus, "select nextval('\"assetNumbers\"')")  # as the vendor's program does
        flow.stage(("4300", 3))
        flow.move()
    assert query(flow.bonus, "select id, amount from asset order by id") == [
        (1, 100),
        (2, 200),
        (4, 300),
    ]


def test_a_sequence_that_gives_numbers_of_other_rows_is_refused(vendor, tmp_path):
    flow = vendor("balances")
    query(
        flow.bonus,
        NUMBERED + 'insert into asset (id, amount, "accountNumber", "assetGroupId", date, status, '
        """"isOpen") values (50, 1, 'a', 1, now(), 'ACTIVE', true);"""
        "select setval('\"assetNumbers\"', 49)",
    )
    flow.stage(("4100", 1))
    with mapped(tmp_path / "numbered.toml", changed=lambda text: text + SEQUENCE):
        with raises(SEQUENCE_BEHIND) as refused:
            flow.move()
        assert (refused.value.params["next"], refused.value.params["greatest"]) == ("50", "50")
        query(flow.bonus, 'alter sequence "assetNumbers" restart with 50')
        with raises(SEQUENCE_BEHIND):
            flow.move()
        query(flow.bonus, 'alter sequence "assetNumbers" restart with 51')
        flow.move()
    assert query(flow.bonus, "select id from asset order by id") == [(50,), (51,)]


@pytest.mark.parametrize(
    ("sequence", "problem"),
    [("noSuch", "id bigint ≠ noSuch"), ("asset", "id bigint ≠ asset")],
)
def test_what_is_no_sequence_is_refused(vendor, tmp_path, sequence, problem):
    flow = vendor("balances")
    query(flow.bonus, NUMBERED)
    flow.stage(("4100", 1))
    named = SEQUENCE.replace("assetNumbers", sequence)
    with (
        mapped(tmp_path / "numbered.toml", changed=lambda text: text + named),
        pytest.raises(WrongColumns, match=problem),
    ):
        flow.move()


def test_a_missing_right_to_the_sequence_is_told_with_its_grant(vendor, tmp_path):
    flow = vendor("balances")
    query(flow.bonus, NUMBERED)
    query(flow.bonus, "drop role if exists sequences_guest; create role sequences_guest login")
    flow.bonus += " user=sequences_guest"
    with (
        mapped(tmp_path / "numbered.toml", changed=lambda text: text + SEQUENCE),
        flow.open() as (_, target),
        raises(RIGHTS_MISSING) as refused,
    ):
        target.tables.check_rights(installed_kinds()["balances"])
    grant = 'grant usage on sequence "public"."assetNumbers" to "sequences_guest";'
    assert grant in refused.value.params["statements"]
    query(flow.bonus.replace(" user=sequences_guest", ""), "drop role sequences_guest")
