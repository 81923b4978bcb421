"""doctor, of shop All: each cause is one line, with what to do about it."""

from uuid import uuid4

import pytest
from django.utils import timezone

from tests.administrator import remove_role
from tests.databases import WORKER, initialise_shop_all, query
from transfer.models import LogPlace

pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("in_english"),
]
TABLES, WRITERS = ("shop All", "Tables"), ("shop All", "Writers")
BALANCES = '"changeAccountBalanceTemp"'
DROP_TRIGGER = f"drop trigger zz_datatransfer_1_insert on {BALANCES};"
# As another version had it.
OTHER_FUNCTION = (
    "create or replace function datatransfer.note_changes() returns trigger language plpgsql as "
    "'begin return new; end';"
)
# What somebody has done → the one line that says it, and a part of its sentence and of its hint.
HARMS = {
    "drop table datatransfer.dependent": (TABLES, "datatransfer.dependent", "init_shop_all"),
    "alter table datatransfer.log rename to log_": (TABLES, "datatransfer.log", "init_shop_all"),
    "drop schema datatransfer cascade": (TABLES, "datatransfer.dependent", "init_shop_all"),
    f"drop table {BALANCES}": (TABLES, f"{BALANCES} is missing", "init_shop_all"),
    f"alter table {BALANCES} drop column comment": (TABLES, f"{BALANCES}.comment", "init_shop_all"),
    f"update pg_index set indisvalid = false where indrelid = '{BALANCES}'::regclass": (
        TABLES,
        "never finished",
        "init_shop_all",
    ),
    'alter table "changeCardAccountTemp" alter status type text': (
        TABLES,
        "do not fit: status text",
        "correct the types first",
    ),
    f"alter table {BALANCES} rename to kept; create view {BALANCES} as select * from kept": (
        TABLES,
        "is a view or a foreign table",
        "",
    ),
    f"alter table {BALANCES} rename to kept;"
    f"create table {BALANCES} (like kept) partition by range (id)": (
        TABLES,
        "is partitioned",
        "",
    ),
    DROP_TRIGGER: (WRITERS, "Urgent: the functions and triggers that control", "init_shop_all"),
    f"alter table {BALANCES} disable trigger zz_datatransfer_2_update": (
        WRITERS,
        f"{BALANCES}.zz_datatransfer_2_update",
        "init_shop_all",
    ),
    f"alter table {BALANCES} alter started drop default": (
        WRITERS,
        f"{BALANCES}.started",
        "init_shop_all",
    ),
    # Of an older version: a table, a column and its triggers are missing, a function is another.
    f"{OTHER_FUNCTION} drop table datatransfer.installation;"
    f"alter table {BALANCES} drop column line cascade": (
        WRITERS,
        "datatransfer.note_changes()",
        "init_shop_all",
    ),
}


@pytest.fixture
def failing(doctor):
    """Runs it; returns its lines that failed, by area and label."""
    return lambda: {key: line for key, line in doctor()[1].items() if line["state"] == "failed"}


@pytest.mark.parametrize("harm", HARMS)
def test_each_cause_is_one_line_with_what_to_do(failing, installation, shop_all, harm):
    where, sentence, hint = HARMS[harm]
    query(shop_all, harm)
    lines = failing()
    assert [*lines] == [where]
    assert sentence in lines[where]["sentence"]
    assert hint in lines[where]["hint"]


@pytest.mark.parametrize("harm", [harm for harm, line in HARMS.items() if line[0] == WRITERS])
def test_what_the_line_about_writers_says_is_all_that_it_takes(
    doctor, installation, shop_all, harm
):
    query(shop_all, harm)
    initialise_shop_all(shop_all)
    code, lines = doctor()
    assert code == 0
    assert {lines[where]["state"] for where in (TABLES, WRITERS)} == {"ok"}


def test_an_empty_database_has_no_writers_and_is_one_line(
    doctor, failing, installation, settings, empty_database
):
    settings.SHOP_ALL_DATABASE_URL = empty_database
    assert [*failing()] == [TABLES]
    assert "has no writers yet" in doctor()[1][WRITERS]["sentence"]


@pytest.fixture
def as_mover(shop_all, settings):
    """Reaches shop All as a role that owns nothing there, and may do all that a transfer does."""
    mover = f"doctors_mover_{WORKER}"
    remove_role(shop_all, mover)
    query(
        shop_all,
        f"create role {mover} login; grant usage on schema datatransfer to {mover};"
        "grant select, insert, update, delete on all tables in schema datatransfer, public "
        f"to {mover}",
    )
    settings.SHOP_ALL_DATABASE_URL = f"{shop_all} user={mover}"
    yield mover
    remove_role(shop_all, mover)


def test_a_missing_log_of_another_owner_is_no_right_too_many(
    failing, installation, shop_all, as_mover
):
    """A role that adds lines to the log may read the key of names; a missing log hides this."""
    assert failing() == {}
    query(shop_all, "alter table datatransfer.log rename to log_")
    lines = failing()
    assert lines[TABLES]["sentence"].endswith("datatransfer.log is missing.")
    assert WRITERS not in lines


@pytest.mark.parametrize(
    "right",
    [
        "usage on schema datatransfer",
        "select on datatransfer.origin",
        "select on datatransfer.head",
        "update on datatransfer.log",
        f"select on {BALANCES}",
    ],
)
def test_a_missing_right_is_one_line(failing, installation, shop_all, as_mover, right):
    query(shop_all, f"revoke {right} from {as_mover}")
    lines = failing()
    assert [*lines] == [("shop All", "Rights")]
    assert f"the user {as_mover} lacks these rights" in lines["shop All", "Rights"]["sentence"]


def test_a_missing_trigger_does_not_hide_that_it_is_the_shop_all_of_another_chain(
    failing, installation, shop_all
):
    """Its remedy would change the wrong database."""
    LogPlace.objects.create(
        origin=uuid4(), kind="balances", number=7, mark=uuid4(), seen_at=timezone.now()
    )
    query(shop_all, DROP_TRIGGER)
    assert [*failing()] == [WRITERS, ("shop All", "Chain")]
