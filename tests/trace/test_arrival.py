"""How much of a file each server has: told by positions and rejects, exactly."""

from django.core.management import call_command

from tests.databases import connected, insert, query, stage
from tests.flow import purge
from tests.trace.moving import move
from transfer.loading import undo, upload_job
from transfer.models import RejectedRow
from transfer.pages.rejects.filters import RejectFilter
from transfer.runs import execute
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
    assert shares == [(25, 0), (40, 10), (40, 35), (40, 40)]


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


def test_after_a_purge_all_of_it_is_still_moved_and_a_server_docked_later_gets_what_is_left(
    server, dock, second_bonus, shop_all, load
):
    upload = load("balances", LINES)
    move(server)
    query(
        shop_all,
        "update \"changeAccountBalanceTemp\" set created_at = now() - interval '9 days' "
        'where id in (select id from "changeAccountBalanceTemp" order by id limit 30)',
    )
    with execute.open_databases(task_of(server), "tests") as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        position = target.positions.existing(origin, task_of(server).kind_spec)
    assert purge(shop_all, "balances", [position], 7)[0] == 30
    later = dock(second_bonus, "Бонусный сервер 9")
    assert arrivals_of(upload) == [(40, 40, 0), (0, 10, 0)]
    move(later)
    assert arrivals_of(upload) == [(40, 40, 0), (10, 10, 0)]


def task_of(server):
    return server.tasks.select_related("server").get(kind="balances")


def test_where_the_database_is_another_since_nothing_is_claimed(server, shop_all, load):
    upload = load("balances", LINES)
    move(server)
    query(shop_all, "update datatransfer.origin set origin = gen_random_uuid()")
    (only,) = arrivals(upload, 20)
    assert only.error is not None


def test_a_load_whose_answer_was_lost_knows_its_rows_all_the_same(server, load):
    upload = load("balances", LINES)
    before = upload.origin, upload.xid
    upload.saved.update(state="confirmed", origin=None, xid=None)
    upload_job.go_on(upload)
    upload.refresh_from_db()
    assert (upload.origin, upload.xid) == before
    assert None not in before


def test_after_a_rebase_it_is_told_by_the_numbers_of_today(server, shop_all, load):
    upload = load("balances", LINES)
    move(server)
    query(shop_all, "update datatransfer.origin set xid = xid")  # as a dump that was restored
    call_command("rebase_shop_all")
    assert arrivals_of(upload) == [(40, 40, 0)]


def test_rows_that_were_withdrawn_are_not_on_their_way(server, load, olga):
    first, second = load("balances", LINES), load("balances", LINES)
    move(server)
    third = load("balances", LINES)
    for upload in (second, third):
        upload_job.go_on(undo.order(upload, olga))
    assert arrivals_of(first) == [(40, 40, 0)]
    assert arrivals_of(second) == [(40, 40, 0)]
    assert arrivals_of(third) == [(0, 0, 0)]
