"""Histories, step by step, in which purges leave a bonus server behind."""

from tests.chaos.world import World


def left_behind_and_seeded_from_a_copy(world: World) -> None:
    """The server lacks exactly what is purged; a copy of the other one has it."""
    _both_have_read(world)
    _purge_without(world, "bonus")
    world.reach("bonus")
    world.go_to("bonus", "balances")
    world.expect_refused("rows_missing")
    world.clone(with_our_schema=True, into="bonus")
    world.finish()
    world.expect_complete("bonus")


def left_behind_and_taken_back_in_time(world: World) -> None:
    """Nothing was purged that it lacks: it reads all, and purges wait for it again."""
    _both_have_read(world)
    world.cut_off("bonus")
    world.leave_behind("bonus")
    world.purge()
    world.wait_again("bonus")
    world.go_to("second", "balances")
    world.stage(["good"] * 2)
    world.transfer()
    world.purge()
    world.finish()
    world.expect_complete("bonus")


def left_behind_and_taken_back_too_late(world: World) -> None:
    _both_have_read(world)
    _purge_without(world, "bonus")
    world.wait_again("bonus")
    world.finish()


def left_behind_and_goes_on_without_the_rows(world: World) -> None:
    """It is in the middle of a batch, and rejects what the other one takes."""
    _both_have_read(world)
    world.stage(["good", "here", "good", "good"])
    world.go_to("second", "balances")
    world.transfer(2, one_chunk=True)
    _purge_without(world, "second")
    world.stage(["good"])
    world.finish()


def left_behind_and_shop_all_restored_to_before(world: World) -> None:
    """What was purged is back: the server lacks nothing. What it is allowed stays in our own."""
    _both_have_read(world)
    world.copy("shop_all")
    _purge_without(world, "bonus")
    world.restore("shop_all")
    world.go_to("second", "balances")
    world.expect_refused("history_changed")
    world.settle()
    world.transfer()
    world.purge()
    world.finish()


def left_behind_and_shop_all_restored_to_between_two_purges(world: World) -> None:
    """Of the second purge no note is left; its rows are back."""
    _both_have_read(world)
    _purge_without(world, "bonus")
    world.copy("shop_all")
    _go_on_without(world, "bonus")
    world.restore("shop_all")
    world.go_to("second", "balances")
    world.transfer()
    world.settle()
    world.transfer()
    world.purge()
    world.finish()


def left_behind_runs_again_and_is_left_behind_again(world: World) -> None:
    """A purge waits for it as long as it answers."""
    _both_have_read(world)
    world.cut_off("bonus")
    world.leave_behind("bonus")
    world.reach("bonus")
    world.stage(["good"])
    world.go_to("second", "balances")
    world.transfer()
    world.purge()
    world.go_to("bonus", "balances")
    world.expect_done()
    world.cut_off("bonus")
    world.go_to("second", "balances")
    world.stage(["good"])
    world.transfer()
    world.purge()
    world.finish()
    world.expect_complete("bonus")


def copy_of_a_server_that_was_left_behind(world: World) -> None:
    """It lacks the same rows, and its run says so."""
    _both_have_read(world)
    _purge_without(world, "bonus")
    world.clone(with_our_schema=True, into="second")
    world.reach("bonus")
    world.finish()


def left_behind_and_restored_to_before(world: World) -> None:
    """It lacks more than it did, and the number is exact."""
    world.begin("balances", servers=2)
    world.stage(["good"] * 2)
    world.transfer()
    world.copy("bonus")
    _both_have_read(world, begin=False)
    _purge_without(world, "bonus")
    world.restore("bonus")
    world.reach("bonus")
    world.go_to("bonus", "balances")
    world.expect_refused("rows_missing")
    world.finish()


def left_behind_with_a_load_that_is_taken_back(world: World) -> None:
    """It has the rows; their opposites are purged before it reads them."""
    _both_have_read(world)
    world.load(["good", "here"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.take_back()
    _purge_without(world, "bonus")
    world.reach("bonus")
    world.clone(with_our_schema=True, into="bonus")
    world.finish()
    world.expect_complete("bonus")


def left_behind_before_a_load_that_is_taken_back(world: World) -> None:
    """It has not read the rows, and they are purged; their opposites are not."""
    _both_have_read(world)
    world.load(["good", "here"])
    world.cut_off("bonus")
    world.leave_behind("bonus")
    world.go_to("second", "balances")
    world.transfer()
    world.take_back()
    world.purge()
    world.reach("bonus")
    world.finish()


def own_database_restored_to_before_it_was_left_behind(world: World) -> None:
    """Purges wait for the server again, and its run still says what it lacks."""
    _both_have_read(world)
    world.copy("own")
    _purge_without(world, "bonus")
    world.restore("own")
    world.stage(["good"])
    world.transfer()
    world.purge()
    world.finish()


def _both_have_read(world: World, *, begin: bool = True) -> None:
    if begin:
        world.begin("balances", servers=2)
    world.stage(["good", "here"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()


def _purge_without(world: World, server: str) -> None:
    """The server is left behind; the other one goes on, and its rows are purged."""
    world.cut_off(server)
    world.leave_behind(server)
    _go_on_without(world, server)


def _go_on_without(world: World, server: str) -> None:
    (other,) = {"bonus", "second"} - {server}
    world.go_to(other, "balances")
    world.stage(["good", "here"])
    world.transfer()
    world.purge()


SCENARIOS = [
    left_behind_and_seeded_from_a_copy,
    left_behind_and_shop_all_restored_to_before,
    left_behind_runs_again_and_is_left_behind_again,
    copy_of_a_server_that_was_left_behind,
]
# These in `make chaos` alone.
MORE = [
    left_behind_and_taken_back_in_time,
    left_behind_and_taken_back_too_late,
    left_behind_and_goes_on_without_the_rows,
    left_behind_and_shop_all_restored_to_between_two_purges,
    left_behind_and_restored_to_before,
    left_behind_with_a_load_that_is_taken_back,
    left_behind_before_a_load_that_is_taken_back,
    own_database_restored_to_before_it_was_left_behind,
]
