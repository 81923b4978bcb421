"""Staged rows after a restore: which positions have moved them, and a transaction of their time.

Rows that the same positions have moved are a group, and each group gets a transaction of its own
that no other row will ever carry.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import HistoryChanged
from transfer.engine.kinds import Kind
from transfer.engine.position import Position, moved, visible
from transfer.engine.shop_all.source import ShopAll


class Held(NamedTuple):
    """A position that is locked, and where it is."""

    target: BonusDatabase
    kind: Kind
    position: Position


# pg_trigger.tgenabled (PostgreSQL, "pg_trigger") and what turns a trigger on that way.
ENABLE = {"O": "enable", "A": "enable always", "R": "enable replica"}


@dataclass(frozen=True)
class Group:
    """Staged rows that the same positions have moved, and their new transaction."""

    xid: int
    # One character a position: 1 moved, 2 moved unless it was prepared, 3 younger than what has
    # been moved, though its number says moved, 0 not moved.
    signature: str
    is_new: bool  # written since the restore
    rows: int
    amount: Decimal


@dataclass(frozen=True)
class Restored:
    """What somebody knows of a physical restore: since when rows are new, or that none is."""

    at: datetime | None = None


def regroup(
    shop_all: ShopAll,
    kind: Kind,
    held: list[Held],
    restored: Restored | None,
    origin: str,
    *,
    is_dump: bool,
) -> list[Group]:
    """Gives every group of rows a transaction of its own, older ones first, and notes of rejected
    rows that were sent again theirs, under the new `origin`.
    """
    is_new = _is_new(restored)
    if is_dump:
        is_new = sql.SQL("({} or {})").format(is_new, is_new_since_dump(shop_all, kind))
    lost = [one.position for one in held if not _is_of_this_past(shop_all, one)]
    is_sure = sql.SQL("true") if is_dump else _is_sure(shop_all, lost, restored)
    of_kind = [
        (one.position, known_at(shop_all, one), one.position not in lost)
        for one in held
        if one.kind == kind
    ]
    signature = _signature(is_new, is_sure, of_kind)
    groups_written = shop_all.database.rows(
        sql.SQL(
            "select {signature}, count(*), coalesce(sum({amount}), 0) from {staged} group by 1"
        ).format(signature=signature, amount=sql.SQL(kind.amount), staged=kind.staged)
    )
    # Moved by more servers means staged earlier; what was written since the restore comes last.
    groups_written.sort(key=lambda row: (row[0].count("0"), row[0].startswith("n")))
    groups = [
        Group(_new_transaction(shop_all), written[1:], written[0] == "n", rows, amount)
        for written, rows, amount in groups_written
    ]
    if groups_written:
        cases = sql.SQL(" ").join(
            sql.SQL("when {} then {}::xid8").format(sql.Literal(row[0]), sql.Literal(str(g.xid)))
            for row, g in zip(groups_written, groups, strict=True)
        )
        fresh = sql.SQL("case {} {} end").format(signature, cases)
        shop_all.corrections.renumber(kind, origin, fresh, is_new, _rejected(held, kind))
        with _triggers_off(shop_all, kind):
            shop_all.database.execute(
                sql.SQL("update {} set xid = {}").format(kind.staging_table, fresh)
            )
    return groups


def _rejected(held: list[Held], kind: Kind) -> set[tuple[int, str]]:
    """The id and xid of the rows that some server has rejected under the identity of today."""
    return {
        row
        for one in held
        if one.kind == kind
        for row in one.target.rejects.rows_of(one.position.origin, kind)
    }


@contextmanager
def _triggers_off(shop_all: ShopAll, kind: Kind) -> Iterator[None]:
    """Neither ours nor head office's own fire within; after, each is on as it was."""
    on = shop_all.database.rows(
        "select tgname, tgenabled from pg_trigger "
        "where tgrelid = to_regclass(%s) and not tgisinternal and tgenabled <> 'D'",
        [kind.staging_table],
    )
    shop_all.database.execute(
        sql.SQL("alter table {} disable trigger user").format(kind.staging_table)
    )
    yield
    for name, enabled in on:
        shop_all.database.execute(
            sql.SQL("alter table {} {} trigger {}").format(
                kind.staging_table, sql.SQL(ENABLE[enabled]), sql.Identifier(name)
            )
        )


def _is_new(restored: Restored | None) -> sql.Composable:
    """SQL over a row: it was written since a physical restore."""
    if restored is None or restored.at is None:
        return sql.SQL("false")
    return sql.SQL("(created_at >= {})").format(sql.Literal(restored.at))


def is_new_since_dump(shop_all: ShopAll, kind: Kind) -> sql.Composable:
    """SQL over a row: it was written since a dump was restored.

    The restore wrote its rows in transactions of this cluster, so a restored row's version
    (`xmin`) is older than the transaction that it carries, or its transaction is older than the
    restore. A new row carries a transaction after the restore, and it or a later one (an update,
    a savepoint) wrote the version. PostgreSQL, "System Columns" and "Transaction ID functions".
    """
    written = sql.SQL("(pg_current_xact_id()::text::bigint - age(xmin))")
    restored = shop_all.database.value(
        sql.SQL(
            "select max({written}) from (select xmin from datatransfer.origin union all "
            "select xmin from {table} where xid::text::bigint > {written}) as restored"
        ).format(written=written, table=kind.staging_table)
    )
    return sql.SQL(
        "(xid > {restored}::xid8 and xid < pg_current_xact_id() and xid::text::bigint <= {written})"
    ).format(restored=sql.Literal(str(restored)), written=written)


def _is_sure(shop_all: ShopAll, lost: list[Position], restored: Restored | None) -> sql.Composable:
    """SQL over a row: its transaction had ended when the files were copied.

    One that was prepared then may end twice, and in two ways: the position knows the first.

    What a batch in the copy saw had ended then. A batch written since the restore proves nothing,
    and its time alone does not tell it apart: nobody may have said when the restore was, or said
    it wrongly. But only a position whose batch is there goes on after a restore. So the batches
    that count are those of the `lost` positions, which have refused since: what the log still has
    of their readers came with the copy. Where none of them has one, every row is asked about.
    """
    possible = shop_all.database.value("select current_setting('max_prepared_transactions') <> '0'")
    if not possible:
        return sql.SQL("true")
    before = restored.at if restored else None
    return sql.SQL("({})").format(visible(shop_all.log.last_snapshot_before(lost, before)))


def _signature(
    is_new: sql.Composable,
    is_sure: sql.Composable,
    positions: list[tuple[Position, datetime, bool]],
) -> sql.Composable:
    """SQL over a row: 'n' (new since the restore) or 'r' (restored), then a character a position,
    as `Group` has them.

    A position whose batch is still in the log is taken at its word, also for rows written since
    the restore: it has moved them under the numbers that they have now.
    """
    flags = [
        sql.SQL("case when {} then '1' else '0' end").format(moved(position))
        if is_valid
        else sql.SQL(
            "case when {} or not {} then '0' when created_at > {} then '3' when {} then '1' "
            "else '2' end"
        ).format(is_new, moved(position), sql.Literal(at), is_sure)
        for position, at, is_valid in positions
    ]
    return sql.SQL(" || ").join(
        [sql.SQL("case when {} then 'n' else 'r' end").format(is_new), *flags]
    )


def _is_of_this_past(shop_all: ShopAll, one: Held) -> bool:
    """Whether the log still has the position's batch, and no later position has its reader."""
    try:
        shop_all.identity.check_past(one.kind, one.position)
    except HistoryChanged:
        return False
    return not one.target.positions.rows_since(one.position)


def _new_transaction(shop_all: ShopAll) -> int:
    """Uses up a transaction of the cluster, so that no other row will ever carry it."""
    with shop_all.another() as other, other.database.transaction():
        return int(other.database.value("select pg_current_xact_id()"))


def known_at(shop_all: ShopAll, one: Held) -> datetime:
    """When the position's batch was begun, or else when it was moved: it knows nothing later."""
    return shop_all.log.begun_at(one.position) or one.target.positions.updated_at(one.position)
