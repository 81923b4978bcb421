"""Histories, step by step, that lose or double rows in a product without its guards: a bonus server
or our own database goes back, refuses or swallows rows, or staging is purged.
"""

from tests.chaos.world import World


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


def row_swallowed_by_the_vendor(world: World) -> None:
    """A trigger of his keeps a row out of his table, and says nothing."""
    world.stage(["good", "good"])
    world.swallow()
    world.transfer()
    world.stop_swallowing()
    world.finish()


def bonus_server_from_before_a_rebase(world: World) -> None:
    """The rows have other numbers since: what shop All has kept says which of them it has."""
    world.stage(["good"] * 2)
    world.transfer()
    world.copy("bonus")
    world.copy("shop_all")
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all")
    world.transfer()
    world.settle()
    world.restore("bonus")
    world.stage(["good"])
    world.finish()


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


def vendor_restores_his_tables_where_shop_all_went_back_over_a_rebase(world: World) -> None:
    """What our history knows last is of numbers that the copy does not have: nobody can tell what
    of the rows that wait in it was moved under them.
    """
    world.stage(["good"] * 2)
    world.transfer()
    world.stage(["good"])
    world.copy("shop_all")
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all")
    world.back_up_vendor()
    world.restore_vendor()
    world.expect_refused("position_lost")
    for place in (["--start"], ["--batch", "1"], ["--batch", "2"]):
        world.expect_no_place(*place)
    world.expect_refused("position_lost")


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


SCENARIOS = [
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
    row_swallowed_by_the_vendor,
    bonus_server_from_before_a_rebase,
    vendor_restores_his_tables_where_shop_all_went_back,
    vendor_restores_his_tables_and_shop_all_goes_back_to_the_first_row,
    vendor_restores_his_tables_where_shop_all_went_back_over_a_rebase,
    vendor_and_shop_all_put_back_together,
]
