"""Random histories: what happens next is drawn by a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.chaos.ledger.beginning import begin_as, begin_with_everything
from tests.chaos.ledger.chunk import commit_chunk, is_still_valid, plan_chunk
from tests.chaos.ledger.installation import Answer
from tests.chaos.ledger.names import digest_of
from tests.chaos.ledger.oracle import Wrong
from tests.chaos.ledger.rows import REPLACES, SETS, Key, Line, Refusal, Row
from tests.chaos.ledger.shop_all import Load
from tests.chaos.ledger.world import World

STEPS = 70  # of a history
MOST_COPIES = 6
FILES = "ABCD"
ACCOUNTS = "abcde"


# Writers, loads, calls ----------------------------------------------------------------------------


def draw_row(world: World) -> Row:
    return Row(world.random.randint(1, 99) * 10, world.random.choice(ACCOUNTS))


def write(world: World) -> None:
    """A writer stages rows and commits."""
    rows = [draw_row(world) for _ in range(world.random.randint(1, 3))]
    line = world.note(world.shop.stage(rows, world.shop.begin(), world.tick()))
    line.committed = True


def write_many(world: World) -> None:
    """Writers commit more transactions than an append takes."""
    for _ in range(world.random.randint(3, 6)):
        write(world)


def write_slowly(world: World) -> None:
    """A writer stages rows; others commit before."""
    world.note(world.shop.stage([draw_row(world)], world.shop.begin(), world.tick()))


def commit_slow_writer(world: World) -> None:
    if slow := [line for line in world.shop.staged if not line.committed]:
        line = world.random.choice(slow)
        line.committed = True
        world.say(line.changeset)


def make_content(content: str) -> list[Row]:
    """Return the rows of a file or call; their names are its lines."""
    drawn = Random(content)
    return [
        Row(drawn.randint(1, 99) * 10, drawn.choice(ACCOUNTS), line=line)
        for line in range(1, drawn.randint(2, 6))
    ]


def load_file(world: World) -> None:
    """Somebody loads a file: for the first time, once more on purpose, or one that was lost."""
    world.look(world.ours)
    content = world.random.choice(FILES)
    rows = make_content(content)
    lost = world.ours.is_file_lost(world.shop, rows)
    if not lost or world.random.random() < 0.2:
        copies = [load for load in world.shop.loads.values() if load.digest == digest_of(rows)]
        if len(copies) > 2:
            return
        world.wanted[content] = world.wanted.get(content, 0) + 1
    name = world.ours.choose_file_name(world.shop, rows)
    stage_load(world, content, name, rows, Load(digest_of(rows)))


def call(world: World) -> None:
    """A program calls the API: first, again, or (by mistake) with other content under its key."""
    world.look(world.ours)
    key = world.random.choice(["K1", "K2", "K3"])
    usual = f"{key} usual"
    content = f"{key} other" if world.random.random() < 0.15 else usual
    rows = make_content(content)
    answer = world.ours.answer_call(world.shop, key, rows)
    world.say(content, answer.status)
    check_answer(world, key, content, answer)
    if answer.status == 201:
        stage_load(world, key, answer.changeset, rows, Load(digest_of(rows), key))
        world.wanted[key] = 1


def check_answer(world: World, key: str, content: str, answer: Answer) -> None:
    here = [load for load in world.shop.loads.values() if load.idempotency_key == key]
    if answer.status == 200 and not here:
        raise Wrong(f"{key} is answered as loaded before, but shop All lacks it")
    taken_back = answer.changeset in world.truth.undone_at
    other_content = world.content_of_key.get(key, content) != content
    if answer.status == 409 and not (here or taken_back or other_content):
        raise Wrong(f"{key} is refused without a reason")
    if answer.status == 201:
        world.content_of_key[key] = content


def stage_load(world: World, content: str, name: str, rows: list[Row], load: Load) -> None:
    world.ours.record_load(world.shop, name, load)
    world.content[name] = content
    line = world.shop.stage(rows, world.shop.begin(), world.tick(), name, load=True)
    world.note(line).committed = True


# What depends on rows -----------------------------------------------------------------------------


def take_back(world: World) -> None:
    world.look(world.ours)
    found = [line.changeset for line in world.shop.log if line.load and not line.withdrawn][-6:]
    if found:
        world.take_back(world.random.choice(found))


def leads_to_opposite(world: World, key: Key) -> bool:
    fact = world.truth.facts[key]
    return fact.effect == "reverses" or (bool(fact.of) and leads_to_opposite(world, fact.of))


def correct(world: World) -> None:
    """Somebody corrects several rejects of several changesets at once."""
    world.look(world.ours)
    found = sorted(
        {
            key
            for server in world.servers.values()
            for key, reject in server.rejects.items()
            if reject.is_open and world.truth.facts[key].effect != SETS
        }
    )
    rows = []
    for key in world.random.sample(found, min(len(found), world.random.randint(1, 3))):
        fact = world.truth.facts[key]
        root = fact.root or key
        sign = -1 if leads_to_opposite(world, key) else 1
        first = world.truth.facts[root].amount
        row = Row(world.random.randint(1, 99) * sign, fact.account, REPLACES, key, root, first)
        if (sign < 0 and world.shop.line(key[0])) or not world.shop.refuses_dependent(key, root):
            rows.append(row)
    if rows:
        world.stage_dependent(rows)


def list_plain(world: World) -> list[tuple[Line, Row]]:
    """Return the last staged rows that depend on nothing."""
    return [
        (line, row) for line in world.shop.log for row in line.present() if not row.effect
    ][-12:]  # fmt: skip


def change(world: World) -> None:
    """Head office changes a row in place; our trigger keeps the first amount."""
    plain = list_plain(world)
    plain += [(line, row) for line in world.shop.staged for row in line.rows
              if line.committed and not row.effect]  # fmt: skip
    if plain:
        line, row = world.random.choice(plain)
        row.amount, row.changed = world.random.randint(1, 99) * 10 + 1, True
        world.say(line.changeset, row.name, row.amount)


def send_changes(world: World) -> None:
    """Somebody sends changed rows: the new amounts, or the rows as they are now once more."""
    world.look(world.ours)
    found = [
        (line, row)
        for line, row in list_plain(world)
        if row.changed and (line.changeset, row.name) not in world.unnamed_gone
    ]
    rows = []
    for line, row in world.random.sample(found, min(len(found), world.random.randint(1, 3))):
        key = (line.changeset, row.name)
        if world.shop.refuses_dependent(key, key):
            continue
        if world.opposites:
            rows.append(Row(row.amount, row.account, SETS, key, key, row.first))
        else:
            rows.append(Row(row.amount, row.account))
    if rows:
        world.stage_dependent(rows)


def discard(world: World) -> None:
    server = world.pick()
    if found := sorted(key for key, reject in server.rejects.items() if reject.is_open):
        key = world.random.choice(found)
        server.rejects[key].resolved_by = "discarded"
        server.trace.delivered.append(("discarded", key, 0))
        server.set_version(world.draw("v"))
        world.say(server.name, key)


def delete_by_hand(world: World) -> None:
    roots = {fact.root for fact in world.truth.facts.values()}
    # Known limit: a writer's row that was deleted has no name, unless something depends on it here.
    plain = [(line, row) for line, row in list_plain(world)
             if line.load or (line.changeset, row.name) not in roots
             or row.name in world.shop.list_named_rows(line.changeset)]  # fmt: skip
    if plain:
        line, row = world.random.choice(plain)
        line.deleted.add(row.name)
        world.say(line.changeset, row.name)


# Restores of shop All and of our own database -----------------------------------------------------


def copy_shop(world: World) -> None:
    if len(world.copies) < MOST_COPIES:
        world.copies.append((world.tick(), world.shop.copy()))


def restore_shop(world: World) -> None:
    """Shop All becomes a copy of some time: by files, or by a dump into a new cluster."""
    if not world.copies:
        return
    number = world.random.randrange(len(world.copies))
    event, copy = world.copies[number]
    if world.random.random() < 0.3:
        world.copies.append((world.tick(), world.shop.copy()))
    world.shop = copy.copy()
    world.restored_after_removal = world.removed
    world.restores += 1
    world.shop.restart(world.tick(), new_cluster=world.random.random() < 0.3)
    for name, began_at in world.began_at.items():
        if began_at > event:
            world.lowered_at[name] = world.tick()
    world.say(number)


def restart_shop(world: World) -> None:
    world.shop.staged = [line for line in world.shop.staged if line.committed]
    world.shop.restart(world.tick(), new_cluster=False)


def forget(world: World) -> None:
    """Our own database loses what it has seen of the log, but not loads and undos."""
    world.ours.forget()
    world.forgot = True
    world.restores += 1


# Transfers ----------------------------------------------------------------------------------------


def move_chunk(world: World) -> None:
    server = world.pick()
    if world.random.random() < 0.1:  # the run dies before its commit
        before = server.copy()
        world.move(server)
        world.servers[server.name] = before
    else:
        world.move(server)


def drain(world: World) -> None:
    world.drain(world.pick().name)


def read_ahead(world: World) -> None:
    """A second runner reads the next chunk, and will commit it later."""
    server = world.pick()
    world.look(world.installation_of(server.name))
    if server.is_anchored(world.shop):
        try:
            plan = plan_chunk(server, world.shop, world.draw_limit())
        except Refusal:
            return
        world.plans.append((server.name, plan))
        world.say(server.name, server.version)


def commit_ahead(world: World) -> None:
    if world.plans:
        name, plan = world.plans.pop(world.random.randrange(len(world.plans)))
        server = world.servers[name]
        if server.is_at(plan.version, plan.position) and is_still_valid(plan, world.shop):
            world.commit(server, plan)
            if world.random.random() < 0.5:  # the answer to the commit was lost: tried again
                world.plans.append((name, plan))


def read_two_ahead(world: World) -> None:
    """A runner reads the chunk after the next one ahead; its commit of the next one fails."""
    server = world.pick()
    world.look(world.installation_of(server.name))
    if server.is_anchored(world.shop):
        try:
            after = server.copy()
            plan = plan_chunk(after, world.shop, world.draw_limit())
            commit_chunk(after, plan, world.draw("v"), opposites=world.opposites)
            plan = plan_chunk(after, world.shop, world.draw_limit())
        except Refusal:
            return
        world.plans.append((server.name, plan))
        world.say(server.name, after.version)


# Restores, beginnings, deaths of servers ----------------------------------------------------------


def copy_server(world: World) -> None:
    if len(world.templates) < MOST_COPIES:
        world.templates.append(world.pick().copy())


def restore_server(world: World) -> None:
    if world.templates:
        server = world.random.choice(world.templates).copy()
        server.trace.went_back = True
        world.servers[server.name] = server
        world.lowered_at[server.name] = world.tick()
        world.restores += 1
        world.say(server.name, server.number)


def begin_as_server(world: World) -> None:
    """The vendor copies a server's tables; later the copy is docked "as server X"."""
    source = world.pick()
    copied = source.copy()
    if world.random.random() < 0.3:
        world.move(source)
        source = world.servers[source.name]
    for name in sorted(world.servers):
        if name != source.name and world.owner[name] == world.owner[source.name]:
            try:
                world.put(begin_as(source, copied, name))
            except Refusal:
                return
            world.say(source.name, "->", name)


def begin(world: World) -> None:
    server = world.pick()
    world.look(world.installation_of(server.name))
    if world.random.random() < 0.3:
        world.begin_nothing(server.name)
        return
    append_before_beginning(world)
    try:
        begun = begin_with_everything(server.name, world.shop, world.draw("v"))
    except Refusal:
        return
    begun.trace.went_back = True
    begun.trace.began_with |= {line.changeset for line in world.shop.staged if line.committed}
    for line in world.shop.staged:
        for row in line.rows if line.committed and not line.withdrawn else ():
            if not row.effect:
                begun.trace.filled[line.changeset, row.name] = row.amount
    world.put(begun)
    world.say(server.name, "begins with everything")


def append_before_beginning(world: World) -> None:
    """Give a line to all that is staged: "everything up to now" must have a number."""
    world.append_all()


def die(world: World) -> None:
    server = world.pick()
    world.dead ^= {server.name}
    world.known[server.name] = server.copy()


def merge_receipts(world: World) -> None:
    world.pick().merge_receipts()


# Purges and lifetimes -----------------------------------------------------------------------------


def purge(world: World) -> None:
    """An installation purges what nobody needs, by the registry."""
    name = world.random.choice(sorted(world.installations))
    world.look(world.installations[name])
    if world.register(name):
        for line in world.shop.log[: world.shop.needed_from() - 1]:
            if line.rows and not line.purged and world.random.random() < 0.7:
                world.note_purged(line)
        world.say(name, world.shop.needed_from())


def expire(world: World) -> None:
    """Lines whose lifetime is over go."""
    name = world.random.choice(sorted(world.installations))
    world.look(world.installations[name])
    if world.register(name):
        for number in world.shop.list_expired(world.shop.needed_from()):
            if world.random.random() < 0.7:
                world.say(world.shop.log[number - 1].changeset)
                world.shop.remove_line(number)
                world.removed = True
        remove_exceptions(world)


def remove_exceptions(world: World) -> None:
    """Exceptions of lines that went stay: a lost load that is repeated is known by them."""


Step = Callable[[World], None]
FREQUENCIES: dict[Step, float] = {
    write: 2.5, write_many: 0.7, write_slowly: 1.5, commit_slow_writer: 1.5, load_file: 5,
    call: 2.5, move_chunk: 16, drain: 3, take_back: 4, correct: 8, change: 4, send_changes: 5,
    discard: 1, delete_by_hand: 0.6, copy_shop: 5, restore_shop: 7, restart_shop: 0.4,
    copy_server: 2, restore_server: 3, begin_as_server: 1, purge: 2, expire: 1.5, die: 0.7,
    begin: 0.7, merge_receipts: 0.3, read_ahead: 4, commit_ahead: 4, read_two_ahead: 1.5,
    forget: 0.2,
}  # fmt: skip


# What some histories have more of, each so many times.
PROFILES: list[dict[Step, float]] = [
    {},
    {purge: 4, expire: 8, begin: 3, load_file: 1.5, restart_shop: 4},
    {write_many: 5, write_slowly: 3, commit_slow_writer: 3, restart_shop: 4, begin: 4},
    {take_back: 2, call: 3, load_file: 2, delete_by_hand: 4, begin: 3},
]


def play(seed: int, steps: int = STEPS) -> World:
    """Play a history to its end. Raises Wrong, with what happened."""
    world = World(seed)
    profile = PROFILES[seed % len(PROFILES)]
    weights = [often * profile.get(step, 1) for step, often in FREQUENCIES.items()]
    try:
        for step in world.random.choices(list(FREQUENCIES), weights, k=steps):
            world.trail.append(step.__name__)
            step(world)
        world.trail.append("end")
        for name in world.servers:
            world.drain(name)
    except Wrong as error:
        raise Wrong("\n".join([*world.trail, f"seed {seed}: {error}"])) from None
    return world
