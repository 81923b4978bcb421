"""Rows for the staging tables and the bonus servers, made by SQL: never row by row.

Accounts and cards come in an order of their own, as they do in a chain: n * 7919 modulo a power of
ten runs through all numbers without repeating one.
"""

from bench.engine import columns, tables
from tests.databases import query

ROWS_A_TRANSACTION = 10_000
DIFFERENT = 10_000_000
SCATTERED = f"(n::bigint * 7919 % {DIFFERENT})"
ACCOUNT = f"('41' || lpad({SCATTERED}::text, 8, '0'))"
CARD = f"('77800' || lpad({SCATTERED}::text, 8, '0'))"
# Five changes of each of 200,000 accounts, in a million.
BALANCE_ACCOUNT = "('41' || lpad((n::bigint * 7919 % 200000)::text, 8, '0'))"

STAGED = {
    "balances": f"{BALANCE_ACCOUNT}, (n % 99999 + 1) / 100.0, now(), now() + interval '1 year', "
    "'Начисление по акции ' || n",
    "pincodes": f"{ACCOUNT}, lpad((n % 10000)::text, 4, '0')",
    "cards": f"{CARD}, {ACCOUNT}, n % 4",
}
# What a bonus server holds of the same rows: another value each, or the very same.
HELD = {
    ("pincodes", "changed"): f"{ACCOUNT}, 'x' || n % 10000",
    ("pincodes", "unchanged"): STAGED["pincodes"],
    ("cards", "changed"): f"{CARD}, {ACCOUNT}, (n + 1) % 4",
    ("cards", "unchanged"): STAGED["cards"],
}


def insert(table: str, names: list[str], values: str, first: int, last: int) -> str:
    """SQL that inserts rows `first` to `last`; `values` are expressions over n."""
    return (
        f'insert into "{table}" ({", ".join(names)}) '
        f"select {values} from generate_series({first}, {last}) as n"
    )


def stage(shop_all: str, kind: str, rows: int) -> None:
    """Stages rows in transactions of 10,000, as a head office's nightly script would."""
    table, _ = tables(kind)
    for first in range(1, rows + 1, ROWS_A_TRANSACTION):
        last = min(first + ROWS_A_TRANSACTION - 1, rows)
        query(shop_all, insert(table, columns(kind), STAGED[kind], first, last))
    query(shop_all, f'vacuum analyze "{table}"')


def hold(bonus: str, kind: str, state: str, rows: int) -> None:
    """Fills a bonus server's table, as if it had been there long."""
    _, table = tables(kind)
    query(bonus, insert(table, columns(kind), HELD[kind, state], 1, rows))
    query(bonus, f'vacuum analyze "{table}"')
