"""Ten million staged rows that were moved long ago, and what the bonus servers hold of them."""

from bench import data, engine
from bench.ground import Installation
from bench.writers import drop_indexes, indexes_of
from tests.databases import connected, query, run

ROWS_A_STATEMENT = 1_000_000
DIFFERENT = 2_000_000
ACCOUNT = f"(4100000000 + n::bigint * 7919 % {DIFFERENT} * 37)::varchar(100)"
CARD = f"(7780000000000 + n::bigint * 7919 % {DIFFERENT} * 4099)::varchar(100)"
PIN = "lpad((n % 10000)::text, 4, '0')"
VALUES = {
    "balances": f"{ACCOUNT}, (n % 9999 + 1)::numeric / 100, now(), now() + interval '1 year', "
    "'Начисление по акции ' || n",
    "cards": f"{CARD}, {ACCOUNT}, n % 4",
    "pincodes": f"{ACCOUNT}, {PIN}",
}
SHARE = {"balances": 1, "cards": 5, "pincodes": 10}  # of so many balance changes, one
HELD = {"balances": 500_000, "cards": 200_000, "pincodes": 100_000}  # by each bonus server


def fill(at: Installation, rows: int) -> None:
    """As many balance changes, and fewer of the others, under the number of a transaction that
    every position has seen: the staging tables must hold a row each, and it must have been moved.
    """
    for kind, share in SHARE.items():
        table, _ = engine.tables(kind)
        indexes = indexes_of(at.shop_all, table)
        drop_indexes(at.shop_all, table)
        triggers = stop_triggers(at.shop_all, table)
        insert(at.shop_all, kind, max(rows // share, 1))
        with connected(at.shop_all) as connection:
            run(connection, "set maintenance_work_mem = '512MB'")
            run(connection, "; ".join([*indexes, *triggers]))
    query(at.shop_all, "vacuum analyze")


def insert(shop_all: str, kind: str, rows: int) -> None:
    """`rows` rows."""
    table, _ = engine.tables(kind)
    ((xid, started),) = query(
        shop_all, f'select xid::text, started::text from "{table}" order by xid, started limit 1'
    )
    names = [*engine.columns(kind), "xid", "started"]
    values = f"{VALUES[kind]}, '{xid}'::xid8, '{started}'::timestamptz"
    for first in range(1, rows + 1, ROWS_A_STATEMENT):
        last = min(first + ROWS_A_STATEMENT - 1, rows)
        query(shop_all, data.insert(table, names, values, first, last))


def stop_triggers(shop_all: str, table: str) -> list[str]:
    """Returns what starts them again, as they were."""
    triggers = query(
        shop_all,
        "select quote_ident(tgname), tgenabled from pg_trigger "
        "where tgrelid = to_regclass(%s) and not tgisinternal",
        [f'"{table}"'],
    )
    words = {"A": "enable always", "O": "enable", "R": "enable replica", "D": "disable"}
    query(shop_all, f'alter table "{table}" disable trigger user')
    return [f'alter table "{table}" {words[state]} trigger {name}' for name, state in triggers]


def hold(bonus: str, factor: float) -> None:
    """The bonus server's own tables, filled as if it had been at work for long."""
    for kind, full in HELD.items():
        _, table = engine.tables(kind)
        statement = data.insert(
            table, engine.columns(kind), VALUES[kind], 1, max(int(full * factor), 1)
        )
        query(bonus, f"{statement} on conflict do nothing")
    query(bonus, "vacuum analyze")
