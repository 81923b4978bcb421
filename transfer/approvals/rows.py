"""What would be staged, summed up: for limits, for the approver, and for "By hand"."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.staging_import import GOOD, StagingImport
from transfer.models import Approval
from transfer.models.approvers import all_own_numbers
from transfer.models.entries import MOST_ROWS

# The lines of an import that have to be looked at. One that corrects a rejected row, and keeps its
# numbers and its amount, has passed before. So has one of a kind without amounts that keeps each
# value but secrets.
LINES = """
    select {first} as one, {second} as other, {amount} as amount from pg_temp.incoming
     where {good} and not (of_changeset is not null and keeps @> {kept}::text[])
"""
# The rows of a load that an undo takes back. By the primary key and the index on names of rows.
OF_LOAD = """
    select ours.{first} as one, {second} as other, {amount} as amount
      from {staged} join datatransfer.load on load.xid = ours.xid and load.started = ours.started
     where load.changeset = {changeset}::uuid
"""
SUMS = """
    select count(*), coalesce(max(abs(amount)), 0), coalesce(sum(abs(amount)), 0),
           coalesce(sum(amount), 0) from ({entered}) as entered
"""
OWN = """
    select one from ({entered}) as entered where btrim(one) = any({numbers}::text[])
     union select other from ({entered}) as entered where btrim(other) = any({numbers}::text[])
"""
LISTED = """
    select one, other, amount from ({entered}) as entered
     order by abs(amount) desc nulls last, one limit {most}
"""

Row = tuple[str, str, Decimal | None]


@dataclass(frozen=True)
class Rows:
    """What would be staged at once.

    `largest` and `total` are of amounts without their signs, `amount` is their sum. `own`: numbers
    of users. `listed`: the largest (number, other number, amount). `digest` tells
    whether the same rows come again; it is asked for while the transaction is open.
    """

    kind: str
    count: int = 0
    largest: Decimal = Decimal(0)
    total: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    own: list[str] = field(default_factory=list)
    listed: list[Row] = field(default_factory=list)
    digest: Callable[[], str] = str

    def as_report(self) -> dict[str, Any]:
        """Return what a preview keeps, so that a page can say what exceeds a limit."""
        return {"largest": str(self.largest), "total": str(self.total), "own": self.own}


def of_report(kind: str, kept: dict[str, Any]) -> Rows:
    """Return the rows of which a preview has kept this; see `as_report`."""
    largest, total = Decimal(kept["largest"]), Decimal(kept["total"])
    return Rows(kind, largest=largest, total=total, own=kept["own"])


def of_approval(approval: Approval) -> Rows:
    """Return the rows that have waited for a second person."""
    return Rows(
        approval.upload.kind,
        approval.rows,
        approval.largest,
        approval.total,
        approval.upload.amount or Decimal(0),
        listed=approval.listed(),
    )


def of_lines(staged: StagingImport) -> Rows:
    """Sum up the good lines of an import."""
    kind = staged.kind
    first, second = _numbers(kind)
    shown = [name for name in kind.names if name not in kind.secrets]
    kept = [*kind.numbers, "amount"] if kind.appends else shown
    entered = sql.SQL(LINES).format(
        first=sql.SQL(first),
        second=sql.SQL(second),
        amount=sql.SQL(f"({kind.amount})"),
        good=sql.SQL(GOOD),
        kept=sql.Literal(kept),
    )
    return _summed_up(staged.database, kind, entered, lambda: staged.digest().hex())


def of_load(database: Database, kind: Kind, changeset: str) -> Rows:
    """Sum up the rows that the undo of a load takes back; the caller has begun a transaction."""
    first, second = _numbers(kind)
    entered = sql.SQL(OF_LOAD).format(
        first=sql.Identifier(first),
        second=sql.SQL("ours." + second if second in kind.names else second),
        amount=sql.SQL("coalesce(ours.first, ours.amount)" if kind.appends else "null::numeric"),
        staged=kind.staged,
        changeset=sql.Literal(changeset),
    )
    return _summed_up(database, kind, entered, lambda: sha256(changeset.encode()).hexdigest())


def of_differences(kind: Kind, rows: Iterable[tuple[str, str, Decimal | None]], name: str) -> Rows:
    """Sum up the differences of rows that were changed in place; `name` names the rows."""
    listed = [*rows]
    amounts = [amount or Decimal(0) for _one, _other, amount in listed]
    own = {*all_own_numbers()}
    return Rows(
        kind.name,
        len(listed),
        max(map(abs, amounts), default=Decimal(0)),
        sum(map(abs, amounts), Decimal(0)),
        sum(amounts, Decimal(0)),
        sorted({one for row in listed for one in row[:2] if one.strip() in own}),
        sorted(listed, key=lambda row: -abs(row[2] or Decimal(0)))[:MOST_ROWS],
        lambda: sha256(name.encode()).hexdigest(),
    )


def _numbers(kind: Kind) -> tuple[str, str]:
    first, *others = kind.numbers
    return first, others[0] if others else "null::text"


def _summed_up(
    database: Database, kind: Kind, entered: sql.Composed, digest: Callable[[], str]
) -> Rows:
    own = all_own_numbers()
    if not kind.appends and not own:  # such rows have no amounts: there is nothing to ask about
        return Rows(kind.name)
    count, largest, total, amount = database.only_row(sql.SQL(SUMS).format(entered=entered))
    numbers = sql.Literal(own)
    found = database.rows(sql.SQL(OWN).format(entered=entered, numbers=numbers)) if own else []
    listed = database.rows(sql.SQL(LISTED).format(entered=entered, most=sql.Literal(MOST_ROWS)))
    return Rows(
        kind.name,
        count,
        largest,
        total,
        amount,
        sorted({str(one).strip() for (one,) in found}),
        [(one or "", other or "", value) for one, other, value in listed],
        digest,
    )
