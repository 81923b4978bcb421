"""Replays the staged rows one by one, and compares the result with the databases."""

from collections import Counter

from tests.chaos.reference import REFERENCES
from tests.databases import query
from transfer.engine.kinds import KINDS

TOTALS = ["applied", "unchanged", "rejected", "amount_applied", "amount_rejected"]


def assert_exact(own: str, shop_all: str, bonus: str, server: str, kind: str) -> int:
    """What was staged is what the bonus server holds and the history says; returns how many rows.

    `own`, `shop_all` and `bonus` are DSNs, `server` is the name of the bonus server.
    """
    columns = ", ".join(column.name for column in KINDS[kind].columns)
    staged = query(shop_all, f'select {columns} from "{KINDS[kind].staging}" order by xid, id')
    reference = REFERENCES[kind]()
    rejected = sum(reference.take(*row) is not None for row in staged)
    held = query(bonus, f'select {columns} from "{KINDS[kind].target}"')

    assert Counter(held) == Counter(reference.rows())
    (position,) = query(
        bonus,
        "select rows_applied, rows_unchanged, rows_rejected, amount_applied, amount_rejected "
        "from datatransfer.position where kind = %s",
        [kind],
    )
    (history,) = query(
        own,
        f"select {', '.join(f'sum({name})' for name in TOTALS)} from transfer_transferrun "
        "where kind = %s and server_name = %s",
        [kind, server],
    )
    ((rejects,),) = query(
        own,
        "select count(*) from transfer_rejectedrow r join transfer_bonusserver s "
        "on s.id = r.server_id where kind = %s and s.name = %s",
        [kind, server],
    )
    assert sum(position[:3]) == len(staged)
    counted = {"position": position[2], "our own database": rejects, "the rules": rejected}
    assert len(set(counted.values())) == 1, f"{server}, {kind}: rejected {counted}"
    assert history == position
    return len(staged)
