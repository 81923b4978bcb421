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


SCENARIOS = [
    own_database_restored_after_a_rebase,
    own_database_restored_after_a_rebase_and_rebased_again,
]
