"""A database that lets us log in and then never answers: nothing hangs, and the others go on.

A proxy before the real PostgreSQL goes silent at one point. The limits are short here; a product
with its own limits waits longer, but for the same reasons and no longer.
"""

import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.urls import reverse
from psycopg2.extensions import parse_dsn

from tests.causes import raises
from tests.chaos.checks import assert_all_moved_once, assert_nothing_moved, stage_many
from tests.conftest import NOON
from tests.databases import query, stage
from tests.flow import Flow
from tests.proxy import STARTUP, Proxy
from tests.waiting import wait_until
from transfer.causes.connections import ANSWER_OVERDUE, HOST_SILENT
from transfer.causes.ledger import COMMIT_UNCONFIRMED
from transfer.engine.kinds import BALANCES
from transfer.engine.move import stream
from transfer.engine.move.stream import Sending
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.deadline import Limits
from transfer.engine.postgres.pool import pooled
from transfer.engine.shop_all.rows import Reading
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ConnectionLost, TransferError
from transfer.models import MaintenanceTask, TransferRun
from transfer.models.run_base import Trigger
from transfer.models.runs import State
from transfer.parties import SHOP_ALL
from transfer.queue.worker import drain
from transfer.runs.backlog import backlogs
from transfer.runs.execute import run_here
from transfer.runs.reconcile import reconcile_within
from transfer.tick import tick
from transfer.trace.subject import trace

pytestmark = pytest.mark.long

SHORT = Limits(connect=2, statement=1, end=0.5, grace=0.5)
LOG_IN = (STARTUP, b"p")  # what a client sends before its first statement: startup, password
BOUND = 6  # seconds that nothing here takes, and everything that hangs does


@pytest.fixture(autouse=True)
def short_limits(monkeypatch):
    monkeypatch.setattr(Database, "limits", SHORT)


@contextmanager
def within(seconds):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


class Silence:
    """Lets pass what comes before the first message for which `begins` is true, of either side.

    `wakes` ends it. A proxy that `holds` does not even read what is sent to it.
    """

    def __init__(self, begins, *, holds=False):
        self.begins = begins
        self.holds = holds
        self.has_begun = False
        self.wakes = threading.Event()

    def __call__(self, message):
        self.has_begun = self.has_begun or self.begins(message)
        if not self.has_begun or self.wakes.is_set():
            return True
        if self.holds:
            self.wakes.wait()
        return False


@contextmanager
def silent_proxy(dsn, begins, *, holds=False):
    silence = Silence(begins, holds=holds)
    with Proxy(dsn, silence) as proxy:
        try:
            yield proxy.dsn
        finally:
            silence.wakes.set()


def after_log_in(message):
    return not message.from_server and message.type not in LOG_IN


def after(count, is_counted):
    seen = Counter()

    def begins(message):
        seen[is_counted(message)] += 1
        return seen[True] >= count

    return begins


def is_sent_row(message):
    return message.from_server and message.type == b"d"


def is_received_piece(message):
    return not message.from_server and message.type == b"d"


@pytest.fixture
def balances(flow):
    balances = flow("balances")
    balances.move()
    return balances


# --- A transfer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("holds", [False, True], ids=["drops", "does not read"])
@pytest.mark.parametrize(
    ("where", "begins"),
    [
        ("shop_all", lambda: after_log_in),
        ("bonus", lambda: after_log_in),
        ("shop_all", lambda: after(500, is_sent_row)),
        ("bonus", lambda: after(3, is_received_piece)),
    ],
    ids=["shop All", "bonus server", "shop All in mid-COPY", "bonus server in mid-COPY"],
)
def test_a_transfer_fails_within_its_limits_and_the_next_moves_every_row(
    balances, where, begins, holds
):
    stage_many(balances, 20_000)
    threads = threading.active_count()
    with silent_proxy(getattr(balances, where), begins(), holds=holds) as dsn:
        dsns = {"shop_all": balances.shop_all, "bonus": balances.bonus, where: dsn}
        with within(BOUND), pytest.raises(ConnectionLost):
            Flow("balances", **dsns).move_alone()
    wait_until(lambda: threading.active_count() <= threads + 1)  # the watchdog
    assert_nothing_moved(balances)
    assert_all_moved_once(balances, 20_000)


def test_a_chunk_that_is_read_ahead_has_a_deadline_though_its_session_may_wait(balances):
    stage_many(balances, 20_000)
    with silent_proxy(balances.shop_all, after(12_000, is_sent_row), holds=True) as dsn:
        flow = Flow("balances", dsn, balances.bonus)
        with within(2 * BOUND), pytest.raises(ConnectionLost):
            flow.move(chunk_rows=10_000)
    assert_all_moved_once(balances, 20_000)


@pytest.mark.parametrize(
    "begins",
    [lambda message: message.is_commit, lambda message: message.is_commit_done],
    ids=["before it", "after it"],
)
def test_a_commit_without_an_answer_is_unconfirmed_within_its_limit(balances, begins):
    stage_many(balances, 10)
    copies = []

    def in_the_chunk(message):
        copies.append(message.is_copy_in)
        return any(copies) and begins(message)

    with silent_proxy(balances.bonus, in_the_chunk) as dsn:
        flow = Flow("balances", balances.shop_all, dsn)
        with within(BOUND), raises(COMMIT_UNCONFIRMED):
            flow.move_alone()
    assert_all_moved_once(balances, 10)


# --- A connection ---------------------------------------------------------------------------------


def test_a_server_that_hangs_within_the_log_in_is_unreachable(shop_all):
    with (
        silent_proxy(shop_all, lambda message: message.from_server) as dsn,
        within(BOUND),
        raises(HOST_SILENT),
    ):
        Database(dsn, SHOP_ALL, "tests", secret=False).only_row("select 1")


def test_so_is_one_that_hangs_when_psycopg2_sets_the_form_of_dates(shop_all):
    """psycopg2 sends a statement of its own before `connect` returns, where dates have another."""
    name = parse_dsn(shop_all)["dbname"]
    query(shop_all, f"alter database {name} set datestyle = German")
    with (
        silent_proxy(shop_all, after_log_in) as dsn,
        within(BOUND),
        raises(HOST_SILENT),
    ):
        Database(dsn, SHOP_ALL, "tests", secret=False).only_row("select 1")


def test_kept_connections_that_go_silent_cost_no_more_than_the_time_of_one_question(shop_all):
    has_begun = []

    def kept():
        return pooled(ShopAll(dsn, "tests", seconds=1, secret=False))

    with silent_proxy(shop_all, lambda message: bool(has_begun)) as dsn:
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(kept()).database.only_row("select 1")
        has_begun.append(True)
        with within(BOUND), pytest.raises(TransferError), kept() as source:
            source.database.only_row("select 1")


def test_closing_does_not_wait_for_a_server_that_does_not_read(shop_all):
    with silent_proxy(shop_all, after(2, is_received_piece), holds=True) as dsn:
        database = Database(dsn, SHOP_ALL, "tests", secret=False)
        database.execute("create temporary table filled (line text)")
        rows = ThreadPoolExecutor(1).submit(fill, database)
        with within(BOUND), raises(ANSWER_OVERDUE):
            rows.result()
        with within(1):
            database.close()


def fill(database):
    class Endless:
        def read(self, size):
            return "x" * (size - 1) + "\n"

    with database.explained(), database.connection.cursor() as cursor:
        cursor.copy_expert("copy filled from stdin", Endless())


def test_what_may_take_any_time_is_not_cut(shop_all):
    with Database(shop_all, SHOP_ALL, "tests", secret=False) as database:
        with database.transaction():
            database.limit_statements(None)
            database.only_row("select pg_sleep(2)")
        with pytest.raises(TransferError), database.transaction():
            database.only_row("select pg_sleep(2)")


def test_the_time_in_which_a_source_waits_until_its_rows_are_taken_is_not_counted(
    balances, monkeypatch
):
    monkeypatch.setattr(stream, "MOST_HELD", stream.BLOCK)
    stage_many(balances, 20_000)
    with ShopAll(balances.shop_all, "tests", secret=False) as source, source.snapshot():
        source.database.limit_statements(60)
        source.database.connection.statement_seconds = 0.1  # our own limit; the server's is longer
        (line,) = source.log_writer.not_appended(BALANCES)
        sending = Sending(source, source.rows.query(BALANCES, Reading((line,)), 20_000))
        began = time.monotonic()
        sending.begin()
        wait_until(lambda: time.monotonic() - began > 1.5)
        assert sending.is_alive()
        rows = b"".join(iter(sending.held.read, b""))
        assert len(rows) > 20_000 * 200
        assert sending.result() == 20_000


def test_a_forked_process_has_a_watchdog_of_its_own(shop_all):
    with Database(shop_all, SHOP_ALL, "tests", secret=False) as database:
        database.only_row("select 1")
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:  # as a web server forks its workers
        try:
            with silent_proxy(shop_all, after_log_in) as dsn:
                Database(dsn, SHOP_ALL, "tests", secret=False).only_row("select 1")
        except ConnectionLost as error:
            os.write(writer, error.code.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert said.read() == ANSWER_OVERDUE.code


# --- The pages, and the tick ----------------------------------------------------------------------


@pytest.fixture
def eight(dock, bonus, shop_all, nothing_asked):
    """A server behind a proxy that goes silent when `eight.silence()` is called."""
    MaintenanceTask.objects.update(enabled=False, next_run_at=None)
    has_begun = []
    with Proxy(bonus, lambda message: not (has_begun and after_log_in(message))) as proxy:
        server = dock(proxy.dsn)
        stage(shop_all, "balances", [("4100", 5)])
        run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)
        server.silence = lambda: has_begun.append(True)
        yield server


LOOKS = {
    "overview": lambda tasks: backlogs(tasks, 0.2),
    "trace": lambda tasks: trace("4100", "account", seconds=0.2),
    "reconciliation": lambda tasks: reconcile_within(0.2, tasks),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("look", LOOKS)
def test_twelve_looks_leave_no_thread_and_no_connection_behind(eight, bonus, look):
    tasks = list(eight.tasks.select_related("server"))
    LOOKS[look](tasks)
    threads, connections = threading.active_count(), count_connections(bonus)
    eight.silence()
    with within(12):
        for _ in range(12):
            with suppress(TransferError):  # the trace is for nothing where the time is over
                LOOKS[look](tasks)
    wait_until(lambda: threading.active_count() <= threads, seconds=20)
    wait_until(lambda: count_connections(bonus) <= connections, seconds=20)


def count_connections(dsn):
    ((count,),) = query(
        dsn,
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and application_name like 'dtadmin%%'",
    )
    return count


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", ["overview", "trace", "server_reconciliation"])
def test_a_page_says_within_its_time_that_the_server_does_not_answer(client, eight, page):
    anna = User.objects.create_user("anna")
    anna.groups.add(Group.objects.get(name="viewer"))
    client.force_login(anna)
    client.cookies["django_language"] = "en"
    eight.silence()
    url = reverse(page, args=[eight.pk] if page == "server_reconciliation" else [])
    with within(BOUND):
        answer = client.get(url, {"q": "4100", "in": "account", "now": "1"})
    assert answer.status_code == 200
    assert eight.name in answer.text


@pytest.mark.django_db(transaction=True)
def test_a_tick_queues_and_runs_the_others_tasks(eight, dock, second_bonus, shop_all, ivan):
    nine = dock(second_bonus, "Бонусный сервер 9")
    for server in (eight, nine):
        server.tasks.select_related("server").get(kind="balances").switch(True, ivan, now=NOON)
    eight.silence()
    stage(shop_all, "balances", [("4100", 7)])
    with within(BOUND + 6):
        assert tick("test", NOON + timedelta(minutes=5)).opened == 2
        drain(lambda: False)
    assert query(second_bonus, "select amount from asset order by 1") == [(5,), (7,)]
    failed = TransferRun.objects.filter(task__server=eight).latest("pk")
    assert (failed.state, failed.error_code) == (State.FAILED, "answer_overdue")


@pytest.mark.django_db(transaction=True)
def test_the_command_ends_within_its_limits_and_says_why(eight, capsys):
    eight.silence()
    with within(BOUND), pytest.raises(SystemExit):
        call_command("transfer", "balances")
    assert "больше не отвечает" in capsys.readouterr().err
