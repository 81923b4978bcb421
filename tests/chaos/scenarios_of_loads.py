"""Histories, step by step, in which a loaded file is taken back."""

from tests.chaos.world import World


def taken_back_where_one_server_lags(world: World) -> None:
    """It meets the rows and their opposites in one chunk."""
    world.begin("balances", servers=2)
    world.load(["good", "here", "no"])
    world.transfer()
    world.take_back()
    world.transfer(2)
    world.go_to("second", "balances")
    world.transfer(8)
    world.finish()


def taken_back_where_one_server_lags_and_one_went_back(world: World) -> None:
    """The one that had read the rows is restored to before they arrived."""
    world.begin("balances", servers=2)
    world.transfer()
    world.copy("bonus")
    world.load(["good", "here", "no"])
    world.transfer()
    world.restore("bonus")
    world.take_back()
    world.go_to("second", "balances")
    world.transfer(2)
    world.finish()


def taken_back_and_shop_all_restored_to_between(world: World) -> None:
    """A server has received the opposite rows, and they are gone."""
    world.begin("balances", servers=2)
    world.load(["good", "here"])
    world.transfer()
    world.copy("shop_all")
    world.take_back()
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.take_back()
    world.finish()


def taken_back_and_restored_before_a_server_looked(world: World) -> None:
    """No batch is missing, but the undo is; it can be repeated."""
    world.stage(["good"])
    world.load(["good", "no"])
    world.transfer()
    world.copy("shop_all")
    world.take_back()
    world.restore("shop_all")
    world.expect_refused("records_missing")
    world.settle()
    world.take_back()
    world.finish()
    world.expect_taken_back(2)


def taken_back_after_a_rebase(world: World) -> None:
    """One server was carried over in the middle of the load."""
    world.begin("balances", servers=2)
    world.load(["good", "here", "good"])
    world.transfer(1, one_chunk=True)
    world.copy("shop_all")
    world.go_to("second", "balances")
    world.transfer()
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.take_back()
    world.finish()


def taken_back_and_rebased(world: World) -> None:
    """The opposite rows, which one server has read, have other numbers since."""
    world.begin("balances", servers=2)
    world.load(["good", "here", "good"])
    world.transfer()
    world.take_back()
    world.copy("shop_all")
    world.transfer()
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.finish()


def taken_back_in_a_dump(world: World) -> None:
    """Shop All is restored from a dump of before the undo, which is repeated."""
    world.load(["good", "no"])
    world.transfer()
    world.dump()
    world.take_back()
    world.restore_dump(fresh=True)
    world.expect_refused("restored_from_dump")
    world.settle()
    world.take_back()
    world.finish()
    world.expect_taken_back(2)


def rejected_row_is_corrected_and_both_are_taken_back(world: World) -> None:
    """One server has the row, the other what was sent in place of it."""
    world.begin("balances", servers=2)
    world.load(["here"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.send_again()
    world.go_to("bonus", "balances")
    world.transfer()
    world.take_back()
    world.send_again()
    world.finish()


def rejected_row_is_corrected_after_it_was_taken_back(world: World) -> None:
    """A server rejects the row only after the undo; then it can not be corrected any more."""
    world.begin("balances", servers=2)
    world.load(["here", "no"])
    world.transfer()
    world.take_back()
    world.send_again()
    world.go_to("second", "balances")
    world.transfer(1, one_chunk=True)
    world.send_again()
    world.transfer()
    world.send_again(latest=True)
    world.finish()


def withdrawn_where_an_undocked_server_has_read(world: World) -> None:
    """Shop All has forgotten that it has: it went back to before that batch."""
    world.begin("balances", servers=2)
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.stage(["good"])
        world.transfer()
    world.load(["good", "good"])
    world.copy("shop_all")
    world.transfer()
    world.undock("second")
    world.restore("shop_all")
    world.take_back()
    world.finish()


def withdrawn_where_a_server_comes_back_that_has_read(world: World) -> None:
    """The wrong backup of the bonus server is restored first, and then the right one."""
    world.stage(["good"])
    world.transfer()
    world.copy("bonus")
    world.load(["good", "good"])
    world.transfer()
    world.copy("bonus")
    right = world.now.copies["bonus"][-1]
    world.restore("bonus", 0)
    world.take_back()
    world.now.copies["bonus"].append(right)
    world.restore("bonus", 1)
    world.finish()


def withdrawn_and_shop_all_restored_to_before(world: World) -> None:
    """Both servers have read on, so their positions call the rows moved, which are back."""
    world.begin("balances", servers=2)
    world.prepare_nothing()
    world.load(["good", "here"])
    world.copy("shop_all")
    world.take_back()
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.stage(["good"])
        world.transfer()
    world.restore("shop_all")
    world.stage(["good"])
    world.expect_refused("history_changed")
    world.settle()
    world.take_back()
    world.finish()


def withdrawn_and_restored_to_before_and_nobody_has_read_on(world: World) -> None:
    """No batch is missed. If a server read the rows now, another restore would double them.

    After the first rebase a server rejects a row, under an identity that the second restore takes.
    """
    world.begin("balances", servers=2)
    world.prepare_nothing()
    world.load(["good", "no"])
    world.copy("shop_all")
    world.take_back()
    world.restore("shop_all")
    world.expect_refused("records_missing")
    world.settle()
    world.expect_done()
    world.restore("shop_all")
    world.expect_refused("position_overtaken")
    world.settle()
    world.take_back()
    world.finish()


def withdrawn_in_part_and_shop_all_restored_to_before(world: World) -> None:
    """One server had read a part; it has received the opposite rows of that part, too."""
    world.begin("balances", servers=2)
    world.load(["good", "here", "good", "good"])
    world.transfer(2, one_chunk=True)
    world.copy("shop_all")
    world.take_back()
    world.transfer()
    world.restore("shop_all")
    world.go_to("second", "balances")
    world.transfer()
    world.finish()


def withdrawn_before_a_server_has_read(world: World) -> None:
    """No server keeps an amount: opposite rows take back the half that was read."""
    world.begin("balances", "pincodes", servers=2)
    for kind in ("pincodes", "balances"):
        world.go_to("bonus", kind)
        world.load(["good", "no", "good", "good"])
        world.transfer(2, one_chunk=True)
        world.take_back()
    world.finish()


def taken_back_where_a_server_is_cloned(world: World) -> None:
    """The clone has the rows of the original; its own past counts no more."""
    world.begin("balances", servers=2)
    world.load(["good", "here"])
    world.transfer()
    world.clone(with_our_schema=True)
    world.take_back()
    world.transfer()
    world.finish()


def taken_back_where_the_vendor_restores_his_tables(world: World) -> None:
    """They have the rows, and not their opposites; and our schema is gone."""
    world.load(["good", "good"])
    world.transfer()
    world.back_up_vendor()
    world.take_back()
    world.transfer()
    world.restore_vendor()
    world.finish()


def taken_back_where_the_originals_are_purged(world: World) -> None:
    """A server is restored to between the two, and its rows are purged."""
    world.begin("balances", servers=2)
    world.load(["good", "here"])
    for server in ("second", "bonus"):
        world.go_to(server, "balances")
        world.transfer()
    world.take_back()
    world.purge()
    world.transfer()
    world.copy("bonus")
    world.go_to("second", "balances")
    world.transfer()
    world.purge()
    world.restore("bonus")
    world.finish()


def taken_back_where_a_copy_of_tables_is_all_that_is_left(world: World) -> None:
    """The originals are purged, and have other numbers since. A server with the vendor's tables of
    another has them; it can't know, and says so.
    """
    world.begin("balances", servers=2)
    world.load(["good", "good"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.take_back()
    world.purge()
    world.copy("shop_all")
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.clone(with_our_schema=False)
    world.finish()


def taken_back_where_only_the_tables_are_copied(world: World) -> None:
    """The copy has no rejects; our own database has those of the original."""
    world.begin("balances", servers=2)
    world.load(["good", "no"])
    world.transfer()
    world.clone(with_our_schema=False)
    world.take_back()
    world.finish()


def corrected_where_only_the_tables_are_copied(world: World) -> None:
    world.begin("balances", servers=2)
    world.load(["good", "no"])
    world.transfer()
    world.clone(with_our_schema=False)
    world.go_to("second", "balances")
    world.transfer()
    world.settle()
    world.transfer()
    world.send_again()
    world.finish()
    world.expect_complete("second")


def own_database_restored_to_before_an_undo(world: World) -> None:
    """A repeated undo takes nothing back twice."""
    world.load(["good", "no"])
    world.transfer()
    world.copy("own")
    world.take_back()
    world.transfer()
    world.restore("own")
    world.take_back()
    world.finish()
    world.expect_taken_back(2)


SCENARIOS = [
    taken_back_where_one_server_lags_and_one_went_back,
    taken_back_and_restored_before_a_server_looked,
    withdrawn_where_an_undocked_server_has_read,
    withdrawn_where_a_server_comes_back_that_has_read,
    withdrawn_and_shop_all_restored_to_before,
    withdrawn_and_restored_to_before_and_nobody_has_read_on,
    taken_back_where_a_copy_of_tables_is_all_that_is_left,
    taken_back_where_only_the_tables_are_copied,
    corrected_where_only_the_tables_are_copied,
]
# These in `make chaos` alone.
MORE = [
    taken_back_where_one_server_lags,
    taken_back_and_shop_all_restored_to_between,
    taken_back_after_a_rebase,
    taken_back_and_rebased,
    taken_back_in_a_dump,
    rejected_row_is_corrected_and_both_are_taken_back,
    rejected_row_is_corrected_after_it_was_taken_back,
    withdrawn_in_part_and_shop_all_restored_to_before,
    withdrawn_before_a_server_has_read,
    taken_back_where_a_server_is_cloned,
    taken_back_where_the_vendor_restores_his_tables,
    taken_back_where_the_originals_are_purged,
    own_database_restored_to_before_an_undo,
]
