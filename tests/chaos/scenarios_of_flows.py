"""Histories, step by step, with two bonus servers: what one of them has read, the other has not."""

from tests.chaos.world import World


def restored_to_before_what_one_server_has_read(world: World) -> None:
    """The other's batch is in the copy. Our own history shows the restore, so it does not go on."""
    _second_has_read_on(world)
    world.restore("shop_all")
    world.go_to("bonus", "balances")
    world.stage(["good"])
    world.expect_refused("shop_all_restored")
    world.finish()


def restored_with_our_own_database_to_before_what_one_server_has_read(world: World) -> None:
    """The other goes on before anybody looks, and that counts."""
    _second_has_read_on(world)
    world.restore("shop_all")
    world.restore("own")
    world.go_to("bonus", "balances")
    world.stage(["good"])
    world.expect_done()
    world.finish()


def _second_has_read_on(world: World) -> None:
    world.begin("balances", servers=2)
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.stage(["good"])
        world.transfer()
    world.copy("shop_all")
    world.copy("own")
    world.stage(["good"])
    world.transfer()


def corrected_before_the_other_server_has_read(world: World) -> None:
    """That server refuses the row, too, and meets both in one chunk."""
    world.begin("balances", servers=2)
    world.go_to("second", "balances")
    world.stage(["no", "good"])
    world.transfer()
    world.send_again()
    world.go_to("bonus", "balances")
    world.transfer(8)
    world.finish()


def corrected_where_a_server_may_have_the_row(world: World) -> None:
    """A server has the row. It goes back to before a later one, which is purged as well, and an
    administrator lets it go on without: then it is not certain about the correction. The other one
    refuses that, and it is sent once more, for that one.
    """
    world.begin("balances", servers=2)
    world.stage(["here"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.copy("bonus")
    world.stage(["good"])
    for server in ("bonus", "second"):
        world.go_to(server, "balances")
        world.transfer()
    world.send_again("here")
    world.transfer()
    world.purge()
    world.restore("bonus")
    world.go_to("bonus", "balances")
    world.expect_refused("rows_purged")
    world.settle()
    world.expect_refused("batch_forgotten")
    world.settle()
    world.expect_done()
    world.send_again()
    world.finish()
    world.decide_uncertain()
    world.finish()


SCENARIOS = [
    restored_to_before_what_one_server_has_read,
    restored_with_our_own_database_to_before_what_one_server_has_read,
    corrected_before_the_other_server_has_read,
    corrected_where_a_server_may_have_the_row,
]
