"""Histories, step by step, that lose or double rows in a product without its guards."""

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
    """The same, and transactions pass before anybody looks."""
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


def vendor_restores_his_tables(world: World) -> None:
    world.stage(["good"] * 2)
    world.transfer()
    world.back_up_vendor()
    world.stage(["good"] * 2)
    world.transfer()
    world.restore_vendor()
    world.finish()


def row_refused_by_the_vendor(world: World) -> None:
    world.stage(["good", "no", "good", "bad"])
    world.finish()


def own_database_restored(world: World) -> None:
    """Its rejects come back from the bonus server."""
    world.copy("own")
    world.stage(["good", "bad"])
    world.transfer()
    world.restore("own")
    world.stage(["good"])
    world.finish()


def bonus_server_restored(world: World) -> None:
    world.stage(["good", "bad"])
    world.transfer()
    world.copy("bonus")
    world.stage(["good", "bad"])
    world.transfer()
    world.restore("bonus")
    world.stage(["good"])
    world.finish()


def bonus_server_restored_to_before_a_purge(world: World) -> None:
    world.stage(["good"])
    world.transfer()
    world.copy("bonus")
    world.stage(["good"] * 2)
    world.transfer()
    world.purge()
    world.restore("bonus")
    world.stage(["good"])
    world.finish()


def started_anew_after_a_purge(world: World) -> None:
    """The bonus server goes back to before its first row, and some of them are purged."""
    world.copy("bonus")
    world.stage(["good"] * 2)
    world.transfer()
    world.purge()
    world.stage(["good"])
    world.restore("bonus")
    world.finish()


def nothing_received_and_purged(world: World) -> None:
    """The bonus server goes back to a position that has begun, and has received nothing."""
    world.transfer()
    world.copy("bonus")
    world.stage(["good"] * 2)
    world.transfer()
    world.purge()
    world.stage(["good"])
    world.restore("bonus")
    world.finish()


def purged_after_a_dump_was_restored(world: World) -> None:
    """The batches of the dump have seen numbers that the new cluster gives to other rows."""
    world.burn(500)
    world.stage(["good"])
    world.transfer()
    world.dump()
    world.restore_dump(fresh=True)
    world.stage(["good"])
    world.transfer()
    world.settle()
    world.transfer()
    world.copy("bonus")
    world.stage(["good"] * 2)
    world.transfer()
    world.purge()
    world.restore("bonus")
    world.expect_refused("rows_purged")
    world.finish()


def purged_behind_a_batch_under_way(world: World) -> None:
    """A bonus server goes back into the middle of a batch, which it began after going back."""
    world.stage(["good"])
    world.transfer()
    world.copy("bonus")
    world.stage(["good"] * 2)
    world.transfer()
    world.restore("bonus")
    world.transfer(1, one_chunk=True)
    world.copy("bonus")
    world.transfer()
    world.purge()
    world.restore("bonus")
    world.expect_refused("rows_purged")
    world.finish()


def purged_in_the_middle_of_a_batch(world: World) -> None:
    """Nothing has gone back, and nothing is refused."""
    world.stage(["good"] * 3)
    world.transfer(1, one_chunk=True)
    world.purge()
    world.stage(["good"])
    world.finish()


def batch_forgotten_by_a_purge(world: World) -> None:
    """Shop All is not accused of having gone back: its log does not reach back so far."""
    world.stage(["good"])
    world.transfer()
    world.copy("bonus")
    for _ in range(2):
        world.stage(["good"])
        world.transfer()
    world.purge()
    world.stage(["good"])
    world.restore("bonus")
    world.expect_refused("rows_purged")
    world.settle()
    world.expect_refused("batch_forgotten")
    world.settle()
    world.expect_done()
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
    """Into a new cluster, whose numbers begin anew, and come to where they were."""
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


def row_swallowed_by_the_vendor(world: World) -> None:
    """A trigger of his keeps a row out of his table, and says nothing."""
    world.stage(["good", "good"])
    world.swallow()
    world.transfer()
    world.stop_swallowing()
    world.finish()


def old_copy_after_a_rebase(world: World) -> None:
    """A copy from before the rebase: the old position knows nothing of what moved since."""
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
    """What waited in it was moved meanwhile, and the old position knows nothing of that."""
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


def bonus_server_from_before_a_rebase(world: World) -> None:
    """Its batch stands in the log, and the rows have other numbers since: nobody may believe it."""
    world.stage(["good"] * 2)
    world.transfer()
    world.copy("bonus")
    world.copy("shop_all")
    world.stage(["good"])
    world.transfer()
    from_before = world.now.copies["bonus"][:]
    old_batch = world.whole_batch()
    world.restore("shop_all")
    world.transfer()
    world.settle()
    world.now.copies["bonus"] = from_before
    world.restore("bonus")
    world.expect_refused("position_lost")
    world.expect_no_place("--batch", "1", "--reader", old_batch[0])
    world.expect_refused("position_lost")


def vendor_restores_his_tables_where_shop_all_went_back(world: World) -> None:
    """Only our own history knows the batch that they go up to: what waits in the copy was moved."""
    world.stage(["good"] * 2)
    world.transfer()
    world.stage(["good", "bad"])
    world.copy("shop_all")
    world.transfer()
    world.restore("shop_all")
    world.stage(["good"])
    world.back_up_vendor()
    world.restore_vendor()
    world.expect_refused("position_lost")
    world.expect_no_place("--start")
    world.expect_no_place("--batch", "1")
    world.settle()
    world.expect_refused("history_changed")
    world.finish()


def vendor_restores_his_tables_and_shop_all_goes_back_to_the_first_row(world: World) -> None:
    """The log has forgotten who reads."""
    world.stage(["good"])
    world.copy("shop_all")
    world.transfer()
    world.back_up_vendor()
    world.restore("shop_all")
    world.stage(["good"])
    world.restore_vendor()
    world.expect_refused("position_lost")
    world.expect_no_place("--start")
    world.settle()
    world.finish()


def vendor_and_shop_all_put_back_together(world: World) -> None:
    """His tables hold none of what waits in the copy: it has to be sent again."""
    world.stage(["good"] * 2)
    world.transfer()
    world.back_up_vendor()
    world.stage(["good"])
    world.copy("shop_all")
    world.transfer()
    world.restore("shop_all")
    world.restore_vendor()
    world.expect_refused("position_lost")
    world.expect_no_place("--batch", "1")
    world.settle()
    world.expect_done()
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


SCENARIOS: list[Scenario] = [
    restored_copy,
    restored_copy_that_has_caught_up,
    number_handed_out_again,
    rows_forgotten_by_a_crash,
    careless_database,
    replica_as_source,
    replica_takes_over,
    vendor_restores_his_tables,
    row_refused_by_the_vendor,
    own_database_restored,
    bonus_server_restored,
    bonus_server_restored_to_before_a_purge,
    started_anew_after_a_purge,
    nothing_received_and_purged,
    purged_after_a_dump_was_restored,
    purged_behind_a_batch_under_way,
    purged_in_the_middle_of_a_batch,
    batch_forgotten_by_a_purge,
    dump_restored,
    dump_restored_elsewhere,
    dump_of_all_restored_elsewhere,
    dump_restored_where_the_position_is_lost,
    dump_of_a_restored_copy,
    our_tables_written_anew,
    row_swallowed_by_the_vendor,
    old_copy_after_a_rebase,
    copy_restored_again_after_a_rebase,
    bonus_server_from_before_a_rebase,
    vendor_restores_his_tables_where_shop_all_went_back,
    vendor_restores_his_tables_and_shop_all_goes_back_to_the_first_row,
    vendor_and_shop_all_put_back_together,
    late_commit,
    prepared_over_a_crash,
    prepared_that_ends_twice,
]
