"""DTADMIN_TABLES: tables of another, its names, units, words and values; and what is refused."""

import re
import tomllib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.conf import settings

from tests.databases import ROOT, initialise_shop_all, purge, query
from tests.vendor import TABLES, mapped
from transfer.engine import mapping_file as mapping
from transfer.engine.errors import (
    PositionLost,
    RightsMissing,
    RowsSwallowed,
    SequenceBehind,
    StagingTableChanged,
    WrongColumns,
)
from transfer.engine.kinds import KINDS
from transfer.engine.mapping_file import TablesRefused
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import set_position
from transfer.engine.shop_all import batch_log as batches
from transfer.engine.shop_all.batches import Readers
from transfer.engine.shop_all.identity import Identity

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATE = datetime(2026, 12, 31, tzinfo=UTC)


def read(tmp_path, text):
    file = tmp_path / "tables.toml"
    file.write_text(text)
    return mapping.read(str(file))


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
    kind = settings.KINDS["balances"]
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


def test_a_trigger_that_swallows_rows_of_another_is_noticed(vendor):
    flow = vendor("balances")
    flow.stage(("4100", 1), ("4200", 2))
    query(
        flow.bonus,
        "create function swallow() returns trigger language plpgsql "
        "as $$ begin return null; end $$; "
        "create trigger swallow before insert on asset for each row when (new.amount = 200) "
        "execute function swallow()",
    )
    with pytest.raises(RowsSwallowed, match="swallow"):
        flow.move()
    assert query(flow.bonus, "select * from asset") == []


def test_cards_get_words_for_statuses_and_a_status_without_one_is_a_reject(vendor, tmp_path):
    flow = vendor("cards")
    with mapped(
        tmp_path / "less.toml", changed=lambda text: text.replace('PAY_ONLY = "SPEND"', "")
    ):
        flow.stage(("1", "a", 1), ("2", "b"), ("1", None, 2), ("1", "c"), ("9", None, 0))
        flow.stage(("2", None, 3), ("2", None, 7))
        assert flow.move().codes == ["card_unknown", "status_without_word", "status_unknown"]
    assert query(
        flow.bonus, 'select number, "accountNumber", status, "blockedBy" from "cardAccounting"'
    ) == [("1", "c", "BLOCKED", ""), ("2", "b", "ACCUMULATE", "")]
    flow.stage(("2", "b", 0))
    assert flow.move().totals.unchanged == 1


WORDS = """
[cards.shop_all.status]
EARN_ONLY = "earn"
EARN_PAY = "100 %s"
NO_OPERATION = "0"
"""


def test_a_status_word_that_is_unknown_is_rejected_and_named(vendor, tmp_path):
    flow = vendor("cards")
    query(flow.shop_all, 'alter table "cardChanges" alter status type text')
    with mapped(tmp_path / "words.toml", changed=lambda text: text + WORDS):
        for card, word in [("1", "100 %s"), ("2", "0"), ("3", "1"), ("4", "pay"), ("5", None)]:
            query(
                flow.shop_all,
                'insert into "cardChanges" (number, "accountNumber", status) values (%s, %s, %s)',
                [card, "a", word],
            )
        moved = flow.move()
        assert [(one.code, one.payload["status"]) for one in moved.rejects] == [
            ("status_word_unknown", "'1'"),
            ("status_word_unknown", "'pay'"),
        ]
    assert query(flow.bonus, 'select number, status from "cardAccounting" order by 1') == [
        ("1", "ACTIVE"),
        ("2", "BLOCKED"),
        ("5", "ACCUMULATE"),
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
    with flow.open() as (_, target), pytest.raises(RightsMissing) as refused:
        target.tables.check_rights(settings.KINDS["cards"])
    assert 'on "public"."cardAccounting" to "vendors_guest"' in refused.value.params["statements"]
    query(flow.bonus.replace(" user=vendors_guest", ""), "drop role vendors_guest")


ENUM = 'create schema loyalty; create type loyalty."cardStatus" as enum (%s); '


def test_statuses_of_an_enum_are_written_where_their_words_are_mapped(vendor):
    flow = vendor("cards")
    query(
        flow.bonus,
        ENUM
        % "'ACCUMULATE', 'ACTIVE', 'BLOCKED', 'SPEND', 'LOST'"
        + 'alter table "cardAccounting" alter status type loyalty."cardStatus" '
        'using status::text::loyalty."cardStatus"',
    )
    flow.stage(("1", "a", 1), ("2", "b"), ("1", None, 2), ("1", "c"), ("3", "d", 3))
    flow.move()
    flow.stage(("2", "b", 0), ("3", None, 1))
    assert flow.move().totals.unchanged == 1
    assert query(flow.bonus, 'select number, status from "cardAccounting" order by 1') == [
        ("1", "BLOCKED"),
        ("2", "ACCUMULATE"),
        ("3", "ACTIVE"),
    ]
    assert [row[2] for row in flow.target_rows()] == ["2", "0", "1"]


def test_an_enum_without_a_word_or_without_words_in_the_file_is_refused(vendor, tmp_path):
    flow = vendor("cards")
    query(
        flow.bonus,
        ENUM
        % "'ACCUMULATE', 'ACTIVE'"
        + 'alter table "cardAccounting" alter status type loyalty."cardStatus" '
        'using status::text::loyalty."cardStatus"',
    )
    flow.stage(("1", "a", 1))
    with pytest.raises(WrongColumns, match=r"status .* ≠ 'BLOCKED', 'SPEND'"):
        flow.move()
    without = re.sub(r"\[cards.bonus_server.status\]\n(.+\n)+", "", TABLES)
    with (
        mapped(tmp_path / "no_words.toml", changed=lambda _: without),
        pytest.raises(WrongColumns, match=r"status .* ≠ integer"),
    ):
        flow.move()
    assert query(flow.bonus, 'select * from "cardAccounting"') == []


def test_statuses_of_an_enum_are_read_from_shop_all(vendor, tmp_path):
    flow = vendor("cards")
    query(
        flow.shop_all,
        ENUM
        % "'earn', '100 %s', '0'"
        + 'alter table "cardChanges" alter status type loyalty."cardStatus" '
        'using null::loyalty."cardStatus"',
    )
    with mapped(tmp_path / "words.toml", changed=lambda text: text + WORDS):
        query(
            flow.shop_all,
            'insert into "cardChanges" (number, "accountNumber", status) '
            "values ('1', 'a', '0'), ('2', 'a', null)",
        )
        assert flow.move().codes == []
    assert query(flow.bonus, 'select number, status from "cardAccounting" order by 1') == [
        ("1", "BLOCKED"),
        ("2", "ACCUMULATE"),
    ]


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
        with pytest.raises(SequenceBehind) as refused:
            flow.move()
        assert (refused.value.params["next"], refused.value.params["greatest"]) == ("50", "50")
        query(flow.bonus, 'alter sequence "assetNumbers" restart with 50')
        with pytest.raises(SequenceBehind):
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
    query(flow.bonus, "drop role if exists vendors_guest; create role vendors_guest login")
    flow.bonus += " user=vendors_guest"
    with (
        mapped(tmp_path / "numbered.toml", changed=lambda text: text + SEQUENCE),
        flow.open() as (_, target),
        pytest.raises(RightsMissing) as refused,
    ):
        target.tables.check_rights(settings.KINDS["balances"])
    grant = 'grant usage on sequence "public"."assetNumbers" to "vendors_guest";'
    assert grant in refused.value.params["statements"]
    query(flow.bonus.replace(" user=vendors_guest", ""), "drop role vendors_guest")


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


def test_small_integers_hold_statuses(vendor, tmp_path):
    flow = vendor("cards")
    query(flow.shop_all, 'alter table "cardChanges" alter status type smallint')
    query(
        flow.bonus, 'alter table "cardAccounting" alter status type smallint using null::smallint'
    )
    without = re.sub(r"\[cards.bonus_server.status\]\n(.+\n)+", "", TABLES)
    with mapped(tmp_path / "no_words.toml", changed=lambda _: without):
        flow.stage(("1", "a", 1), ("2", "b"), ("1", None, 2))
        flow.move()
        flow.stage(("1", "a", 2))
        assert flow.move().totals.unchanged == 1
    assert query(flow.bonus, 'select number, status from "cardAccounting" order by 1') == [
        ("1", 2),
        ("2", 0),
    ]


def initialised_all_the_same(shop_all, monkeypatch):
    """As an earlier version would have made the table."""
    with monkeypatch.context() as patch:
        patch.setattr(Identity, "check_table", lambda *_: None)
        initialise_shop_all(shop_all)


def test_another_staging_table_is_refused_until_the_file_names_the_one_of_before(
    vendor, tmp_path, monkeypatch
):
    flow = vendor("balances")
    flow.stage(("4100", 1))
    flow.move()
    position = flow.position()
    others = TABLES.replace('"balanceChanges"', '"others"').replace("source = 7", "")
    with mapped(tmp_path / "other.toml", changed=lambda _: others):
        with pytest.raises(StagingTableChanged, match=r"come from others, .* from balanceChanges"):
            initialise_shop_all(flow.shop_all)
        assert query(flow.shop_all, "select to_regclass('others')") == [(None,)]
        initialised_all_the_same(flow.shop_all, monkeypatch)
        flow.stage(("4200", 2))
        with pytest.raises(StagingTableChanged):
            flow.move()
        with pytest.raises(StagingTableChanged):
            purge(flow.shop_all, "balances", [position], 0)
        query(flow.bonus, "delete from datatransfer.position")  # as of a server docked just now
        flow.reader = None
        with pytest.raises(StagingTableChanged):
            flow.move()
        with flow.open() as (source, target), pytest.raises(StagingTableChanged):
            set_position(settings.KINDS["balances"], source, target, Request(start=True), Readers())
    with flow.open() as (_, target):
        target.positions.begin(position)
        target.database.commit()
    flow.reader = position.reader
    flow.stage(("4300", 3))
    flow.move()
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (300,)]


def test_where_shop_all_began_anew_another_table_is_sent_from_its_first_row(vendor, tmp_path):
    flow = vendor("balances")
    flow.stage(("4100", 1))
    flow.move()
    others = TABLES.replace('"balanceChanges"', '"others"').replace("source = 7", "")
    with mapped(tmp_path / "other.toml", changed=lambda _: others):
        query(flow.shop_all, "drop schema datatransfer cascade")
        initialise_shop_all(flow.shop_all)
        flow.stage(("4200", 2))
        with pytest.raises(PositionLost):
            flow.move()
        with flow.open() as (source, target):
            outcome = set_position(
                settings.KINDS["balances"], source, target, Request(start=True), Readers()
            )
        assert outcome.sent == 1
        flow.reader = outcome.position.reader
        flow.move()
        assert flow.move().totals.read == 0
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (200,)]


def test_our_own_table_of_before_is_known_though_no_batch_names_it(flow, tmp_path, monkeypatch):
    mine = flow("balances")
    monkeypatch.setattr(batches, "ADD", batches.ADD.replace("%(staging)s", "null"))
    mine.stage(("4100", 1))
    mine.move()
    mine.stage(("4100", 2))
    mine.move()
    others = '[balances.shop_all]\ntable = "others"'
    with mapped(tmp_path / "tables.toml", changed=lambda _: others):
        with pytest.raises(StagingTableChanged, match="changeAccountBalanceTemp"):
            initialise_shop_all(mine.shop_all)
        initialised_all_the_same(mine.shop_all, monkeypatch)
        with pytest.raises(StagingTableChanged, match="changeAccountBalanceTemp"):
            mine.move()


def test_other_columns_and_units_between_two_runs_move_no_row_twice(vendor, tmp_path):
    flow = vendor("balances")
    flow.stage(("4100", 1), ("4200", 2), ("4300", 3))
    flow.move_one(chunk_rows=2)
    query(flow.shop_all, 'alter table "balanceChanges" rename sum to kopecks')
    query(flow.bonus, "alter table asset rename note to remark")

    def renamed(text):
        return text.replace('amount = "sum"', 'amount = "kopecks"').replace('"note"', '"remark"')

    with mapped(tmp_path / "renamed.toml", changed=renamed):
        flow.move()
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (200,), (300,)]


def test_names_are_taken_as_they_are_and_never_run(vendor, tmp_path):
    with pytest.raises(TablesRefused, match="is no name of a table"):
        read(tmp_path, "[cards.bonus_server]\ntable = 'x\"; drop table asset; --'")


WRONG = [
    ("[cards\n", "no TOML.*line 1"),
    (
        "\n[card.bonus_server]\n",
        r"line 2, section \[card\]: card means nothing here; there may be pincodes, bal",
    ),
    (
        "[cards.server]\n",
        r"line 1, section \[cards.server\]: server means nothing here; there may be shop_all, bo",
    ),
    ("cards = 1\n", "line 1: cards has to be a table"),
    ("[cards.shop_all]\ntabel = 'x'\n", r"line 2, section \[cards.shop_all\]: tabel means nothing"),
    ("[cards.shop_all]\namount = 'minor'\n", "line 2, .*: amount means nothing here"),
    ("[balances.shop_all]\n\namount = 'cents'\n", 'line 3, .*: amount may be "minor"'),
    ("[cards.shop_all]\ntable = 7\n", "line 2, .*: 7 is no name"),
    ("[cards.shop_all]\ntable = '7up'\n", "line 2, .*: '7up' is no name"),
    ("[cards.shop_all]\ntable = 'a.b.c'\n", "line 2, .*: 'b.c' is no name"),
    ("[cards.shop_all]\ntable = '.a'\n", "line 2, .*: '' is no name"),
    (f"[cards.shop_all]\ntable = '{'я' * 32}'\n", "line 2, .* is no name"),
    ("[cards.shop_all.columns]\nnumber = 'card'\n", "line 2, .*: number means nothing here"),
    ("[cards.shop_all.columns]\nchanged_at = 'x'\n", "line 2, .*: changed_at means nothing here"),
    ("[cards.shop_all.columns]\ncard = false\n", "line 2, .*: The table can't do without card"),
    ("[cards.bonus_server.columns]\naccount = false\n", "line 2, .*: The table can't do without a"),
    ("[balances.shop_all.columns]\nvalidto = false\n", "line 2, .*: The table can't do without v"),
    (
        "[cards.bonus_server.columns]\ncard = 'account'\n",
        "line [12], .*: The column account has",
    ),
    ("[cards.shop_all.columns]\ncard = 'xid'\n", "line 2, .*: The column xid has another meaning"),
    ("[cards.shop_all.fixed]\ncard = 'x'\n", "line 2, .*: The column card has another meaning"),
    (
        "[cards.shop_all.fixed]\nx = 1\n\ny = 1.5\n",
        "line 4, .*: y has to be a text, a whole",
    ),
    ("[cards.shop_all.fixed]\nx = 'a'\ny = \"a\\u0000\"\n", "line 3, .*: y has to be a text"),
    ("[cards.shop_all]\nfixed = 1\n", "line 2, .*: fixed has to be a table"),
    ("[cards.shop_all.sequences]\nn = 'x'\n", "line [12], .*: sequences means nothing here"),
    ("[cards.bonus_server]\nsequences = 'x'\n", "line 2, .*: sequences has to be a table"),
    ("[cards.bonus_server.sequences]\nn = 1\n", "line 2, .*: 1 is no name"),
    (
        "[cards.bonus_server]\nfixed.n = 1\nsequences.n = 'x'\n",
        "line 3, .*: The column n has another meaning already",
    ),
    ("[cards.bonus_server.status]\nEARN_PAY = 'x'\n", "line [12], .*: EARN_ONLY needs a word"),
    ("[cards.bonus_server.status]\nOPEN = 'x'\n", "line 2, .*: OPEN means nothing here"),
    ("[cards.shop_all.status]\nEARN_PAY = ''\n", "line 2, .*: '' is no word"),
    (
        "[cards.shop_all.status]\nEARN_PAY = 'x'\nPAY_ONLY = 'x'\n",
        "line 3, .*: 'x' stands for another status already",
    ),
    (
        "[cards.shop_all]\ntable = 'x'\n[balances.shop_all]\ntable = 'x'\n",
        "line [24], .*: x can't be the table of",
    ),
    (
        "[cards.shop_all]\ntable = 'accountpincodeTemp'\n",
        "line 2, .*: accountpincodeTemp can't be the table of",
    ),
    (
        "[cards.shop_all]\ntable = 'public.accountpincodeTemp'\n",
        "line 2, .*: public.accountpincodeTemp can't be the table of",
    ),
    ("servers = 1\n", "line 1: servers has to be a table"),
    ("[servers]\n'Server 9' = 1\n", r"line 2, section \[servers\]: Server 9 has to be a table"),
    (
        "[servers.'Server 9'.card]\n",
        r'line 1, section \[servers."Server 9".card\]: card means nothing here; there may be pin',
    ),
    (
        "[servers.'Server 9'.cards.shop_all]\ntable = 'x'\n",
        r"line [12], section \[servers.\"Server 9\".cards.shop_all\]: A server's section maps the",
    ),
    (
        "[cards.bonus_server.columns]\nstatus = 's'\n[servers.x.cards.columns]\ncard = 's'\n",
        r"line [34], section \[servers.x.cards.columns\]: The column s has another meaning",
    ),
    (
        "[cards.bonus_server.fixed]\nn = 1\n[servers.x.cards.columns]\ncard = 'n'\n",
        r"line [34], section \[servers.x.cards.*\]: The column n has another meaning already",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_an_error_in_the_file_is_told_with_its_line(tmp_path, text, sentence):
    with pytest.raises(TablesRefused, match=sentence):
        read(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path):
    with pytest.raises(TablesRefused, match=r"none\.toml can't be read"):
        mapping.read(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TablesRefused, match=r"bytes\.toml can't be read"):
        mapping.read(str(tmp_path / "bytes.toml"))


def test_the_examples_of_both_papers_are_the_same_file_and_can_be_read(tmp_path):
    examples = [
        re.search(
            r"```toml\n(.+?)```", (ROOT / f"docs/{language}/tables.md").read_text(), re.DOTALL
        )
        for language in ("en", "ru")
    ]
    english, russian = (tomllib.loads(found[1]) for found in examples)
    assert english == russian
    kinds = read(tmp_path, examples[0][1]).common
    assert kinds["balances"].bonus_server.fixed == {"assetGroupId": 1, "lastStatus": "ACTIVE"}


def test_an_empty_file_leaves_our_own_names(tmp_path):
    tables = read(tmp_path, "")
    for kinds in (tables.shop_all, tables.common, tables.of("Server 9")):
        for name, kind in KINDS.items():
            assert vars(kinds[name].shop_all) == vars(kind.shop_all)
            assert vars(kinds[name].bonus_server) == vars(kind.bonus_server)
            assert kinds[name].checks == kind.checks
