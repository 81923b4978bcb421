"""A role that may write to the log and notes of shop All, and to nothing else there.

It can stop transfers. What no append can have written is refused; marks, hints and notes that it
changes neither lose nor double a row. But the log says which rows there are: who may write to it
can also hide rows, and have them moved again. The last tests say how, and SECURITY.md says: give
such rights to our account alone.
"""

from uuid import UUID

import pytest

from tests.administrator import role
from tests.causes import raises
from tests.conftest import WORKER
from tests.databases import query, run
from tests.engine.keeping_small import age, purge
from tests.flow import INSTALLATION, Flow, known_of
from transfer.causes.connections import ANSWER_INVALID
from transfer.errors import TransferError

FORGER = f"forger_{WORKER}"
TABLES = ("head", "log", "load", "dependent", "installation")
GRANTS = "; ".join(
    [
        f"grant usage on schema datatransfer to {FORGER}",
        f"grant select on all tables in schema datatransfer to {FORGER}",
        f'grant select on "changeAccountBalanceTemp" to {FORGER}',
        *(
            f"grant select, insert, update, delete on datatransfer.{table} to {FORGER}"
            for table in TABLES
        ),
    ]
)
BIGGEST = 2**63 - 1
LAST_STAGED = 'select xid, started, id from "changeAccountBalanceTemp" order by id desc limit 1'
STRANGER = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def forger(shop_all):
    """Runs a statement as that role."""
    with role(shop_all, FORGER, GRANTS) as session:

        def forge(statement):
            with session() as connection:
                run(connection, statement)

        yield forge


@pytest.fixture
def balances(flow):
    """Has moved three rows, and two of the three of another line. A row has no line yet."""
    balances = flow("balances")
    balances.stage(("1", 1), ("2", 2), ("3", 3))
    balances.move()
    balances.stage(("4", 4), ("5", 5), ("6", 6))
    balances.move_one(2)
    balances.stage(("7", 7))
    assert amounts(balances) == [1, 2, 3, 4, 5]
    return balances


def amounts(flow: Flow):
    return sorted(int(row[1]) for row in flow.target_rows())


def line_of_another_number(number):
    return f"""
        insert into datatransfer.log (kind, number, mark, changeset, xid, started, rows, amount,
                                      rows_to, amount_to)
        select kind, {number}, gen_random_uuid(), gen_random_uuid(), '5', started, 1, 1, 1, 1
          from datatransfer.log limit 1
    """


# What the role writes → the code of the refusal.
STOPS = {
    "the log is gone": ("delete from datatransfer.log", "answer_invalid"),
    "the line under way has fewer rows": (
        "update datatransfer.log set rows = 2 where number = 2",
        "rows_differ",
    ),
    "the line under way has more rows": (
        "update datatransfer.log set rows = 4 where number = 2",
        "rows_differ",
    ),
    "some rows of the line under way are gone": (
        "update datatransfer.log set gone = 1 where number = 2",
        "rows_differ",
    ),
    "more rows are gone than there were": (
        "update datatransfer.log set gone = 4 where number = 2",
        "answer_invalid",
    ),
    "the rows of the line under way are purged": (
        "update datatransfer.log set purged = 3 where number = 2",
        "rows_purged",
    ),
    "a sum that is none": (
        "update datatransfer.log set amount = 'NaN' where number = 2",
        "answer_invalid",
    ),
    "a time without end": (
        "update datatransfer.log set started = 'infinity' where number = 2",
        "answer_invalid",
    ),
    "a number that no later append would reach": (line_of_another_number(99), "answer_invalid"),
    "the largest number": (line_of_another_number(BIGGEST), "answer_invalid"),
    "the next number is used up": (
        "update datatransfer.head set number = 1 where kind = 'balances'",
        "answer_invalid",
    ),
    "no next number": (
        f"update datatransfer.head set number = {BIGGEST} where kind = 'balances'",
        "answer_invalid",
    ),
    "there is no head": ("delete from datatransfer.head", "answer_invalid"),
    "lines have gone that the server still needs": (
        "update datatransfer.head set removed = 99 where kind = 'balances'",
        "history_too_old",
    ),
    "a load has the name of another changeset": (
        "insert into datatransfer.load (changeset, kind, xid, started, rows) "
        "select changeset, 'balances', staged.xid, staged.started, 1 "
        f"from (select changeset from datatransfer.log limit 1) as log, ({LAST_STAGED}) as staged",
        "query_failed",
    ),
}


@pytest.mark.parametrize("forgery", STOPS)
def test_what_no_append_can_have_written_stops_the_flow_and_no_row_is_lost_or_doubled(
    balances, forger, forgery
):
    statement, code = STOPS[forgery]
    before = balances.position()
    forger(statement)
    with pytest.raises(TransferError) as refused:
        balances.move()
    assert refused.value.code == code
    assert balances.position().place == before.place
    assert amounts(balances) == [1, 2, 3, 4, 5]


GO_ON = {
    "other marks": "update datatransfer.log set mark = gen_random_uuid()",
    "the log begins anew": "delete from datatransfer.log; "
    "update datatransfer.head set number = 0, seen = null",
    "everything was seen, in the future": "update datatransfer.head "
    "set seen = '99999999:99999999:', looked_at = 'infinity'",
    "everything was seen, in another database": "update datatransfer.head "
    "set seen = '3:3:', seen_in = 'nowhere', looked_at = '-infinity'",
    "an installation has confirmed": "update datatransfer.log "
    "set confirmed_by = gen_random_uuid(), mark = gen_random_uuid()",
    "loads that never were": "insert into datatransfer.load (changeset, kind, xid, started, rows) "
    "values (gen_random_uuid(), 'balances', '9', now(), 70)",
    "rows that are read depend on others": "insert into datatransfer.dependent "
    '(kind, changeset, "row", effect, of_changeset, of_row, root_changeset, root_row, first) '
    "select 'balances', changeset, staged.id, 'reverses', changeset, 1, changeset, 1, 1 "
    'from datatransfer.log, "changeAccountBalanceTemp" as staged',
    "installations that need nothing": "insert into datatransfer.installation "
    f"(id, kind, name, needs_from, mark) values ('{INSTALLATION}', 'balances', 'us', {10**15}, "
    f"'{STRANGER}') on conflict (id, kind) do update set needs_from = {10**15}",
    "installations that cannot be": "insert into datatransfer.installation "
    f"(id, kind, name, needs_from, mark) values ('{STRANGER}', 'balances', "
    f"repeat('x', 1000000), -5, '{STRANGER}')",
}


@pytest.mark.parametrize("forgery", GO_ON.values(), ids=GO_ON)
def test_forged_marks_hints_and_notes_lose_and_double_no_row(balances, forger, forgery):
    forger(forgery)
    balances.move()
    balances.stage(("8", 8))
    balances.move()
    assert amounts(balances) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_forged_line_is_refused_before_it_is_passed_and_the_flow_goes_on_without_it(
    balances, forger
):
    forger(line_of_another_number(99))
    with raises(ANSWER_INVALID, match=r"datatransfer\.head: number"):
        balances.move()
    forger("delete from datatransfer.log where number = 99")
    balances.move()
    assert amounts(balances) == [1, 2, 3, 4, 5, 6, 7]


def test_a_forged_hint_in_the_past_delays_rows_by_a_day_at_most(balances, forger):
    """It says that the row without a line was seen."""
    forger(
        "update datatransfer.head set looked_at = now(), "
        "seen = (select pg_current_snapshot()) where kind = 'balances'"
    )
    balances.move()
    assert amounts(balances) == [1, 2, 3, 4, 5, 6]
    query(balances.shop_all, "update datatransfer.head set looked_at = now() - interval '25 hours'")
    balances.move()
    assert amounts(balances) == [1, 2, 3, 4, 5, 6, 7]


def test_a_purge_removes_no_row_that_waits_whatever_installations_say(balances, forger):
    balances.move()
    known = known_of(balances)
    balances.stage(("8", 8))
    age(balances)
    forger(GO_ON["installations that need nothing"])
    purge(balances, known)
    staged = query(balances.shop_all, 'select amount::int from "changeAccountBalanceTemp"')
    assert staged == [(8,)]
    balances.move()
    assert amounts(balances) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_purge_refuses_an_installation_that_cannot_be(balances, forger):
    forger(GO_ON["installations that cannot be"])
    with raises(ANSWER_INVALID, match=r"datatransfer\.installation, x") as refused:
        purge(balances, known_of(balances))
    assert len(str(refused.value)) < 1000
    staged = query(balances.shop_all, 'select count(*) from "changeAccountBalanceTemp"')
    assert staged == [(7,)]


# What the role writes → the amounts that the server then has of 1 to 7.
IN_SILENCE = {
    "the line is withdrawn": (
        "update datatransfer.log set withdrawn = true where number = 3",
        [1, 2, 3, 4, 5, 6],
    ),
    "all rows of the line are gone": (
        "update datatransfer.log set gone = rows where number = 3",
        [1, 2, 3, 4, 5, 6],
    ),
    "an old line gets a new number": (
        "delete from datatransfer.log where number = 1; "
        "update datatransfer.head set seen = null where kind = 'balances'",
        [1, 1, 2, 2, 3, 3, 4, 5, 6, 7],
    ),
    "the lines have each other's rows": (
        "create temporary table old as select number, xid, started, rows from datatransfer.log; "
        "update datatransfer.log set xid = null where number in (1, 3); "
        "update datatransfer.log set xid = old.xid, started = old.started, rows = old.rows "
        "from old where log.number in (1, 3) and old.number = 4 - log.number",
        [1, 1, 2, 2, 3, 3, 4, 5, 6],
    ),
}


@pytest.mark.parametrize("forgery", IN_SILENCE)
def test_who_may_write_the_log_can_lose_and_double_rows_in_silence(balances, forger, forgery):
    """SECURITY.md says: give such rights to our account alone."""
    statement, amounts_then = IN_SILENCE[forgery]
    with balances.open() as (source, _):
        source.log_writer.append_all(balances.spec)
    forger(statement)
    balances.move()
    assert amounts(balances) == amounts_then


def test_a_row_that_is_said_to_correct_another_one_has_no_effect_but_is_kept_as_a_reject(
    balances, forger
):
    """The forged note comes before the row has a line. Only a closed reject tells of it."""
    changeset = query(
        balances.shop_all,
        "select lpad(to_hex(xid::text::bigint), 16, '0')"
        " || lpad(to_hex((extract(epoch from started) * 1000000)::bigint), 16, '0'), id"
        f" from ({LAST_STAGED}) as staged",
    )
    ((name, row),) = changeset
    forger(
        "insert into datatransfer.dependent "
        '(kind, changeset, "row", effect, of_changeset, of_row, root_changeset, root_row, first) '
        f"values ('balances', '{UUID(name)}', {row}, 'replaces', '{STRANGER}', 1, '{STRANGER}', 1, "
        "1)"
    )
    moved = balances.move()
    assert [(one.name, one.is_open) for one in moved.rejects] == [((str(UUID(name)), row), False)]
    assert amounts(balances) == [1, 2, 3, 4, 5, 6]
