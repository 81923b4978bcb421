"""One dead server is one line, from when it stops answering until its transfers have caught up."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.translation import override

from tests import records
from tests.records import a_run
from transfer.alerts import words
from transfer.alerts.watch import watch
from transfer.causes.bonus_servers import API_TOKEN_REFUSED
from transfer.causes.connections import (
    LOGIN_REFUSED,
    PORT_CLOSED,
    QUERY_FAILED,
    TOO_SLOW,
    UNREACHABLE,
)
from transfer.causes.ledger import SHOP_ALL_WENT_BACK
from transfer.causes.tables import NOT_INITIALISED
from transfer.errors import QueryFailed, ShopAllWentBack, TooSlow, TransferError, Unreachable
from transfer.models import Actor, BonusServer, Heartbeat, Recipient, Settings, TransferTask
from transfer.models.alerts import Incident, Notice, Topic
from transfer.models.failing import failure
from transfer.pages.components.basic import commands
from transfer.parties import SHOP_ALL, database_of, server as server_named
from transfer.problems import history
from transfer.problems.find import outages_now, problems
from transfer.problems.groups import Group, grouped
from transfer.problems.kinds import Code
from transfer.runs import backlog
from transfer.runs.backlog import Backlog
from transfer.runs.purge_history import purge_history
from transfer.text import formats

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english", "nothing_asked")]
IVAN = Actor("ivan")
NAME = "БС 12"
WHERE = {"host": "10.0.0.12", "port": "5432", "seconds": "3", "reason": "Connection refused"}
NO_DATABASE = Unreachable(PORT_CLOSED, "Connection refused", party=database_of(NAME), **WHERE)
NO_PORT = Unreachable(PORT_CLOSED, "[Errno 111]", party=server_named(NAME), **WHERE)
NO_SHOP_ALL = Unreachable(PORT_CLOSED, "Connection refused", party=SHOP_ALL, **WHERE)


@pytest.fixture
def now():
    """Some seconds before the middle of a minute: a test's times have the same minute."""
    return timezone.now().replace(second=25, microsecond=0) - timedelta(minutes=10)


def server(name: str) -> BonusServer:
    """Make a server with these three tasks alone: the tests count them."""
    made = records.server(name)
    made.tasks.exclude(kind__in=("pincodes", "balances", "cards")).delete()
    return made


@pytest.fixture
def bs12(now):
    """A server whose three tasks are on; nothing is wrong."""
    made = server(NAME)
    switch_on(made)
    heal(made, now - timedelta(minutes=1))
    return made


def switch_on(made: BonusServer) -> None:
    for task in made.tasks.select_related("server"):
        task.switch(True, IVAN)


def hear(made: BonusServer, at: datetime, error=None, rows: int = 0) -> None:
    """As if the recurring job had asked what waits."""
    asked = {"error": error} if error else {"rows": rows, "oldest": at if rows else None}
    backlog.store({task.pk: Backlog(**asked, asked_at=at) for task in made.tasks.all()})


def kill(made: BonusServer, at: datetime) -> None:
    """As if all checks had found it dead at that moment."""
    made.note_failure(at, NO_PORT)
    made.note_service_port(at, NO_PORT)
    hear(made, at, NO_DATABASE)


def heal(made: BonusServer, at: datetime) -> None:
    made.note_answer(at, 0.02, 0, "1.0")
    made.note_service_port(at, None)
    hear(made, at)


def fail_runs(made: BonusServer, at: datetime, error=NO_DATABASE, times: int = 1) -> None:
    for task in made.tasks.all():
        a_run(made, task.kind, state="failed", queued_at=at, **failure(error))
    made.tasks.update(failures=times)


def succeed(made: BonusServer, at: datetime, rows: int = 0) -> None:
    for task in made.tasks.all():
        a_run(made, task.kind, queued_at=at, expected=rows, applied=rows)
    made.tasks.update(failures=0)


@pytest.fixture
def beating(now, monkeypatch):
    """The list at a moment: stored answers are as fresh as they were then. No worker is there."""

    def at(moment: datetime):
        monkeypatch.setattr("transfer.runs.backlog.timezone.now", lambda: moment)
        Heartbeat.beat("shop: cron", moment)
        return [one for one in problems(moment) if one.code != Code.QUEUE]

    return at


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def clock(moment: datetime) -> str:
    return formats.bound(moment)


def test_a_dead_server_is_one_line_and_its_causes_are_folded(bs12, beating, now):
    kill(bs12, now)
    fail_runs(bs12, now, times=3)
    (problem,) = beating(now + minutes(1))
    assert problem.sentence == (
        f"БС 12 has not answered since {clock(now)}; 3 transfers wait, no row is lost"
    )
    assert [cause.code for cause in problem.causes] == [
        "database", "server", "service_port", "failures", "failures", "failures",
    ]  # fmt: skip
    assert (problem.code, problem.severity, problem.url) == (
        "outage",
        "bad",
        bs12.get_absolute_url(),
    )


def test_what_to_do_is_said_of_the_database_where_a_port_fails_too(bs12, beating, now):
    bs12.note_failure(now, TooSlow(TOO_SLOW, "> 8 s", party=server_named(NAME)))
    hear(bs12, now, NO_DATABASE)
    (problem,) = beating(now)
    database, _port = problem.causes
    assert database.code == "database"
    assert problem.hint == database.hint
    assert "How many rows wait is not known." in problem.hint


def test_a_command_ends_before_the_next_sentence(bs12, beating, now):
    hear(bs12, now, TransferError(NOT_INITIALISED, missing="datatransfer.origin"))
    (problem,) = beating(now)
    shown = commands(problem.hint)
    assert shown.endswith("<code>manage.py init_shop_all</code>. How many rows wait is not known.")


def test_words_of_postgresql_are_in_the_technical_text_only(bs12, beating, now):
    hear(bs12, now, Unreachable(UNREACHABLE, "the database system is starting up",
                                party=database_of(NAME),
                                reason="the database system is starting up"))  # fmt: skip
    (problem,) = beating(now)
    (cause,) = problem.causes
    assert cause.technical == "the database system is starting up"
    said = problem.sentence + problem.detail + cause.sentence + cause.hint
    assert "starting up" not in said


@pytest.mark.parametrize(
    ("admin", "service", "database", "sentence"),
    [
        (NO_PORT, None, None, "БС 12: port 7770 has not answered since {at}"),
        (None, NO_PORT, None, "БС 12: port 7771 has not answered since {at}"),
        (NO_PORT, NO_PORT, None, "БС 12: ports 7770, 7771 have not answered since {at}"),
        (None, None, NO_DATABASE, "The database of БС 12 has not answered since {at}; {waits}"),
        (None, NO_PORT, NO_DATABASE, "БС 12 has not answered since {at}; {waits}"),
        (
            TransferError(API_TOKEN_REFUSED, party=server_named(NAME), server=NAME),
            None,
            None,
            "БС 12 refuses the API token",
        ),
        (
            None,
            None,
            Unreachable(LOGIN_REFUSED, party=database_of(NAME), user="dt"),
            "The database of БС 12 refuses the log-in of the user dt; {waits}",
        ),
        (
            None,
            None,
            TooSlow(TOO_SLOW, party=database_of(NAME)),
            "The database of БС 12 did not answer in time; {waits}",
        ),
    ],
)
def test_the_line_names_what_does_not_answer(
    bs12, beating, now, admin, service, database, sentence
):
    if admin:
        bs12.note_failure(now, admin)
    if service:
        bs12.note_service_port(now, service)
    if database:
        hear(bs12, now, database)
    (problem,) = beating(now)
    waits = "3 transfers wait, no row is lost"
    assert problem.sentence == sentence.format(at=clock(now), waits=waits)
    assert ("Transfers are not affected." in problem.detail) == (database is None)


def test_transfers_that_are_off_or_paused_do_not_wait(bs12, beating, now):
    first, second, _third = bs12.tasks.select_related("server")
    first.switch(False, IVAN)
    second.pause(now + minutes(60), IVAN, reason="inventory")
    kill(bs12, now)
    outage = next(one for one in beating(now) if one.code == Code.OUTAGE)
    assert "; 1 transfer waits, no row is lost" in outage.sentence


def test_several_tasks_that_fail_while_all_answers_are_one_line(bs12, beating, now):
    fail_runs(
        bs12,
        now,
        QueryFailed(QUERY_FAILED, "42501 InsufficientPrivilege", party=database_of(NAME)),
        3,
    )
    (problem,) = beating(now + minutes(1))
    assert problem.sentence == "БС 12: 3 transfers fail"
    assert "refused a statement" in problem.causes[0].hint
    assert problem.causes[0].technical == "42501 InsufficientPrivilege"


def test_one_task_that_fails_keeps_its_own_words_and_page(bs12, beating, now):
    run = a_run(bs12, state="failed", queued_at=now, **failure(NO_DATABASE))
    bs12.tasks.filter(kind="balances").update(failures=3)
    (problem,) = beating(now + minutes(1))
    assert problem.sentence == "Balance changes → БС 12: the last 3 runs failed"
    assert "does not answer" in problem.detail
    assert "Next attempt:" in problem.detail
    assert problem.url == run.get_absolute_url()


def test_rows_that_wait_because_a_task_fails_are_not_said_twice(bs12, beating, now):
    old = now - minutes(60)
    backlog.store({task.pk: Backlog(5, old, asked_at=now) for task in bs12.tasks.all()})
    assert {one.code for one in beating(now)} == {"late"}
    watch(now)
    fail_runs(bs12, now, QueryFailed(QUERY_FAILED, party=database_of(NAME)))
    assert {one.code for one in beating(now + minutes(1))} == {"outage"}
    watch(now + minutes(1))
    assert Incident.objects.open().filter(code="late").count() == 3, "they still wait"


def test_shop_all_is_one_line_however_many_servers_there_are(bs12, beating, now):
    nine = server("БС 9")
    switch_on(nine)
    for one in (bs12, nine):
        hear(one, now, NO_SHOP_ALL)
        fail_runs(one, now, NO_SHOP_ALL, times=3)
    (problem,) = beating(now + minutes(1))
    assert problem.key == "database:shop_all"
    assert problem.sentence == (
        f"Shop All has not answered since {clock(now)}; 6 transfers wait, no row is lost"
    )


def test_while_shop_all_is_down_nobody_says_that_a_dead_server_answers_again(bs12, beating, now):
    hear(bs12, now, NO_DATABASE)
    fail_runs(bs12, now)
    beating(now)
    watch(now)
    hear(bs12, now + minutes(1), NO_SHOP_ALL)
    listed = {one.key: one for one in beating(now + minutes(1))}
    assert not listed[f"server:{bs12.pk}"].params["answered"]
    assert "database" in listed[f"server:{bs12.pk}"].params["doors"]


class TestItsStory:
    """02:00 it dies, 03:00 it answers, 03:04 all that waited has been moved."""

    @pytest.fixture(autouse=True)
    def recipient(self):
        return Recipient.objects.create(
            name="Olga", channel="mail", address="olga@shop", language="en", topics=[Topic.FAILURES]
        )

    @pytest.fixture
    def night(self, bs12, beating, now):
        """The server dies, and answers again 60 minutes later."""
        kill(bs12, now)
        beating(now + minutes(1))
        watch(now + minutes(1))
        fail_runs(bs12, now + minutes(5), times=3)
        beating(now + minutes(6))
        watch(now + minutes(6))
        heal(bs12, now + minutes(60))
        return bs12

    @pytest.fixture
    def caught_up(self, night, beating, now):
        beating(now + minutes(60))
        watch(now + minutes(60))
        succeed(night, now + minutes(64), rows=400)
        heal(night, now + minutes(64))
        beating(now + minutes(65))
        watch(now + minutes(65))
        return Incident.objects.get(code="outage")

    def test_it_answers_again_and_catches_up(self, night, beating, now):
        (problem,) = beating(now + minutes(60))
        assert problem.sentence == (
            f"БС 12 answers again since {clock(now + minutes(60))}; 3 transfers catch up"
        )
        assert problem.severity == "warn"

    def test_the_incident_keeps_from_to_how_many_rows_and_when_they_were_moved(
        self, caught_up, now
    ):
        assert (caught_up.began_at, caught_up.until) == (now, now + minutes(60))
        assert caught_up.lasted == minutes(60)
        assert caught_up.waited == 1200
        assert caught_up.caught_up_at == now + minutes(64) + timedelta(seconds=2)
        assert history.what(caught_up) == "БС 12 did not answer"

    def test_there_is_one_message_for_it_and_one_for_its_end(self, caught_up, now):
        began, ended = Notice.objects.order_by("pk").select_related("incident", "recipient")
        assert words.subject(began).startswith("БС 12 has not answered since")
        assert words.subject(ended) == "Resolved: БС 12 did not answer"
        assert words.body(ended).startswith("It lasted 1\xa0h\xa000\xa0min, from")
        assert "1\u202f200 rows waited; all were moved by" in words.body(ended)

    def test_the_night_has_it_once_it_is_over_and_for_a_day(self, caught_up, now):
        (line,) = history.night(now + minutes(66))
        assert (line.sentence, line.waited) == ("БС 12 did not answer", 1200)
        assert history.night(now + minutes(65) + history.NIGHT) == []

    def test_it_is_kept_as_long_as_the_history(self, caught_up, now):
        days = timedelta(Settings.load().history_days)
        purge_history(now + days + minutes(60))
        assert Incident.objects.filter(code="outage").exists()
        purge_history(now + days + minutes(70))
        assert not Incident.objects.filter(code="outage").exists()

    def test_a_run_that_fails_after_it_answers_is_no_catching_up(self, night, beating, now):
        beating(now + minutes(60))
        watch(now + minutes(60))
        fail_runs(
            night, now + minutes(61), QueryFailed(QUERY_FAILED, party=database_of(NAME)), times=4
        )
        (problem,) = beating(now + minutes(62))
        assert (problem.sentence, problem.severity) == ("БС 12: 3 transfers fail", "bad")

    def test_a_port_that_answers_again_is_said_until_the_next_look(self, bs12, beating, now):
        bs12.note_failure(now, NO_PORT)
        beating(now + minutes(1))
        watch(now + minutes(1))
        heal(bs12, now + minutes(2))
        (problem,) = beating(now + minutes(2))
        assert problem.sentence == f"БС 12 answers again since {clock(now + minutes(2))}"
        assert (problem.hint, problem.folded) == ("", ())
        watch(now + minutes(2))
        assert beating(now + minutes(2)) == []

    def test_a_paused_task_does_not_keep_it_open(self, night, beating, now):
        for task in night.tasks.select_related("server"):
            task.pause(now + minutes(600), IVAN, reason="inventory")
        (problem,) = beating(now + minutes(60))
        assert problem.sentence == f"БС 12 answers again since {clock(now + minutes(60))}"
        watch(now + minutes(60))
        for later in (60, 61):
            assert beating(now + minutes(later)) == [], "a pause is no problem"

    def test_without_runs_meanwhile_it_ends_with_the_answer(self, bs12, beating, now):
        kill(bs12, now)
        beating(now + minutes(1))
        watch(now + minutes(1))
        heal(bs12, now + minutes(3))
        (problem,) = beating(now + minutes(3))
        assert problem.sentence == f"БС 12 answers again since {clock(now + minutes(3))}"
        assert problem.hint == "The next runs move the rows that waited."
        watch(now + minutes(3))
        assert beating(now + minutes(3)) == []
        incident = Incident.objects.get(code="outage")
        assert (incident.until, incident.waited, incident.caught_up_at) == (
            now + minutes(3),
            None,
            None,
        )


class TestMessages:
    @pytest.fixture(autouse=True)
    def recipient(self):
        return Recipient.objects.create(
            name="Olga", channel="mail", address="olga@shop", language="en",
            topics=[Topic.FAILURES], reminders="none",
        )  # fmt: skip

    def test_of_a_server_that_dies_wait_until_all_doors_were_tried(self, bs12, beating, now):
        bs12.note_failure(now, NO_PORT)
        beating(now + timedelta(seconds=5))
        watch(now + timedelta(seconds=5))
        assert not Notice.objects.exists()
        kill(bs12, now + minutes(1))
        beating(now + minutes(1))
        watch(now + minutes(1))
        notice = Notice.objects.select_related("incident").get()
        assert words.subject(notice).startswith("БС 12 has not answered since")

    def test_of_a_check_that_does_not_run_are_not_waited_for(self, bs12, beating, now):
        bs12.note_failure(now, NO_PORT)
        beating(now + minutes(3.5))
        watch(now + minutes(3.5))
        assert words.subject(Notice.objects.get()).startswith("БС 12: port 7770")

    def test_tell_when_the_database_follows_a_port_that_failed_long_ago(self, bs12, beating, now):
        bs12.note_failure(now - minutes(600), NO_PORT)
        beating(now)
        watch(now)
        kill(bs12, now + minutes(5))
        beating(now + minutes(6))
        watch(now + minutes(6))
        watch(now + minutes(7))
        _port, worse = Notice.objects.order_by("pk").select_related("incident", "recipient")
        assert worse.event == "worse"
        assert words.subject(worse) == (
            f"БС 12 has not answered since {clock(now + minutes(5))}; "
            "3 transfers wait, no row is lost"
        )


class TestThirtyServers:
    @pytest.fixture
    def thirty(self, now):
        made = [server(f"БС {number}") for number in range(1, 31)]
        TransferTask.objects.update(enabled=True)
        for one in made:
            heal(one, now - minutes(1))
        return made

    def test_that_are_dead_are_one_line_with_folded_names(self, thirty, beating, now):
        for one in thirty[:28]:
            kill(one, now)
        (group,) = grouped(beating(now + minutes(1)))
        assert isinstance(group, Group)
        assert group.sentence == (
            f"28 bonus servers have not answered since {clock(now)}; "
            "84 transfers wait, no row is lost"
        )
        assert len(group.members) == 28
        with override("ru"):
            (group,) = grouped(beating(now + minutes(1)))
            assert group.sentence == (
                f"Не отвечают 28 бонусных серверов с {clock(now)}; "
                "84 трансфера ждут, строки не пропадут"
            )

    def test_that_died_one_after_another_say_since_when_the_first(self, thirty, beating, now):
        for number, one in enumerate(thirty[:6]):
            one.note_failure(now - minutes(10 * number), NO_PORT)
        (group,) = grouped(beating(now + minutes(1)))
        first = clock(now - minutes(50))
        assert group.sentence == (
            f"The ports of 6 bonus servers have not answered, the first since {first}"
        )

    def test_of_which_three_are_dead_are_three_lines(self, thirty, beating, now):
        for one in thirty[:3]:
            kill(one, now)
        assert len(grouped(beating(now + minutes(1)))) == 3

    def test_with_different_troubles_are_different_lines(self, thirty, beating, now):
        for one in thirty[:10]:
            hear(one, now, NO_DATABASE)
        for one in thirty[10:15]:
            one.note_failure(now, NO_PORT)
        lines = [one.sentence for one in grouped(beating(now + minutes(1)))]
        assert lines == [
            f"The databases of 10 bonus servers have not answered since {clock(now)}; "
            "30 transfers wait, no row is lost",
            f"The ports of 5 bonus servers have not answered since {clock(now)}",
        ]

    @pytest.fixture
    def refusing(self, thirty, now):
        """Shop All is restored: no transfer of balance changes goes on."""
        error = ShopAllWentBack(SHOP_ALL_WENT_BACK)
        for one in thirty:
            a_run(one, queued_at=now, state="failed", **failure(error))
        TransferTask.objects.filter(kind="balances").update(failures=1)
        return thirty

    def test_that_wait_for_one_answer_about_shop_all_are_one_line_with_what_to_do(
        self, refusing, beating, now
    ):
        (asked,) = grouped(beating(now))
        assert asked.sentence.startswith("The database of shop All has gone back in time")
        assert "confirm_shop_all" in asked.detail
        with override("ru"):
            (asked,) = grouped(beating(now))
            assert asked.sentence.startswith("База магазина All")

    def test_that_wait_for_one_answer_are_one_message_and_one_for_the_end(
        self, refusing, beating, now
    ):
        Recipient.objects.create(
            name="Olga", channel="mail", address="olga@shop", language="en", topics=[Topic.REFUSAL]
        )
        watch(now + minutes(1))
        TransferTask.objects.update(failures=0)
        for one in refusing:
            a_run(one, queued_at=now + minutes(60))
        watch(now + minutes(60))
        began, ended = Notice.objects.filter(told_by=None).select_related("incident").order_by("pk")
        assert words.subject(began).startswith("The database of shop All has gone back in time")
        assert words.body(began).count("confirm_shop_all") == 1
        assert words.subject(ended).startswith("Resolved: The database of shop All")

    def test_are_one_message_one_for_their_end_and_one_line_of_the_night(
        self, thirty, beating, now
    ):
        Recipient.objects.create(
            name="Olga", channel="mail", address="olga@shop", language="en", topics=[Topic.FAILURES]
        )
        for one in thirty[:28]:
            kill(one, now)
        beating(now + minutes(1))
        watch(now + minutes(1))
        for one in thirty:
            heal(one, now + minutes(60))
        beating(now + minutes(60))
        watch(now + minutes(60))
        began, ended = Notice.objects.filter(told_by=None).select_related("incident").order_by("pk")
        assert words.subject(began).startswith("28 bonus servers have not answered since")
        assert words.subject(ended) == "Resolved: 28 bonus servers did not answer"
        assert words.body(began).count("БС ") >= 28
        assert Notice.objects.pending().count() == 2
        assert Notice.objects.count() == 56
        (line,) = history.night(now + minutes(61))
        assert line.sentence == "28 bonus servers did not answer"
        assert len(line.members) == 28

    def test_whose_outages_were_hours_apart_are_not_one_line_of_the_night(self, thirty, now):
        for number, one in enumerate(thirty[:8]):
            began = now - minutes(300 * (number % 2 + 1))
            Incident.objects.create(
                topic=Topic.FAILURES, code="outage", key=f"server:{one.pk}", server=one, url="/",
                began_at=began, ended_at=began + minutes(60),
                params={"server": one.name, "ever": ["database"], "answered": None},
            )  # fmt: skip
        lines = history.night(now)
        assert [len(line.incidents) for line in lines] == [4, 4]
        assert [line.lasted for line in lines] == [minutes(60)] * 2

    def test_cost_as_many_queries_as_one(self, thirty, beating, now):
        kill(thirty[0], now)
        beating(now + minutes(1))
        with CaptureQueriesContext(connection) as few:
            beating(now + minutes(1))
        for one in thirty:
            kill(one, now)
        with CaptureQueriesContext(connection) as many:
            beating(now + minutes(1))
        assert len(many) == len(few)


def test_pages_look_for_outages_only_if_one_is_noted(bs12, django_assert_num_queries):
    records.a_problem(bs12)
    with django_assert_num_queries(2):
        assert outages_now() == []
    run = a_run(bs12, state="running", finished_at=None)
    run.fail(NO_DATABASE)
    (outage,) = outages_now()
    assert outage.server_id == bs12.pk


def test_in_russian_a_dead_server_reads_as_people_say_it(bs12, beating, now):
    kill(bs12, now)
    with override("ru"):
        (problem,) = beating(now + minutes(1))
        assert problem.sentence == (
            f"БС 12 не отвечает с {clock(now)}; 3 трансфера ждут, строки не пропадут"
        )
