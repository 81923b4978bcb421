"""Histories, step by step, in which staged rows are changed or rejected rows are corrected."""

from tests.chaos.world import World


def changed_after_both_servers_have_read(world: World) -> None:
    """An amount is sent to those that had the old one; a new PIN code to everybody."""
    world.begin("balances", "pincodes", servers=2)
    for flow in world.now.flows:
        world.go_to(*flow)
        world.stage(["good"] * 2)
    for flow in world.now.flows:
        world.go_to(*flow)
        world.transfer()
    world.change(0, "3")
    world.go_to("bonus", "balances")
    world.change(0, "3")
    world.transfer()
    world.finish()


def changed_while_its_batch_is_read(world: World) -> None:
    """One server has the old amount; the other is in the middle of the batch."""
    world.begin("balances", servers=2)
    world.stage(["good"] * 2)
    world.go_to("second", "balances")
    world.transfer()
    world.go_to("bonus", "balances")
    world.transfer(1, one_chunk=True)
    world.change(1, "3")
    world.decide("send")
    world.transfer()
    world.finish()


def changed_and_shop_all_restored(world: World) -> None:
    """The copy knows neither the change nor the decision; the server has the new amount."""
    world.stage(["good"] * 2)
    world.transfer()
    world.copy("shop_all")
    world.change(0, "3")
    world.decide("send")
    world.transfer()
    world.restore("shop_all")
    world.finish()


def changed_and_rebased(world: World) -> None:
    """A change before a rebase is still shown after it."""
    world.begin("cards", servers=2)
    world.stage(["good"] * 2)
    world.transfer()
    world.change(1, "2")
    world.copy("shop_all")
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.transfer()
    world.finish()


def correction_of_an_identity_that_is_gone(world: World) -> None:
    """A row is corrected after a rebase, and shop All goes back to before that rebase."""
    world.stage(["no"])
    world.transfer()
    world.copy("shop_all")
    world.stage(["good"])
    world.transfer()
    world.restore("shop_all")
    world.expect_refused("history_changed")
    world.settle()
    world.send_again()
    world.restore("shop_all")
    world.transfer()
    world.settle()
    world.finish()


SCENARIOS = [
    changed_after_both_servers_have_read,
    changed_while_its_batch_is_read,
    changed_and_shop_all_restored,
    changed_and_rebased,
    correction_of_an_identity_that_is_gone,
]
