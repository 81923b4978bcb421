"""Loads that are taken back, by the engine alone."""

from contextlib import ExitStack
from typing import Any
from uuid import UUID, uuid4

from tests.databases import connected, insert, run
from tests.flow import Flow
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import KINDS
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo import TakenBack, Undo
from transfer.engine.shop_all.withdrawal import withdraw

NOTE = """
    insert into datatransfer.loaded (token, kind, rows, origin, xid)
    select %s, %s, %s, origin, pg_current_xact_id() from datatransfer.origin
"""


def load(flow: Flow, *rows: tuple[Any, ...]) -> UUID:
    """Stages rows as a file is loaded; returns the load's token."""
    token = uuid4()
    with connected(flow.shop_all) as connection:
        run(connection, "begin")
        insert(connection, flow.kind, rows)
        run(connection, NOTE, [str(token), flow.kind, len(rows)])
        run(connection, "commit")
    return token


def take_back(flow: Flow, token: UUID, *others: Flow, locking: bool = False) -> TakenBack:
    """Takes a load back; with `locking` the positions of the flow and of `others` are locked."""
    kind = KINDS[flow.kind]
    with ShopAll(flow.shop_all, "undo") as shop_all, ExitStack() as stack:
        undo = Undo(shop_all, kind, token)
        with shop_all.database.transaction():
            undo.lock()
            if done := undo.done():
                return done
            chosen, withdrawn = undo.begin(), 0
            if locking:
                positions = [locked(stack, one, chosen.origin) for one in (flow, *others)]
                withdrawn = withdraw(undo.database, kind, chosen, [one for one in positions if one])
            rows = undo.stage("taken back") if kind.appends else 0
            return undo.note(rows, withdrawn)


def locked(stack: ExitStack, flow: Flow, origin: str) -> Any:
    """The flow's position, locked; None where it has none."""
    target = stack.enter_context(BonusDatabase(flow.bonus, "bonus", "undo"))
    stack.enter_context(target.database.transaction(commit=False))
    kind = KINDS[flow.kind]
    if not target.positions.exist(kind):
        return None
    return target.positions.lock(origin, kind)
