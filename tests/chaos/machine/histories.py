"""Written histories, each of which lost or doubled rows under an earlier version of a rule."""

from collections.abc import Callable
from unittest.mock import patch
from uuid import UUID

from tests.chaos.machine.story import BALANCES, PINCODES, Story
from tests.chaos.machine.world import own_name
from tests.databases import connect, query, run
from tests.waiting import wait_until
from transfer.engine.begin import Answer
from transfer.engine.shop_all.log_writer import LogWriter

HISTORIES: list[Callable[[Story], None]] = []


def history(function: Callable[[Story], None]) -> Callable[[Story], None]:
    HISTORIES.append(function)
    return function


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
    s.load(rows=rows)
    s.chunk("s1")
    s.restore_shop(copy)
    s.write(5)
    s.append()  # before anybody says that it is the right shop All
    s.drain()
    s.load(rows=rows)
    s.finish(asked=1)


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
def a_load_is_half_read_and_repeated(s: Story) -> None:
    s.write(), s.drain()
    copy = s.copy_shop("files")
    rows = s.rows(8)
    first = s.load(rows=rows)
    s.chunk("s1")
    s.restore_shop(copy)
    s.write(2)
    assert s.load(rows=rows) == first
    s.finish(asked=1)
    s.expect(first, s.staged(first))


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


# Undo


@history
def an_undo_before_its_original(s: Story) -> None:
    load = s.load(2)
    s.undo(load)
    s.finish()
    s.expect(load, [0, 0])


@history
def an_undo_after_a_correction(s: Story) -> None:
    """One server rejects a row, the other accepts it. It is corrected; all is taken back."""
    load = s.load(rows=[s.row("x1"), s.row()])
    s.drain()
    s.correct((load, 1))
    s.drain()
    s.undo(load)
    s.finish()
    s.expect(load, [0, 0])


@history
def shop_all_goes_back_to_before_an_undo(s: Story) -> None:
    """A server passed a withdrawn load, not yet its undo; then the load is withdrawn no more."""
    s.write(), s.drain()
    load = s.load(2)
    s.append()
    s.write()
    s.append()
    copy = s.copy_shop("files")
    s.undo(load)
    s.ours.taken_back.clear()
    s.chunk("s1", rows=1)
    s.restore_shop(copy)
    s.finish()
    s.expect(load, s.staged(load))


@history
def an_undo_received_without_its_original(s: Story) -> None:
    """Then shop All goes back to before the undo, and to after it again."""
    load = s.load(2)
    s.append()
    before = s.copy_shop("files")
    s.undo(load)
    s.ours.taken_back.clear()
    s.drain("s1")
    after = s.copy_shop("files")
    s.restore_shop(before)
    s.drain()
    s.expect(load, s.staged(load), "s2")
    s.restore_shop(after)
    s.finish()
    s.expect(load, [0, 0])


@history
def begun_after_an_undo(s: Story) -> None:
    """A server began after an undo; then to before the undo, and to after it again."""
    load = s.load(2)
    s.append()
    before = s.copy_shop("files")
    s.undo(load)
    s.ours.taken_back.clear()
    s.clusters.create_server("s2", "x2")
    s.begin("s2", Answer.EVERYTHING)
    s.drain()
    after = s.copy_shop("files")
    s.restore_shop(before)
    s.drain()
    s.restore_shop(after)
    s.finish()
    s.expect(load, [0, 0])


@history
def undone_twice_because_of_a_restore(s: Story) -> None:
    load = s.load(2)
    s.drain()
    copy = s.copy_shop("files")
    s.undo(load)
    s.ours.taken_back.clear()
    s.drain("s1")
    s.restore_shop(copy)
    s.drain()
    s.undo(load)
    s.finish(asked=1)
    s.expect(load, [0, 0])


@history
def an_undo_of_a_half_read_load(s: Story) -> None:
    """Half read, taken back, restored to before that, read on, taken back again."""
    load = s.load(8)
    s.chunk("s1")
    copy = s.copy_shop("files")
    s.undo(load)
    s.ours.taken_back.clear()
    s.drain("s1")
    s.expect(load, [0] * 8, "s1")
    s.restore_shop(copy)
    s.drain()
    s.expect(load, [0] * 8, "s1")
    s.expect(load, s.staged(load), "s2")
    s.undo(load)
    s.finish(asked=1)
    s.expect(load, [0] * 8)


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
    fill(s, "s2")
    s.begin("s2", Answer.EVERYTHING)
    s.restore_shop(copy)
    s.write()
    s.finish(asked=1)


def fill(s: Story, server: str) -> None:
    """The vendor fills a server with all balance changes that are staged."""
    for fact in s.facts[BALANCES].plain:
        s.ask_server(
            server,
            "insert into asset (account, amount, comment) values (%s, %s, %s)",
            [fact.account, fact.values[-1], fact.payload],
        )
        s.ask_server(server, "insert into filled values (%s, %s)", [*fact.key])


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


# Rows that depend on others


@history
def a_correction_in_the_chunk_of_its_original(s: Story) -> None:
    """One server has rejected the row; the other one meets it and its correction at once."""
    load = s.load(rows=[s.row("n", -70)])
    s.drain("s1")
    s.correct((load, 1))
    s.append()
    s.transfers.run("s2", BALANCES, 9)
    s.finish(asked=0)
    s.expect(load, s.net("s1", load))


@history
def a_changed_row_and_then_its_change(s: Story) -> None:
    """One server has read the row before the change, the other one reads it afterwards."""
    name = s.stage(BALANCES, s.row(amount=100))
    s.drain("s1")
    s.change(name, 150)
    s.send()
    s.finish(asked=0)
    s.expect(name, [150])


@history
def a_server_begins_with_changed_rows(s: Story) -> None:
    name = s.stage(BALANCES, s.row(amount=100))
    s.drain()
    s.change(name, 150)
    s.clusters.create_server("s2", "x2")
    fill(s, "s2")
    s.begin("s2", Answer.EVERYTHING)
    s.send()
    s.finish(asked=0)
    s.expect(name, [150])


@history
def an_undo_of_a_changed_and_sent_row(s: Story) -> None:
    """The change is lost on the way back; what is taken back is what is in effect."""
    load = s.load(rows=[s.row(amount=100)])
    s.drain()
    s.change(load, 150)
    copy = s.copy_shop("files")
    s.send()
    s.drain("s1")
    s.restore_shop(copy)
    s.undo(load)
    s.finish(asked=1)
    s.expect(load, [0])


@history
def an_opposite_that_the_vendor_refuses(s: Story) -> None:
    """It is an open reject; a correction of it that is applied closes the original as well."""
    load = s.load(rows=[s.row("n", 500), s.row()])
    s.drain()
    undo = s.undo(load)
    s.drain()
    s.expect(load, [500, 0])
    s.correct((undo, 1))
    s.finish(asked=0)
    for server in s.servers:
        assert not s.people.open_rejects(server, BALANCES)


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
