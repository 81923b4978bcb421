"""A file whose first row a bonus server has is taken back: the allowed outcomes."""

import tempfile
from pathlib import Path
from typing import Any

from tests.chaos.commands import KIND, Situation
from tests.chaos.warm import Outcome
from tests.databases import query

ROWS = {"8": 10, "9": 20}
AMOUNTS = "select account, count(*)::int, sum(amount)::int from asset group by 1"
IS_UNDONE = "select exists (select from datatransfer.loaded where undoes is not null)"


def load_and_read_half(situation: Situation) -> None:
    """The server has the row of account 8; that of account 9 waits."""
    lines = [f"{account};{amount}" for account, amount in ROWS.items()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.csv"
        path.write_text("\n".join(["account;amount", *lines]))
        done = situation.product.do("command", arguments=["load_staging", KIND, str(path)])
    assert done.result["code"] == 0, done.result
    situation.product.do("run", kind=KIND, chunk_rows=2, one_chunk=True)
    assert ("8", 1, 10) in query(situation.bonus, AMOUNTS)


def take_back(situation: Situation, fault: Any = None) -> Outcome:
    return situation.product.do("command", fault, arguments=["load", "undo", "1"])


def wrong(situation: Situation) -> list[str]:
    """The faults of the next steps: a transfer, the undo again, and another transfer."""
    ((is_undone,),) = query(situation.shop_all, IS_UNDONE)
    found = _after_a_transfer(situation, is_undone)
    again = take_back(situation)
    if again.code or again.result["code"]:
        found.append(f"once more it says {again.result} {again.stderr}")
    found += _after_a_transfer(situation, is_undone=True)
    states = query(situation.own, "select input_method, state from transfer_upload order by id")
    if states != [("command", "loaded"), ("undo", "loaded")]:
        found.append(f"the loads are {states}")
    return found


def _after_a_transfer(situation: Situation, is_undone: bool) -> list[str]:
    found = []
    ran = situation.product.do("run_and_reconcile", kind=KIND, chunk_rows=2).result
    if ran["error"] or ran["holds"] is not True:
        found.append(f"the transfer says {ran}")
    held = {account: (rows, amount) for account, rows, amount in query(situation.bonus, AMOUNTS)}
    for account, amount in ROWS.items():
        # A row that was withdrawn has never arrived.
        right = {(2, 0), (0, 0)} if is_undone else {(1, amount)}
        if held.get(account, (0, 0)) not in right:
            found.append(f"account {account}: {held.get(account)}, taken back: {is_undone}")
    others = {account: rows for account, (rows, _) in held.items() if account not in ROWS}
    if others != dict.fromkeys(("1", "3", "4", "5"), 1):
        found.append(f"the other rows are {others}")
    return found
