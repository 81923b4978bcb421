"""Who credited which account by which way, and what looks unusual."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.approvals.conftest import limits
from transfer.approvals import rows
from transfer.models import Entry

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna(log_in):
    return log_in("administrator", "anna")


def entered(who, *rows, way="hand", **fields):
    listed = [(account, Decimal(amount)) for account, amount in rows]
    amounts = [amount for _account, amount in listed]
    sums = {"total": sum(map(abs, amounts)), "amount": sum(amounts), "rows": len(rows)}
    return Entry.note(None, listed, who=who, way=way, **sums, **fields)


def context(client, **query):
    return client.get(reverse("by_hand"), query).context


def records(table):
    return [row.record for row in table.paginated_rows]


def accounts(found):
    return [one.account for one in records(found["table"])]


def test_rows_and_sums_say_who_how_and_with_whom(anna):
    entered("oleg", ("4100", 100), ("4200", -30))
    entered("1C (API)", ("4300", 7), way="api", approved_by="vera")
    found = context(anna)
    assert sorted(accounts(found)) == ["4100", "4200", "4300"]
    by = {
        one["entry__who"]: (one["rows"], one["up"], one["down"]) for one in records(found["people"])
    }
    assert by == {"oleg": (2, 100, -30), "1C (API)": (1, 7, 0)}
    assert [one["account"] for one in records(found["accounts"])] == ["4100", "4300"]
    text = anna.get(reverse("by_hand")).content.decode()
    assert "approved by vera" in text


def test_sums_by_person_are_of_all_rows_of_a_load_though_only_the_largest_are_kept(
    anna, load, monkeypatch
):
    monkeypatch.setattr(rows, "MOST_ROWS", 2)
    load("balances", b"account;amount\n4100;1\n4200;20\n4300;-30\n4400;4\n")
    found = context(anna)
    assert sorted(accounts(found)) == ["4200", "4300"]
    (one,) = records(found["people"])
    assert (one["rows"], one["up"], one["down"]) == (4, 25, -30)
    (one,) = records(context(anna, q="4200")["people"])
    assert (one["rows"], one["up"]) == (1, 20)


def test_filters_are_in_the_url(anna):
    entered("oleg", ("4100", 100))
    entered("pavel", ("4200", 5), way="file", approved_by="vera")
    assert accounts(context(anna, who="pavel")) == ["4200"]
    assert accounts(context(anna, way="hand")) == ["4100"]
    assert accounts(context(anna, q="4200")) == ["4200"]
    assert accounts(context(anna, approved="no")) == ["4100"]


def test_an_account_that_one_person_credits_again_and_again_is_listed(anna):
    for _time in range(4):
        entered("oleg", ("4100", 9_000))
        entered("pavel", ("4200", 1))
    entered("oleg", ("4200", 1))
    found = context(anna)
    named = {(one["entry__who"], one["account"], one["rows"]) for one in records(found["repeated"])}
    assert named == {("oleg", "4100", 4), ("pavel", "4200", 4)}
    assert records(context(anna, times=5)["repeated"]) == []


def test_rows_just_below_the_limit_are_found(anna):
    limits(row_limit=10_000)
    entered("oleg", ("4100", 9_999), ("4200", 7_999), ("4300", -8_000))
    entered("oleg", ("4400", 9_999), approved_by="vera")
    assert sorted(accounts(context(anna, near="on"))) == ["4100", "4300"]


def test_credits_outside_working_hours_are_found_in_the_zone_of_the_settings(anna):
    limits(time_zone="Europe/Moscow")
    day = timezone.now().replace(hour=5, minute=30) - timedelta(1)  # 8:30 in Moscow
    entered("oleg", ("4100", 1), at=day)
    entered("oleg", ("4200", 1), at=day.replace(hour=20))  # 23:00
    assert accounts(context(anna, outside="8-20")) == ["4200"]
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC)
    entered("oleg", ("4300", 1), at=saturday)
    assert "4300" in accounts(context(anna, outside="weekend", since="2026-11-27"))


def test_the_file_has_what_the_filter_finds(anna):
    entered("oleg", ("0041", 100))
    entered("pavel", ("4200", 5))
    answer = anna.get(reverse("by_hand_csv"), {"who": "oleg"})
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    assert "0041" in text
    assert "4200" not in text
