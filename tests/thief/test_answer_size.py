"""A database that answers more than anybody asked for: in rows, in one value, in messages."""

import io
import itertools
import socket
import struct
import threading
from contextlib import contextmanager, suppress

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from tests.causes import raises
from tests.databases import query, stage
from tests.flow import Flow
from tests.memory import growth
from tests.misbehaving import server as listening
from transfer.causes.connections import ANSWER_INVALID, ANSWER_TOO_LARGE, TOO_MANY_ROWS
from transfer.engine.postgres.answer_size import ANSWER_BYTES, GROWTH_BYTES, MOST_ROWS
from transfer.engine.postgres.database import Database
from transfer.models.run_base import Trigger
from transfer.parties import SHOP_ALL
from transfer.runs.backlog import backlogs
from transfer.runs.execute import run_here

pytestmark = pytest.mark.long

MEGABYTE = 1 << 20
# What one look or one run may take. The attacks took 1,146 and 2,778 MB.
BOUND = 150 * MEGABYTE
# What may arrive beyond the limit before the socket is shut.
LATE = 64 * MEGABYTE

# In place of the table, by the vendor's administrator.
VIEW = """
    alter table datatransfer.position rename to true_position;
    create view datatransfer.position as
    select true_position.* from datatransfer.true_position, generate_series(1, 2000000)
"""
# He sets back what our session has set.
MESSAGES = """
    create function public.talk() returns trigger language plpgsql as $$
    begin
        perform pg_catalog.set_config('client_min_messages', 'notice', true);
        for n in 1..600 loop
            raise notice '%', repeat('x', 2000000);
        end loop;
        return new;
    end $$;
    create trigger talk before insert on public.asset for each row execute function public.talk()
"""
ONE_VALUE = 200 * MEGABYTE  # more than `ANSWER_BYTES + 2 * LATE`: who keeps it is noticed
MANY_BYTES = f"select repeat('x', {MEGABYTE}) from generate_series(1, 300)"


class Relay:
    """A TCP port before the Unix socket of a database; counts the bytes it has passed on."""

    def __init__(self, dsn):
        parts = parse_dsn(dsn)
        self.path = f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}"
        self.passed_on = 0

    def __call__(self, client, number):
        with socket.socket(socket.AF_UNIX) as database:
            database.connect(self.path)
            thread = threading.Thread(target=self.pass_on, args=(client, database), daemon=True)
            thread.start()
            with suppress(OSError):
                while piece := database.recv(MEGABYTE):
                    client.sendall(piece)
                    self.passed_on += len(piece)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def pass_on(client, database):
        with suppress(OSError):
            while piece := client.recv(MEGABYTE):
                database.sendall(piece)
            database.shutdown(socket.SHUT_RDWR)


@contextmanager
def by_tcp(dsn):
    """Yields the relay, and the DSN that leads through it."""
    relay = Relay(dsn)
    with listening(relay) as port:
        yield relay, make_dsn(dsn, host="127.0.0.1", port=port, sslmode="disable")


@pytest.fixture
def counted(shop_all):
    """A connection over TCP; `counted.relay` knows what has arrived."""
    with (
        by_tcp(shop_all) as (relay, dsn),
        Database(dsn, SHOP_ALL, "tests", secret=False) as database,
    ):
        database.relay = relay
        yield database


# --- One statement --------------------------------------------------------------------------------


def test_a_query_is_refused_after_the_rows_that_its_caller_expects(counted):
    with raises(TOO_MANY_ROWS) as refused:
        counted.rows("select n, repeat('x', 500) from generate_series(1, 2000000) n", most=10)
    assert str(refused.value) == (
        "The database of shop All answered one question with more than 10 rows. Data Transfer "
        "has never written so many there."
    )
    assert counted.relay.passed_on < MEGABYTE  # PostgreSQL stopped at the eleventh
    assert counted.rows("select generate_series(1, 10)", most=10) == [(n,) for n in range(1, 11)]


@pytest.mark.parametrize(
    "own",
    ["limit 2000000", "limit 11 offset 0", "union all (select 1, '' limit 1)", "-- limit 1"],
)
def test_the_own_limit_of_a_query_counts_only_if_it_is_as_low_and_that_of_all_rows(counted, own):
    with raises(TOO_MANY_ROWS):
        counted.rows(f"select n, repeat('x', 500) from generate_series(1, 2000000) n {own}", most=9)
    assert counted.relay.passed_on < MEGABYTE
    assert counted.rows("select generate_series(1, 2000000) limit 2", most=9) == [(1,), (2,)]


def test_a_caller_who_expects_nothing_special_gets_no_more_than_most_rows(counted):
    query = "select generate_series(1, %s)"
    assert len(counted.rows(query, [MOST_ROWS])) == MOST_ROWS
    with raises(TOO_MANY_ROWS):
        counted.rows(query, [MOST_ROWS + 1])


def test_of_a_query_for_one_row_no_more_than_two_arrive(counted):
    for wrong in (
        "select n, repeat('x', 500) from generate_series(1, 100000) n",
        "select 1 limit 0",
    ):
        with raises(ANSWER_INVALID):
            counted.only_row(wrong)
    assert counted.relay.passed_on < MEGABYTE
    assert counted.only_row("with one as (select 1 as n, 2 as n) select * from one -- n") == (1, 2)
    assert counted.value("select pg_sleep(0)") == ""


def test_rows_of_a_statement_that_changes_some_are_counted_before_they_are_read(counted):
    counted.execute("create temporary table filled (n int)")
    fill = "insert into filled select generate_series(1, %s) returning n"
    assert len(counted.rows(fill, [10], most=10)) == 10
    with raises(TOO_MANY_ROWS):
        counted.rows(fill, [11], most=10)
    with raises(ANSWER_INVALID):
        counted.only_row(fill, [2])


@pytest.mark.parametrize(
    "statement",
    [
        MANY_BYTES,
        f"{MANY_BYTES} for update",  # no query that can be limited
        f"select repeat('x', {ONE_VALUE})",
        f"do $$ begin set client_min_messages = notice; for n in 1..300 loop "
        f"raise notice '%', repeat('x', {MEGABYTE}); end loop; end $$",
    ],
    ids=["rows", "rows that are locked", "one value", "messages"],
)
@pytest.mark.parametrize("seconds", [300, None], ids=["with a deadline", "without one"])
def test_a_question_ends_with_the_connection_once_too_many_bytes_arrived(
    counted, statement, seconds
):
    counted.connection.statement_seconds = seconds
    with growth() as memory, raises(ANSWER_TOO_LARGE) as refused:
        counted.execute(statement)
    assert ANSWER_BYTES < counted.relay.passed_on < ANSWER_BYTES + LATE
    assert memory.bytes < ANSWER_BYTES + 2 * LATE
    assert str(refused.value) == (
        "The database of shop All answered one question with more than 64 MB, messages included."
    )
    counted.roll_back()
    assert counted.value("select 1") == 1  # by a new connection


def test_an_answer_just_below_the_limit_is_taken(counted):
    ((text,),) = counted.rows(f"select repeat('x', {ANSWER_BYTES - MEGABYTE})")
    assert len(text) == ANSWER_BYTES - MEGABYTE
    assert len(counted.rows(f"select repeat('x', {ANSWER_BYTES - MEGABYTE})")) == 1  # each anew


def test_rows_of_a_cursor_are_limited_by_what_is_fetched_at_once(counted):
    with counted.transaction():
        sizes = [len(text) for (text,) in counted.stream("many", MANY_BYTES, at_once=10)]
    assert sizes == [MEGABYTE] * 300
    with raises(ANSWER_TOO_LARGE), counted.transaction():
        list(counted.stream("many", MANY_BYTES))


def test_a_copy_may_bring_any_number_of_rows_since_only_one_is_kept(counted):
    class Sink(io.RawIOBase):
        size = 0

        def write(self, row):
            self.size += len(row)

    sink = Sink()
    with growth() as memory, counted.explained(), counted.connection.cursor() as cursor:
        cursor.copy_expert(f"copy ({MANY_BYTES}) to stdout", sink)
        rows = "select repeat('x', 40) from generate_series(1, 2500000)"
        cursor.copy_expert(f"copy ({rows}) to stdout", sink)
    assert sink.size > 300 * MEGABYTE + ANSWER_BYTES
    assert memory.bytes < ANSWER_BYTES


@pytest.mark.parametrize(
    "query",
    [
        f"select repeat('x', {ONE_VALUE})",
        "select talk() from generate_series(1, 300)",
    ],
    ids=["one row", "messages"],
)
def test_what_a_copy_brings_besides_rows_that_were_taken_is_limited(counted, query):
    counted.execute(
        f"create function pg_temp.talk() returns int language plpgsql as $$ begin "
        f"set client_min_messages = notice; raise notice '%', repeat('x', {MEGABYTE}); "
        f"return 1; end $$"
    )
    copy = f"copy ({query.replace('talk()', 'pg_temp.talk()')}) to stdout"
    with (
        growth() as memory,
        raises(ANSWER_TOO_LARGE),
        counted.explained(),
        counted.connection.cursor() as cursor,
    ):
        cursor.copy_expert(copy, io.BytesIO())
    assert memory.bytes < ANSWER_BYTES + 2 * LATE


def test_over_a_unix_socket_the_memory_of_the_process_is_the_limit(shop_all):
    """Nothing counts the bytes of such a socket."""
    with (
        Database(shop_all, SHOP_ALL, "tests", secret=False) as database,
        growth() as memory,
        raises(ANSWER_TOO_LARGE),
        database.explained(),
        database.connection.cursor() as cursor,
    ):
        cursor.execute(f"select repeat('x', {MEGABYTE}) from generate_series(1, 2000)")
    assert memory.bytes < GROWTH_BYTES + 2 * LATE


# --- A log-in -------------------------------------------------------------------------------------


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def parameters(number):
    return message(b"S", b"p%d\0" % number + 29_000 * b"x" + b"\0")


def notices(number):
    return message(b"N", b"SNOTICE\0C00000\0M" + 60_000 * b"x" + b"\0\0")


@pytest.mark.parametrize("answers", [parameters, notices])
def test_a_server_that_does_not_end_the_log_in_is_cut(answers):
    """libpq's own time-out does not end it: there is always something to read."""
    sent = []

    def flood(client, number):
        client.recv(10_000)
        client.sendall(message(b"R", struct.pack("!I", 0)))
        for piece in map(answers, itertools.count()):
            client.sendall(piece)
            sent.append(len(piece))

    with listening(flood) as port:
        dsn = f"host=127.0.0.1 port={port} dbname=x sslmode=disable gssencmode=disable"
        with growth() as memory, raises(ANSWER_TOO_LARGE):
            Database(dsn, SHOP_ALL, "tests", secret=False).only_row("select 1")
    assert sum(sent) < ANSWER_BYTES + LATE
    assert memory.bytes < ANSWER_BYTES + 2 * LATE


# --- A bonus server -------------------------------------------------------------------------------


def test_messages_of_a_trigger_that_sets_our_option_back_end_the_run(flow, bonus):
    balances = flow("balances")
    balances.stage(("4100", 5))
    query(bonus, MESSAGES)
    with by_tcp(bonus) as (relay, dsn):
        hostile = Flow("balances", balances.shop_all, dsn)
        with growth() as memory, raises(ANSWER_TOO_LARGE):
            hostile.move()
    assert relay.passed_on < ANSWER_BYTES + LATE
    assert memory.bytes < BOUND
    assert balances.target_rows() == []
    query(bonus, "drop trigger talk on asset")
    balances.move()
    assert len(balances.target_rows()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_viewers_single_look_takes_no_memory(dock, bonus, shop_all):
    """Of a server that has taken one row, and whose position became two million."""
    with by_tcp(bonus) as (relay, dsn):
        server = dock(dsn)
        stage(shop_all, "balances", [("4100", 5)])
        run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)
        query(bonus, VIEW)
        tasks = list(server.tasks.select_related("server"))
        before = relay.passed_on
        with growth() as memory:
            backlogs(tasks, 5)
        assert memory.bytes < BOUND
        assert relay.passed_on - before < MEGABYTE
