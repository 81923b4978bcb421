"""Histories, step by step, in which our own database knows batches that shop All lacks."""

from tests.chaos.world import World


def own_database_restored_after_a_rebase(world: World) -> None:
    """It knows a batch again that was lost before the rebase, and is not the last that was."""
    world.stage(["good"])
    world.transfer()
    world.copy("shop_all")
    world.stage(["good"])
    world.transfer()
    world.copy("own")
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.expect_done()
    world.restore("own")
    world.stage(["good"])
    world.expect_done()
    world.finish()


def own_database_restored_after_a_rebase_and_rebased_again(world: World) -> None:
    """The administrator does what the message says."""
    world.begin("balances", servers=2)
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.stage(["good", "here"])
        world.transfer()
    world.copy("shop_all")
    world.stage(["good", "here"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.copy("own")
    world.stage(["good"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.restore("shop_all")
    world.stage(["good", "good"])
    world.expect_refused("history_changed")
    world.settle()
    world.expect_done()
    world.stage(["good", "here"])
    world.transfer()
    world.restore("own")
    world.stage(["good"])
    if world.transfer() == "shop_all_restored":
        world.settle()
    world.transfer()
    world.purge()
    world.finish()


def left_behind_after_a_restore_that_nobody_noticed(world: World) -> None:
    """Only this server had read on since the copy; our own history knows that it had."""
    _alone_has_read_on(world, "bonus")
    world.cut_off("bonus")
    world.leave_behind("bonus")
    _the_other_is_stopped_first(world)


def left_behind_and_purged_after_a_restore_that_nobody_noticed(world: World) -> None:
    """The purge comes before the next run."""
    _alone_has_read_on(world, "bonus")
    world.cut_off("bonus")
    world.leave_behind("bonus")
    world.stage(["good", "here", "good"])
    world.expect_no_purge()
    _the_other_is_stopped_first(world)


def cut_off_while_shop_all_is_rebased(world: World) -> None:
    """Both had read on. After the rebase only the silent server has a batch that is missing."""
    _both_have_read(world)
    world.copy("shop_all")
    world.stage(["good", "here"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.restore("shop_all")
    world.cut_off("bonus")
    world.expect_refused("history_changed")
    world.settle()
    world.stage(["good"])
    world.expect_done()
    world.finish()


def undocked_after_a_restore_that_nobody_noticed(world: World) -> None:
    """No purge waits for a server that is undocked."""
    _alone_has_read_on(world, "bonus")
    world.undock("bonus")
    _the_other_is_stopped_first(world)


def left_behind_and_shop_all_restored_to_before_a_rebase(world: World) -> None:
    """The copy has another identity, and all batches that were read under that."""
    _alone_has_read_on(world, "bonus")
    world.expect_refused("history_changed")
    world.settle()
    world.stage(["good"] * 4)
    world.transfer()
    world.cut_off("bonus")
    world.leave_behind("bonus")
    world.restore("shop_all")
    _the_other_is_stopped_first(world)


def cloned_and_shop_all_restored_to_before_a_rebase(world: World) -> None:
    """The copy has received rows under the later identity that wait under the earlier one. It does
    not go on under a reader of its own before that is settled.
    """
    _both_have_read(world)
    world.stage(["good", "here"])
    world.copy("shop_all")
    world.go_to("bonus", "balances")
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.go_to("second", "balances")
    world.transfer()
    world.clone(with_our_schema=True, into="bonus")
    world.restore("shop_all")
    world.go_to("bonus", "balances")
    world.expect_refused("reader_shared")
    world.settle()
    world.finish()


def withdrawn_again_where_shop_all_is_back_before_a_rebase(world: World) -> None:
    """The rows came back with the first restore, and arrived under the identity that the rebase
    gave. The load is taken back again before anybody notices the second restore.
    """
    world.begin("balances", servers=2)
    world.stage(["good"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.load(["good", "here"])
    world.copy("shop_all")
    world.take_back()
    world.restore("shop_all")
    world.expect_refused("records_missing")
    world.settle()
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.restore("shop_all")
    world.take_back()
    world.expect_refused("position_overtaken")
    world.settle()
    world.finish()


def _the_other_is_stopped_first(world: World) -> None:
    """It has rows to read, and does so only after the rebase; then they are purged."""
    world.go_to("second", "balances")
    world.stage(["good", "here", "good"])
    world.expect_refused("shop_all_restored")
    world.settle()
    world.transfer()
    world.purge()
    world.finish()


def _both_have_read(world: World) -> None:
    world.begin("balances", servers=2)
    world.stage(["good", "here"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()


def _alone_has_read_on(world: World, server: str) -> None:
    """Shop All goes back to before the last batch of this server, and no other one has seen it."""
    _both_have_read(world)
    world.copy("shop_all")
    world.go_to(server, "balances")
    world.stage(["good"] * 4)
    world.transfer()
    world.restore("shop_all")


SCENARIOS = [
    own_database_restored_after_a_rebase,
    left_behind_after_a_restore_that_nobody_noticed,
    left_behind_and_purged_after_a_restore_that_nobody_noticed,
    cloned_and_shop_all_restored_to_before_a_rebase,
    withdrawn_again_where_shop_all_is_back_before_a_rebase,
]
# These in `make chaos` alone.
MORE = [
    own_database_restored_after_a_rebase_and_rebased_again,
    cut_off_while_shop_all_is_rebased,
    undocked_after_a_restore_that_nobody_noticed,
    left_behind_and_shop_all_restored_to_before_a_rebase,
]
