"""F1 to F8 of issue 35: restores of shop All together with a load, an undo, a correction or a
changed amount, each with three servers, of which one is dead, undocked, cloned or behind.
"""

from tests.chaos.machine.facts import Wrong
from tests.chaos.machine.story import BALANCES, Story, collected
from tests.chaos.machine.world import ours
from tests.databases import query

HISTORIES, history = collected()


@history
def f1_a_load_that_nobody_has_read_is_lost_and_one_server_is_silent(s: Story) -> None:
    s.write(), s.drain()
    copy = s.copy_shop("files")
    rows = s.rows(3)
    first = s.people.call(BALANCES, "K", rows)
    s.leave("s3")
    s.restore_shop(copy)
    s.drain()
    assert s.people.call(BALANCES, "K", rows) == first  # loaded, and not "replayed"
    s.drain()
    assert s.people.call(BALANCES, "K", rows) is None
    s.finish(asked=0)  # nothing is lost that anybody had seen in the log
    s.expect(first, s.staged(first))


@history
def f2_a_correction_is_lost_that_one_of_two_servers_has(s: Story) -> None:
    """Both reject the row; the other one later, and only then it is corrected again."""
    load = s.load(rows=[s.row("n", -70), s.row()])
    s.drain("s1")
    copy = s.copy_shop("files")
    s.correct((load, 1))
    s.drain("s1")
    s.leave("s3")
    s.restore_shop(copy)
    s.drain("s1", "s2")
    s.correct((load, 1))
    s.finish(asked=1)
    for server in s.servers:
        if not s.net(server, load)[0]:
            raise Wrong(f"{server} has nothing of the corrected row")


@history
def f3_a_load_is_lost_that_one_server_alone_has(s: Story) -> None:
    s.write(), s.drain()
    copy = s.copy_shop("dump")
    rows, others = s.rows(4), s.rows(2)
    of_file, of_call = s.load(rows=rows), s.people.call(BALANCES, "K", others)
    s.drain("s1")
    s.replace_server("s3", "s1")
    s.restore_shop(copy)
    s.drain()
    assert s.load(rows=rows) == of_file
    assert s.people.call(BALANCES, "K", others) == of_call
    s.finish(asked=1)
    for name in (of_file, of_call):
        s.expect(name, s.staged(name))


@history
def f4_an_undo_is_lost_that_one_server_alone_has(s: Story) -> None:
    load = s.load(3)
    s.drain()
    copy = s.copy_shop("files")
    s.undo(load)
    s.drain("s1")
    s.servers["s3"].is_docked = False
    s.restore_shop(copy)
    s.drain()  # with the confirmation the undo is staged again
    s.finish(asked=1)
    s.expect(load, [0, 0, 0])


@history
def f4_a_correction_is_lost_that_one_server_alone_has(s: Story) -> None:
    """All three reject the row; its correction reaches one; it is corrected again, otherwise."""
    load = s.load(rows=[s.row("n", -70)])
    s.drain()
    copy = s.copy_shop("files")
    s.correct((load, 1))
    s.drain("s2")
    first = s.net("s2", load)
    s.leave("s3")
    s.restore_shop(copy)
    s.drain()
    s.correct((load, 1))
    s.finish(asked=1)
    s.expect(load, first, "s2")
    if s.net("s1", load) != s.net("s3", load) or s.net("s1", load) == [0]:
        raise Wrong("the second correction has not reached the others")


@history
def f5_shop_all_and_our_own_database_go_back_together(s: Story) -> None:
    s.write(), s.drain()
    copy, ours = s.copy_shop("files"), s.ours.copy()
    rows = s.rows(2)
    first = s.people.call(BALANCES, "K", rows)
    s.drain("s1")
    s.restore_shop(copy)
    s.restore_ours(ours)
    assert s.people.call(BALANCES, "K", rows) == first
    s.leave("s3")
    s.drain()
    s.finish()
    s.expect(first, s.staged(first))


@history
def f6_a_changed_amount_is_lost_that_one_server_has(s: Story) -> None:
    """100 to 150, which one server has, is lost; then it is decided again, on another amount."""
    name = s.stage(BALANCES, s.row(amount=100))
    s.drain()
    copy = s.copy_shop("files")
    s.change(name, 150)
    s.send()
    s.drain("s1")
    s.leave("s3")
    s.restore_shop(copy)
    s.facts[BALANCES].plain[0].values[:] = [150, 100]  # it was both, and is 100 again
    s.drain()
    s.change(name, 170)
    s.send()
    s.finish(asked=1)
    s.expect(name, [170])


@history
def f6_the_same_changed_amount_is_decided_twice(s: Story) -> None:
    name = s.stage(BALANCES, s.row(amount=100))
    s.drain()
    s.change(name, 150)
    copy = s.copy_shop("files")
    s.send()
    s.drain("s1")
    s.replace_server("s3", "s1")
    s.restore_shop(copy)
    s.send()
    s.finish(asked=1)
    s.expect(name, [150])


@history
def f7_a_unique_key_over_values(s: Story) -> None:
    """A changed row can't be sent there; that is said before anything is tried."""
    s.ask('create unique index key on "changeAccountBalanceTemp" (account, comment)')
    name = s.stage(BALANCES, s.row(amount=100))
    s.drain()
    s.change(name, 150)
    with s.refuses("rows_not_repeatable"):
        s.send()
    s.write()
    s.leave("s3")
    s.finish(asked=0)
    s.expect(name, [100])


@history
def f8_after_a_restore_with_a_silent_server(s: Story) -> None:
    """Its position is never called lost, and it goes on by itself."""
    s.write(), s.drain()
    copy = s.copy_shop("dump")
    s.write(3), s.drain()
    s.leave("s3")
    s.restore_shop(copy)
    s.write(2), s.drain("s1", "s2")
    for server in s.servers:
        assert query(s.dsn(server), "select count(*) from datatransfer.position") == [(2,)]
    with s.refuses("position_known"):
        s.begin("s3")
    s.finish(asked=1)


@history
def two_databases_go_back_together(s: Story) -> None:
    """Shop All and a server, the server further; then both forth again."""
    s.write(), s.drain()
    of_server = s.copy_server("s2")
    s.write(), s.drain()
    copy = s.copy_shop("files")
    rows = s.rows(2)
    s.load(rows=rows)
    s.drain("s1", "s2")
    later, of_server_later = s.copy_shop("files"), s.copy_server("s2")
    s.restore_shop(copy)
    s.restore_server(of_server)
    s.write(), s.drain("s2", "s3")
    s.restore_shop(later)
    s.restore_server(of_server_later)
    s.load(rows=s.rows(2))
    s.finish()


@history
def two_installations_on_one_shop_all(s: Story) -> None:
    """Each is asked once; neither purges what the other one needs."""
    theirs = ours("they")
    s.servers["s3"].of = theirs
    s.clusters.create_server("s3", "x3")
    s.begin("s3")
    s.write(), s.drain()
    copy = s.copy_shop("files")
    s.write(2), s.drain("s1", "s3")
    s.restore_shop(copy)
    s.write(), s.drain("s1", "s2")
    s.asked_after = -1  # the other installation has its own question
    assert s.confirmations == 1
    s.purge()
    s.drain("s3")
    assert s.confirmations == 2
    s.finish(asked=2)
