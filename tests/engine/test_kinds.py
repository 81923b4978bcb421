"""Every check, by its code, on real rows; and what a chunk makes of rows of one account or card."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils import translation

from tests.databases import query
from transfer.causes.rows import reason_named
from transfer.engine.kinds import KINDS
from transfer.text.explain import explain

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATE = datetime(2026, 12, 31, tzinfo=UTC)

BAD_ACCOUNTS = [
    (None, "account_missing"),
    ("", "account_missing"),
    ("4" * 101, "account_too_long"),
    ("41 00", "account_has_spaces"),
    (" 4100", "account_has_spaces"),
    ("4100\t", "account_has_spaces"),
    ("4100\n", "account_has_spaces"),
    ("41\u00a000", "account_has_spaces"),
    ("41\u200b00", "account_has_spaces"),
    ("\ufeff4100", "account_has_spaces"),
    ("41\x0700", "account_has_spaces"),
]

REJECTED = {
    "pincodes": [
        *(((account, "1234"), code) for account, code in BAD_ACCOUNTS),
        (("4100", None), "pin_missing"),
        (("4100", ""), "pin_missing"),
        (("4100", "1" * 101), "pin_too_long"),
    ],
    "balances": [
        *(((account, 10), code) for account, code in BAD_ACCOUNTS),
        (("4100", None), "amount_missing"),
        (("4100", Decimal("NaN")), "amount_not_finite"),
        (("4100", "Infinity"), "amount_not_finite"),
        (("4100", "-Infinity"), "amount_not_finite"),
        (("4100", 0), "amount_zero"),
        (("4100", Decimal("0.000")), "amount_zero"),
        (("4100", Decimal("1.001")), "amount_decimals"),
        (("4100", Decimal("-0.005")), "amount_decimals"),
        (("4100", Decimal("10000000000000")), "amount_out_of_range"),
        (("4100", Decimal("-10000000000000.00")), "amount_out_of_range"),
        (("4100", 10, LATE, EARLY), "validity_reversed"),
    ],
    "cards": [
        ((None, "4100", 1), "card_missing"),
        (("", "4100", 1), "card_missing"),
        (("7" * 101, "4100", 1), "card_malformed"),
        (("77 77", "4100", 1), "card_malformed"),
        (("77\u00a077", "4100", 1), "card_malformed"),
        (("7777", "", 1), "account_empty"),
        (("7777", "4" * 101, 1), "account_too_long"),
        (("7777", "41 00", 1), "account_has_spaces"),
        (("7777", "4100", 4), "status_unknown"),
        (("7777", "4100", -1), "status_unknown"),
        (("7777", None, None), "nothing_to_change"),
        (("7777", None, 2), "card_unknown"),
    ],
}

ACCEPTED = {
    "pincodes": [("4" * 100, "1"), ("4100", "1" * 100), ("счёт-41", "12 34")],
    "balances": [
        ("4100", Decimal("0.01")),
        ("4100", Decimal("-0.01")),
        ("4100", Decimal("1.500")),
        ("4100", Decimal("9999999999999.99")),
        ("4100", Decimal("-9999999999999.99"), EARLY, LATE, "бонус"),
        ("4100", 10, EARLY, None),
        ("4100", 10, None, EARLY),
        ("4100", 10, EARLY, EARLY),
    ],
    "cards": [("7" * 100, "4" * 100, 0), ("7001", "4100", 3), ("7002", "4100", None)],
}


@pytest.mark.parametrize("kind", REJECTED)
def test_a_bad_row_is_rejected_with_its_reason_and_changes_nothing(flow, kind):
    moving = flow(kind)
    widen(moving)
    moving.stage(*(row for row, _ in REJECTED[kind]))
    moved = moving.move()
    assert moved.codes == [code for _, code in REJECTED[kind]]
    assert moved.totals.read == moved.totals.rejected == len(REJECTED[kind])
    assert moving.target_rows() == []


def widen(moving):
    """A staging table of somebody else's may take longer texts than ours does."""
    for column in KINDS[moving.kind].columns:
        if column.created_as == "varchar(100)":
            table = KINDS[moving.kind].staging
            query(moving.shop_all, f'alter table "{table}" alter {column.name} type text')


@pytest.mark.parametrize("kind", ACCEPTED)
def test_rows_at_the_edge_of_what_is_allowed_are_applied(flow, kind):
    moving = flow(kind)
    moving.stage(*ACCEPTED[kind])
    moved = moving.move()
    assert moved.codes == []
    assert moved.totals.applied == len(ACCEPTED[kind])
    assert len(moving.target_rows()) == len(ACCEPTED[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_has_a_test(kind):
    assert {check.code for check in KINDS[kind].all_checks} == {code for _, code in REJECTED[kind]}


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_check_is_explained_in_both_languages(kind, language):
    with translation.override(language):
        for check in KINDS[kind].all_checks:
            sentence, hint = explain(reason_named(check.code))
            assert sentence
            assert hint
            is_russian = any("а" <= letter <= "я" for letter in sentence.lower())
            assert is_russian == (language == "ru"), sentence


def test_each_balance_change_arrives_to_the_kopeck_and_totals_add_up_finite_amounts(flow):
    moving = flow("balances")
    moving.stage(
        ("4100", Decimal("-12.30"), EARLY, LATE, "возврат"),
        *[("4100", 5), ("4100", 5)],
        *[("", Decimal("2.25")), ("4100", Decimal("NaN"))],
    )
    totals = moving.move().totals
    assert moving.target_rows() == [
        ("4100", Decimal("-12.30"), EARLY, LATE, "возврат"),
        *[("4100", Decimal("5.00"), None, None, None)] * 2,
    ]
    assert (totals.applied, totals.amount_applied) == (3, Decimal("-2.30"))
    assert (totals.rejected, totals.amount_rejected) == (2, Decimal("2.25"))


def test_the_last_pin_of_an_account_wins_and_one_that_the_server_has_changes_nothing(flow):
    moving = flow("pincodes")
    moving.stage(("4100", "1111"), ("4200", "5555"), ("4100", "2222"), ("4100", "3333"))
    totals = moving.move().totals
    assert moving.target_rows() == [("4100", "3333"), ("4200", "5555")]
    assert (totals.applied, totals.unchanged) == (2, 2)
    moving.stage(("4100", "3333"))
    totals = moving.move().totals
    assert (totals.applied, totals.unchanged) == (0, 1)


def test_account_and_status_of_a_card_are_set_separately_and_a_new_one_may_only_earn(flow):
    moving = flow("cards")
    moving.stage(("7001", "4100", 1), ("7001", None, 2), ("7001", "4200", None))
    moving.stage(("7002", "4200", None))
    moving.move()
    assert moving.target_rows() == [("7001", "4200", 2), ("7002", "4200", 0)]
    moving.stage(("7001", None, 1), ("7002", "4300", None))
    assert moving.move().totals.applied == 2
    assert moving.target_rows() == [("7001", "4200", 1), ("7002", "4300", 0)]


@pytest.mark.parametrize("chunk_rows", [1, 2, 50_000])
def test_a_status_before_the_link_of_an_unknown_card_is_rejected_in_any_chunking(flow, chunk_rows):
    moving = flow("cards")
    moving.stage(("7001", None, 2), ("7001", "4100", None), ("7001", None, 3))
    moved = moving.move(chunk_rows)
    assert [(reject.id, reject.code) for reject in moved.rejects] == [(1, "card_unknown")]
    assert moving.target_rows() == [("7001", "4100", 3)]


def test_a_link_that_is_itself_rejected_makes_no_card_known(flow):
    moving = flow("cards")
    moving.stage(("7001", "41 00", 1), ("7001", None, 2))
    assert moving.move().codes == ["account_has_spaces", "card_unknown"]
    assert moving.target_rows() == []
