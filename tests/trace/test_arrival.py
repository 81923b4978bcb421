"""How much of a file each server has: told by positions and rejects, exactly."""

from contextlib import contextmanager

from tests.databases import connected, insert, query, stage
from tests.trace.moving import move, task_of
from transfer.engine.begin import Answer, begin as begin_position
from transfer.loading import undo_load, upload_job
from transfer.models import RejectedRow
from transfer.pages.rejects.filters import RejectFilter
from transfer.runs import execute
from transfer.runs.needed import this_installation
from transfer.runs.purge import purge
from transfer.runs.restored import confirm
from transfer.trace.arrival import arrivals

LINES = b"account;amount\n" + b"".join(b"41%08d;5\n" % number for number in range(40))
CARDS = b"card;account;status\n7780000000011;4100000011;1\n7780000000021;;2\n"


def arrivals_of(upload, seconds=20):
    """Moved, of how many, rejected: of each server."""
    return [(one.moved, one.rows, one.rejected) for one in arrivals(upload, seconds)]


def test_nothing_has_arrived_before_a_run_and_all_of_it_after(server, load):
    upload = load("balances", LINES)
    assert arrivals_of(upload) == [(0, 40, 0)]
    run = move(server)
    assert arrivals_of(upload) == [(40, 40, 0)]
    assert arrivals(upload, 20)[0].run == run


def test_each_server_is_told_of_by_itself(server, dock, second_bonus, load):
    second = dock(second_bonus, "Бонусный сервер 9")
    upload = load("balances", LINES)
    move(second)
    assert arrivals_of(upload) == [(0, 40, 0), (40, 40, 0)]


def test_rows_of_others_are_not_the_files_even_between_its_numbers(server, shop_all, load):
    stage(shop_all, "balances", [("4100000001", 0)])
    with connected(shop_all) as late:
        late.autocommit = False
        insert(late, "balances", [("4100000002", 0)])
        upload = load("balances", LINES)
        insert(late, "balances", [("4100000003", 0)])
        move(server)
        assert arrivals_of(upload) == [(40, 40, 0)]
        late.commit()
    move(server)
    assert RejectedRow.objects.count() == 3
    assert arrivals_of(upload) == [(40, 40, 0)]


def test_of_a_run_that_is_cut_short_the_part_that_landed_is_told(server, flow, load):
    before, upload, transfer = load("balances", LINES), load("balances", LINES), flow("balances")
    shares = []
    for _ in range(4):
        transfer.move_one(25)
        shares.append((arrivals_of(before)[0][0], arrivals_of(upload)[0][0]))
    assert shares == [(25, 0), (40, 0), (40, 25), (40, 40)]


def test_what_was_rejected_is_counted_and_found_by_the_file(server, shop_all, load):
    stage(shop_all, "cards", [("7780000000022", None, 2)])
    upload = load("cards", CARDS)
    move(server, "cards")
    assert arrivals_of(upload) == [(2, 2, 1)]
    rejects_of_file = RejectFilter({"load": str(upload.pk)}, RejectedRow.objects.all()).qs
    assert [reject.payload["card"] for reject in rejects_of_file] == ["7780000000021"]


def test_a_server_that_does_not_answer_is_not_known_and_the_others_are(
    server, dock, second_bonus, load
):
    dead = dock(second_bonus, "Бонусный сервер 9")
    dead.db_host, dead.db_port = "localhost", 1
    dead.save()
    upload = load("balances", LINES)
    move(server)
    first, second = arrivals(upload, 20)
    assert (first.moved, first.error) == (40, None)
    assert second.error is not None
    assert not second.is_complete


def test_after_a_purge_all_of_it_is_still_moved_and_a_server_docked_later_does_without(
    server, dock, second_bonus, shop_all, load
):
    upload = load("balances", LINES)
    move(server)
    assert purge(task_of(server).kind_spec, [task_of(server)], 0, dry_run=False).rows == 40
    assert arrivals_of(upload) == [(40, 40, 0)]
    later = dock(second_bonus, "Бонусный сервер 9")
    assert [one.state for one in arrivals(upload, 20)] == ["arrived", "skipped"]
    move(later)
    assert arrivals_of(upload) == [(40, 40, 0), (0, 40, 0)]
    assert [one.state for one in arrivals(upload, 20)] == ["arrived", "skipped"]


def test_a_server_that_began_with_everything_is_counted_and_says_who_said_so(
    server, dock, second_bonus, shop_all, load
):
    upload = load("balances", LINES)
    later = dock(second_bonus, "Бонусный сервер 9", decided=False)
    begin(later, Answer.EVERYTHING, "olga")
    after = load("balances", LINES)
    first, second = arrivals(upload, 20)
    assert (first.state, second.state) == ("coming", "counted")
    assert (second.moved, second.said_by, second.run) == (40, "olga", None)
    assert second.said_at is not None
    run = move(later)
    assert arrivals(upload, 20)[1].said_by == "olga"
    assert (arrivals(after, 20)[1].state, arrivals(after, 20)[1].run) == ("arrived", run)


def test_where_the_database_is_another_since_nothing_is_claimed(server, shop_all, load):
    upload = load("balances", LINES)
    move(server)
    query(shop_all, "update datatransfer.origin set origin = gen_random_uuid()")
    (only,) = arrivals(upload, 20)
    assert (only.state, only.moved) == ("coming", 0)


def test_after_a_restore_of_shop_all_it_is_told_by_the_log_of_today(
    server, dock, second_bonus, shop_all, load, copies, olga
):
    """Also before the next run, while the server's position still is in the log of before."""
    second = dock(second_bonus, "Бонусный сервер 9")
    first_load = load("balances", LINES)
    move(server)
    copies.make(shop_all, "early")
    lost = load("balances", LINES)
    move(server)
    copies.restore(shop_all, "early")
    assert arrivals_of(first_load) == [(40, 40, 0), (0, 40, 0)]
    assert arrivals_of(lost) == [(40, 40, 0), (0, 40, 0)]
    another = load("balances", LINES.replace(b";5", b";6"))
    assert arrivals_of(another) == [(0, 40, 0), (0, 40, 0)]
    again = load("balances", LINES)
    assert again.changeset == lost.changeset
    confirm(olga)
    runs = [move(server), move(second)]
    assert {one.state for one in runs} == {"succeeded"}
    assert [(one.moved, one.run) for one in arrivals(another, 20)] == [(40, run) for run in runs]
    assert arrivals_of(first_load) == [(40, 40, 0), (40, 40, 0)]
    assert balances(server) == balances(second) == [(120, 640)]


def test_a_load_that_was_taken_back_before_it_was_read_is_not_on_its_way(server, load, olga):
    first, second = load("balances", LINES), load("balances", LINES)
    move(server)
    third = load("balances", LINES)
    for upload in (second, third):
        upload_job.go_on(undo_load.order(upload, olga))
    assert arrivals_of(first) == [(40, 40, 0)]
    assert arrivals_of(second) == [(40, 40, 0)]
    assert arrivals_of(third) == [(0, 40, 0)]
    assert [arrivals(one, 20)[0].state for one in (first, second, third)] == [
        "arrived",
        "arrived",
        "withdrawn",
    ]


def test_a_load_whose_line_has_gone_from_the_log_has_arrived(server, shop_all, load):
    upload = load("balances", LINES)
    stage(shop_all, "balances", [("42", 1)])
    move(server)
    query(shop_all, "delete from \"changeAccountBalanceTemp\" where account <> '42'")
    query(
        shop_all,
        "delete from datatransfer.log where number = 1; update datatransfer.head set removed = 1",
    )
    assert arrivals_of(upload) == [(40, 40, 0)]


def begin(server, answer, by):
    for task in server.tasks.all():
        with shop_all_and_server(server) as (source, target):
            kind, installation = task.kind_spec, this_installation()
            begin_position(kind, source, target, answer, by, str(server.uid), installation, None)
            target.database.commit()


@contextmanager
def shop_all_and_server(server):
    with execute.open_databases(task_of(server), "tests") as opened:
        yield opened


def balances(server):
    return query(server.dsn, "select count(*), sum(amount)::int from asset")
