"""Written histories of rows that depend on others: undos, corrections, changes of a staged row."""

from tests.chaos.machine.story import BALANCES, Story, collected
from transfer.engine.begin import Answer

HISTORIES, history = collected()


# Undo


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


# Corrections and changes


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
    s.fill("s2")
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
