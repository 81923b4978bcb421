"""Histories, step by step, that lose or double rows in a product without its guards: shop All goes
back, loses what was not flushed, or is replaced.
"""

from collections.abc import Callable

from tests.chaos.world import World

Scenario = Callable[[World], None]


def restored_copy(world: World) -> None:
    """Shop All is restored from a copy; the administrator follows the advice."""
    world.stage(["good"] * 3)
    world.transfer()
    world.copy("shop_all")
    world.stage(["good"] * 3)
    world.transfer()
    world.restore("shop_all")
    world.transfer()
    world.stage(["good"] * 2)
    world.finish()


def restored_copy_that_has_caught_up(world: World) -> None:
    """Likewise, and transactions pass before the next run."""
    world.stage(["good"] * 3)
    world.transfer()
    world.copy("shop_all")
    world.stage(["good"] * 3)
    world.transfer()
    world.restore("shop_all")
    world.stage(["good"] * 2)
    world.burn(40)
    world.finish()


def number_handed_out_again(world: World) -> None:
    """Shop All loses power after a program rolled back."""
    world.stage(["good"])
    world.transfer()
    world.stage(["good"], "roll back")
    world.stage(["good"], "forgettable")
    world.transfer()
    world.crash("shop_all")
    world.stage(["good"])
    world.stage(["good"])
    world.finish()


def rows_forgotten_by_a_crash(world: World) -> None:
    """Commits that were never flushed are moved, and then forgotten."""
    world.stage(["good"] * 2, "forgettable")
    world.transfer()
    world.crash("shop_all")
    world.stage(["good"])
    world.stage(["good"])
    world.finish()


def careless_database(world: World) -> None:
    """Its commits are not flushed; ours have to be."""
    world.grow_careless()
    world.stage(["good"] * 2)
    world.transfer()
    world.crash("shop_all")
    world.stage(["good"])
    world.stage(["good"])
    world.finish()


def replica_as_source(world: World) -> None:
    world.stage(["good"] * 2)
    world.read_from_standby()
    world.finish()


def replica_takes_over(world: World) -> None:
    """A replica that lagged is promoted."""
    world.stage(["good"])
    world.transfer()
    world.copy("shop_all")
    world.stage(["good"] * 2)
    world.transfer()
    world.promote("shop_all")
    world.stage(["good"])
    world.burn(40)
    world.stage(["good"])
    world.finish()


def dump_restored(world: World) -> None:
    """Into the same cluster, whose numbers are all ahead of it."""
    world.stage(["good"])
    world.transfer()
    world.dump()
    world.stage(["good"] * 2)
    world.transfer()
    world.restore_dump(fresh=False)
    world.stage(["good"])
    world.finish()


def dump_restored_elsewhere(world: World) -> None:
    """Into a new cluster, whose transaction ids start again and reach the former ones."""
    world.stage(["good"])
    world.transfer()
    world.dump()
    world.stage(["good"] * 2)
    world.transfer()
    world.restore_dump(fresh=True)
    world.burn(300)
    world.stage(["good"])
    world.finish()


def dump_of_all_restored_elsewhere(world: World) -> None:
    """The dump holds every batch, and its rows new numbers will hide behind."""
    world.stage(["good"])
    world.burn(500)
    world.stage(["good"])
    world.transfer()
    world.dump()
    world.restore_dump(fresh=True)
    world.stage(["good"])
    world.burn(600)
    world.finish()


def dump_restored_where_the_position_is_lost(world: World) -> None:
    """The batch that the vendor's tables go up to came with the dump, and no other is there."""
    world.stage(["good"] * 2)
    world.transfer()
    world.back_up_vendor()
    world.restore_vendor()
    world.copy("bonus")
    world.expect_refused("position_lost")
    world.settle()
    world.stage(["good"])
    world.dump()
    world.transfer()
    world.restore_dump(fresh=True)
    world.stage(["good"])
    world.restore("bonus")
    world.expect_refused("position_lost")
    world.settle()
    world.expect_refused("restored_from_dump")
    world.finish()


def dump_of_a_restored_copy(world: World) -> None:
    """The files go back, nobody settles the refusal, and a dump hides that they did."""
    world.stage(["good"])
    world.transfer()
    world.copy("shop_all")
    world.stage(["good"] * 3)
    world.transfer()
    world.restore("shop_all")
    world.transfer()
    world.stage(["good"] * 3)
    world.dump()
    world.restore_dump(fresh=True)
    world.finish()


def our_tables_written_anew(world: World) -> None:
    """Not at the same time: what was moved in between was not written since a dump was restored."""
    world.stage(["good"])
    world.transfer()
    world.write_anew("origin")
    world.stage(["good"])
    if world.transfer() == "restored_from_dump":
        world.settle()
        world.transfer()
    world.write_anew("batch")
    world.stage(["good"])
    world.finish()


def old_copy_after_a_rebase(world: World) -> None:
    """A copy from before the rebase: the old position lacks later moves."""
    world.stage(["good"])
    world.transfer()
    world.copy("shop_all")
    world.stage(["good"] * 2)
    world.copy("shop_all")
    world.transfer()
    world.restore("shop_all")
    world.finish()
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all", 0)
    world.stage(["good"])
    world.finish()


def copy_restored_again_after_a_rebase(world: World) -> None:
    """Its waiting rows were moved meanwhile, and the old position does not know."""
    world.stage(["bad", "good", "good"])
    world.copy("shop_all")
    world.transfer(1, one_chunk=True)
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.stage(["bad"])
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("position_overtaken")
    world.settle()
    world.stage(["bad", "good"])
    world.finish()


def late_commit(world: World) -> None:
    world.stage(["good"], "late")
    world.stage(["good"] * 2)
    world.transfer()
    world.end_late(commit=True)
    world.finish()


def prepared_over_a_crash(world: World) -> None:
    world.stage(["good"], "two-phase")
    world.stage(["good"])
    world.transfer()
    world.crash("shop_all")
    world.end_prepared(commit=True)
    world.finish()


def prepared_that_ends_twice(world: World) -> None:
    """Rolled back, then committed in a copy from before that: the position knows the first end."""
    world.stage(["good"], "two-phase")
    world.stage(["good"])
    world.copy("shop_all")
    world.end_prepared(commit=False)
    world.transfer()
    world.restore("shop_all")
    world.end_prepared(commit=True)
    world.expect_refused("history_changed")
    world.finish()
    world.expect_given_up(1)


SCENARIOS = [
    restored_copy,
    restored_copy_that_has_caught_up,
    number_handed_out_again,
    rows_forgotten_by_a_crash,
    careless_database,
    replica_as_source,
    replica_takes_over,
    dump_restored,
    dump_restored_elsewhere,
    dump_of_all_restored_elsewhere,
    dump_restored_where_the_position_is_lost,
    dump_of_a_restored_copy,
    our_tables_written_anew,
    old_copy_after_a_rebase,
    copy_restored_again_after_a_rebase,
    late_commit,
    prepared_over_a_crash,
    prepared_that_ends_twice,
]
