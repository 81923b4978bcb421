"""A vendor's tables with words, an enum or small integers for the statuses of cards."""

import re

import pytest

from tests.databases import query
from tests.vendor import TABLES, mapped
from transfer.errors import WrongColumns


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
