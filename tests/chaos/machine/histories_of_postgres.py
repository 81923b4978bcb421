"""Written histories: shop All's cluster goes through PostgreSQL's own tools."""

from tests.chaos.machine.story import Story, collected

HISTORIES, history = collected()


@history
def shop_all_goes_back_to_a_point_in_time_and_to_a_later_one(s: Story) -> None:
    """By a base backup and an archive of the write-ahead log, to and fro."""
    s.clusters.archive_shop()
    s.write(), s.drain()
    load = s.load(3)
    s.chunk("s1", 2)
    s.clusters.shop_cluster.note_point("noon")
    lost = s.write(2)
    s.undo(load)
    s.drain("s1")
    s.clusters.shop_cluster.note_point("evening")
    s.go_back_to("noon")
    s.drain()  # the one question
    s.write(), s.drain()
    s.expect(load, [0, 0, 0])
    s.expect(lost, s.staged(lost), "s1")  # what has arrived stays
    s.go_back_to("evening")  # the row that was written after noon is lost now
    s.drain()
    s.expect(lost, s.staged(lost))
    s.finish(asked=2)


@history
def shop_all_is_upgraded_and_the_upgrade_is_given_up(s: Story) -> None:
    """By pg_upgrade, which makes another cluster with the same tables."""
    s.write(), s.drain()
    load = s.load(3)
    s.chunk("s1", 2)
    copy = s.copy_shop("files")
    before = s.ask("select system_identifier from pg_control_system()")
    s.clusters.upgrade_shop()
    assert s.ask("select system_identifier from pg_control_system()") != before
    late = s.write()
    s.drain()
    assert s.confirmations == 0
    s.expect(load, s.staged(load))
    s.expect(late, s.staged(late))
    s.restore_shop(copy)
    s.write()
    s.finish(asked=1)
    s.expect(late, s.staged(late))


@history
def bonus_servers_are_upgraded(s: Story) -> None:
    load = s.load(3)
    s.chunk("s1", 2)
    s.clusters.upgrade_bonus_servers()
    late = s.write()
    s.finish(asked=0)
    s.expect(load, s.staged(load))
    s.expect(late, s.staged(late))
