"""Written histories, each of which lost or doubled rows under an earlier version of a rule."""

from unittest.mock import patch
from uuid import UUID

from tests.chaos.machine.story import BALANCES, PINCODES, Story, collected
from tests.chaos.machine.world import own_name
from tests.databases import connect, query, run
from tests.waiting import wait_until
from transfer.engine.begin import Answer
from transfer.engine.shop_all.log_writer import LogWriter

HISTORIES, history = collected()


# Uses up transactions.
BURN = """
    create temporary table burnt (n int);
    do $$ begin for n in 1..5000 loop
        begin insert into burnt values (n); exception when others then null; end;
    end loop; end $$;
"""

# The name of a staged row.
NAMED = """
    select xid::text::bigint, (extract(epoch from started) * 1000000)::bigint, id
      from "changeAccountBalanceTemp" where comment = %s
"""

# The names of changesets, and the log


@history
def the_same_changeset_at_the_same_number(s: Story) -> None:
    """A prepared transaction ends after the restore, the one before it never."""
    s.write(), s.drain()
    s.prepare("p")
    late, lost = s.write_later()
    s.write()
    copy = s.copy_shop("files")
    s.commit_late(late, lost)
    s.drain()
    s.restore_shop(copy)
    s.commit_prepared("p")
    s.finish(asked=1)


@history
def another_changeset_follows(s: Story) -> None:
    """A load is half read; shop All goes back to before it; another one takes its number."""
    s.write(), s.drain()
    copy = s.copy_shop("files")
    rows = s.rows(8)
    first = s.load(rows=rows)
    s.chunk("s1")
    s.restore_shop(copy)
    s.write(5)
    s.append()  # before anybody says that it is the right shop All
    s.drain()
    assert s.load(rows=rows) == first
    s.finish(asked=1)
    s.expect(first, s.staged(first))


@history
def a_replica_writes(s: Story) -> None:
    s.write(), s.drain()
    writer = connect(s.clusters.shop)
    run(writer, "set session_replication_role = replica; begin")
    rows = s.rows(1)
    ids = s.insert(writer, BALANCES, rows)
    s.note(BALANCES, own_name(writer), rows, ids)
    s.commit_late(writer, [*s.facts[BALANCES].changesets][-1])
    s.finish()


@history
def head_office_stages_by_logical_replication(s: Story) -> None:
    """A worker of the subscription writes its rows, for which usual triggers do not fire."""
    s.ask("alter system set wal_level = 'logical'")
    s.clusters.crash_shop()
    cluster = s.clusters.shop_cluster
    query(cluster.dsn(), "create database office")
    office = cluster.dsn("office")
    table = '"changeAccountBalanceTemp"'
    query(office, f"create table {table} (account varchar(100), amount numeric, comment text)")
    query(office, f"create publication everything for table {table}")
    query(office, "select pg_create_logical_replication_slot('rows', 'pgoutput')")
    s.write(), s.drain()
    s.ask(
        f"create subscription rows connection '{office}' publication everything"
        " with (create_slot = false, slot_name = 'rows', copy_data = false)"
    )
    row = s.row()
    query(office, f"insert into {table} values (%s, %s, %s)", [*row.values()])
    wait_until(lambda: s.ask(NAMED, [row["comment"]]))
    ((xid, started, number),) = s.ask(NAMED, [row["comment"]])
    name = str(UUID(int=(xid << 64) | started))
    s.note(BALANCES, name, [row], [number], committed=True)
    s.ask("alter subscription rows disable")
    s.ask("alter subscription rows set (slot_name = none)")
    s.ask("drop subscription rows")
    s.finish(asked=0)
    s.expect(name, s.staged(name))


@history
def triggers_are_disabled(s: Story) -> None:
    s.write(), s.drain()
    s.ask('alter table "changeAccountBalanceTemp" disable trigger all')
    s.write()
    for name in s.servers:  # the run names the guard that is gone: rows move when it is back
        with s.refuses("not_initialised"):
            s.chunk(name)
    for trigger in ("1_insert", "1_update", "2_update"):
        s.ask(
            'alter table "changeAccountBalanceTemp" enable always trigger'
            f" zz_datatransfer_{trigger}"
        )
    s.finish()


@history
def a_commit_during_an_append(s: Story) -> None:
    """A writer commits once the lines are added, before the append notes what it has seen."""
    s.write(), s.drain()
    late = s.write_later()
    s.write()
    append = LogWriter._append_pieces
    done = []

    def commit_after_it(*arguments):
        append(*arguments)
        if not done:
            done.append(True)
            s.commit_late(*late)

    with patch.object(LogWriter, "_append_pieces", commit_after_it):
        s.append()
    s.finish()


@history
def dumped_into_another_cluster(s: Story) -> None:
    """There xids begin lower than those that were seen."""
    s.ask(BURN)
    s.write(), s.drain()
    copy = s.copy_shop("dump")
    s.restore_shop(copy)
    s.write()
    s.finish(asked=0)


@history
def a_correction_in_an_old_transaction(s: Story) -> None:
    """A transaction with a lower xid commits after a later one was appended."""
    load = s.load(rows=[s.row("x1")])
    s.drain()
    late = s.write_later()
    s.correct((load, 1))
    s.drain()
    s.commit_late(*late)
    s.finish()


# Forks


@history
def two_depths(s: Story) -> None:
    """Two restores, to before and to after another one; what was passed as known is in receipts."""
    s.write(), s.write(), s.drain()
    deep = s.copy_shop("dump")
    s.write(), s.write()
    s.append()
    s.write(), s.write()
    middle = s.copy_shop("files")  # the last two have no number there
    s.drain()
    s.restore_shop(middle)
    s.drain()
    s.restore_shop(middle)
    s.write()
    s.drain()
    s.restore_shop(deep)
    s.write()
    s.drain()
    s.restore_shop(middle)
    s.finish()


@history
def an_old_branch_comes_back(s: Story) -> None:
    s.write(), s.drain()
    copy = s.copy_shop("files")
    s.write(), s.drain()
    first = s.copy_shop("files")
    s.restore_shop(copy)
    s.write(), s.drain("s1")
    s.restore_shop(first)
    s.write(), s.drain()
    s.finish(asked=2)


@history
def a_server_goes_back_to_before_a_fork(s: Story) -> None:
    s.write(), s.drain()
    s.write()
    copy = s.copy_shop("dump")  # without a number for the last one
    s.write(), s.drain()
    of_server = s.copy_server("s1")
    s.restore_shop(copy)
    s.write(), s.drain()
    s.restore_server(of_server)
    s.write()
    s.finish(asked=1)


@history
def a_clone_of_a_server(s: Story) -> None:
    s.write(), s.drain()
    copy = s.copy_shop("files")
    rows = s.rows(8)
    s.load(rows=rows)
    s.chunk("s1")
    s.replace_server("s2", "s1")
    s.drain("s1")
    s.restore_shop(copy)
    s.write()
    s.load(rows=rows)
    s.finish()


@history
def a_test_copy(s: Story) -> None:
    """A test copy is used by mistake; then the real shop All again."""
    s.write(), s.drain()
    copy = s.copy_shop("dump")
    s.write(), s.drain()
    real = s.copy_shop("files")
    s.restore_shop(copy)
    test = s.write()
    with s.refuses("shop_all_went_back"):
        s.chunk("s1")
    s.expect(test, [0], "s1")
    s.restore_shop(real)
    s.write()
    s.finish(asked=0)


@history
def only_the_confirmation_is_lost(s: Story) -> None:
    s.write(), s.drain()
    copy = s.copy_shop("files")
    s.write(), s.drain()
    s.restore_shop(copy)
    s.drain()
    s.restore_shop(copy)
    s.write()
    s.finish()


@history
def a_prepared_transaction_ends_twice(s: Story) -> None:
    s.write(), s.drain()
    one, two = s.prepare("one"), s.prepare("two")
    copy = s.copy_shop("files")
    s.commit_prepared("one")
    s.ask("rollback prepared 'two'")
    s.drain()
    s.restore_shop(copy)
    s.commit_prepared("two")
    s.drain("s1")
    s.commit_prepared("one")
    s.finish(asked=1)
    for name in (one, two):
        s.expect(name, s.staged(name))


@history
def a_replica_that_has_lagged_takes_over(s: Story) -> None:
    s.write(), s.drain()
    copy = s.copy_shop("files")
    rows = s.rows(3)
    s.load(rows=rows)
    s.drain("s1")
    s.restore_shop(copy, lags=True)
    s.write()
    s.load(rows=rows)
    s.finish(asked=1)


# Beginnings, purges, rows deleted by hand


@history
def a_position_is_lost(s: Story) -> None:
    s.write(), s.drain()
    s.ask_server("s1", "drop schema datatransfer cascade")
    with s.refuses("beginning_undecided"):
        s.chunk("s1")
    s.transfers.replace("s1")
    s.write()
    s.finish(asked=0)


@history
def begun_and_then_restored(s: Story) -> None:
    """A server began with everything up to now; shop All goes back to before that."""
    s.write(), s.drain()
    copy = s.copy_shop("files")
    s.write()
    s.drain("s1")
    s.clusters.create_server("s2", "x2")
    s.fill("s2")
    s.begin("s2", Answer.EVERYTHING)
    s.restore_shop(copy)
    s.write()
    s.finish(asked=1)


@history
def rows_are_skipped_by_changeset(s: Story) -> None:
    """A server does without purged rows; after a restore their numbers belong to others."""
    s.write(), s.drain()
    copy = s.copy_shop("files")
    of_server = s.copy_server("s2")
    s.write(), s.write(), s.drain()
    assert s.purge() == 3
    s.restore_server(of_server)
    with s.refuses("rows_purged"):
        s.chunk("s2")
    s.drain()
    s.restore_shop(copy)
    s.write(), s.write()
    s.finish(asked=1)


@history
def nothing_is_purged_that_a_dead_server_on_a_lost_branch_needs(s: Story) -> None:
    s.write(), s.drain()
    copy = s.copy_shop("files")
    for _ in range(3):
        s.write(), s.drain()
    s.leave("s2")
    s.restore_shop(copy)
    for _ in range(3):
        s.write(), s.drain("s1")
    assert not s.purge()
    s.finish(asked=1)


@history
def nothing_is_purged_that_a_dead_server_has_half_read(s: Story) -> None:
    """It died in the middle of a large changeset, whose line its position has passed."""
    load = s.load(8)
    s.chunk("s2")
    s.leave("s2")
    s.drain("s1")
    s.purge()
    s.finish(asked=0)
    s.expect(load, s.staged(load))


@history
def a_row_is_deleted_by_hand(s: Story) -> None:
    name = s.write(2)
    s.append()
    s.people.delete(BALANCES, s.facts[BALANCES].plain[0])
    with s.refuses("rows_differ"):
        s.chunk("s1")
    s.finish(asked=0)
    s.expect(name, [0, s.staged(name)[1]])


@history
def a_server_goes_back_to_before_lines_that_have_gone(s: Story) -> None:
    """Nobody knows any more what they named: it begins anew."""
    s.write(), s.drain()
    of_server = s.copy_server("s2")
    s.write(2), s.write(), s.drain()
    assert s.purge()
    assert s.people.end_lifetimes(BALANCES)
    s.write(), s.drain()
    s.restore_server(of_server)
    with s.refuses("history_too_old"):
        s.chunk("s2")
    s.finish(asked=0)


# Several runners


@history
def a_run_is_held_up_while_another_one_moves(s: Story) -> None:
    """It has read the next chunk ahead, which the other one moves."""
    for _ in range(4):
        s.write(2)
    held_up = s.transfers.chunks("s1", BALANCES, 2)
    next(held_up)
    s.chunk("s1", rows=2, number=2)
    for _ in held_up:
        pass
    s.finish(asked=0)


@history
def a_load_of_pin_codes_is_taken_back_while_it_is_read(s: Story) -> None:
    """Its rows were read ahead; nobody else gets them either."""
    s.stage(PINCODES, {"account": "a-first", "pincode": "first"})
    load = s.people.load(PINCODES, [{"account": "a-pin", "pincode": "wrong"}])
    held_up = s.transfers.chunks("s1", PINCODES, 1)
    next(held_up)
    s.people.undo(PINCODES, load)
    for _ in held_up:
        pass
    s.finish(asked=0)
    for server in s.servers:
        assert not s.ask_server(server, "select 1 from pin_history where pincode = 'wrong'")
