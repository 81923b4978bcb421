"""The staging database's side of "fix and resend": judged, and staged anew once. No Django.

A row and the note that it was sent are written in one transaction, so that a process which dies
afterwards, or a second browser, can't send it twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from psycopg2 import sql

from transfer.errors import NotInitialised
from transfer.kinds import Kind
from transfer.shop_all import quoted
from transfer.staging import Staging


@dataclass(frozen=True)
class Correction:
    """What a rejected row shall say. Columns in `kept` are taken from the old row, unseen."""

    origin: str
    old_id: int
    values: dict[str, str | None] = field(repr=False)
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sent:
    """The row that was staged for a rejected one; `fresh`: now, and not before."""

    new_id: int
    new_xid: int
    fresh: bool


class ResendDoor(Staging):
    """Everything about the corrections of one kind."""

    def __init__(self, dsn: str, kind: Kind) -> None:
        super().__init__(dsn, "resend", secret=any(column.secret for column in kind.columns))
        self.kind = kind

    def require_table(self) -> None:
        if self.one("select to_regclass('datatransfer.resent')")[0] is None:
            raise NotInitialised(missing="datatransfer.resent")

    def faults(self, corrections: Iterable[Correction]) -> dict[int, str]:
        """Old id → code of the first check that the correction fails, for those that fail."""
        query, values = self._corrected(list(corrections))
        fault = sql.SQL(self.kind.fault.replace("%", "%%"))
        found = self.rows(
            sql.SQL("select old_id, {} as fault from ({}) as corrected").format(fault, query),
            values,
        )
        return {old_id: code for old_id, code in found if code is not None}

    def send(self, corrections: Iterable[Correction]) -> dict[int, Sent]:
        """Stages what has not been sent before; the caller commits. Old id → what was sent.

        In the order of the old ids, so that two at once wait for each other instead of locking
        each other out.
        """
        ordered = sorted(corrections, key=lambda one: (one.origin, one.old_id))
        return {one.old_id: self._send(one) for one in ordered}

    def _send(self, one: Correction) -> Sent:
        key = [one.origin, self.kind.name, one.old_id]
        fresh = self.execute(
            "insert into datatransfer.resent (origin, kind, old_id) values (%s, %s, %s) "
            "on conflict do nothing",
            key,
        )
        if fresh:
            new_id, new_xid = self._stage(one)
            self.execute(
                "update datatransfer.resent set new_id = %s, new_xid = %s::xid8 "
                "where origin = %s and kind = %s and old_id = %s",
                [new_id, new_xid, *key],
            )
            return Sent(new_id, int(new_xid), fresh=True)
        sent = self.sent_before(one.origin, [one.old_id])
        return sent[one.old_id]

    def _stage(self, one: Correction) -> tuple[int, str]:
        query, values = self._corrected([one])
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in self.kind.columns)
        ((new_id, new_xid),) = self.rows(
            sql.SQL(
                "insert into {table} ({names}) select {names} from ({query}) as corrected "
                "returning id, xid::text"
            ).format(table=quoted(self.kind), names=names, query=query),
            values,
        )
        return new_id, new_xid

    def sent_before(self, origin: str, old_ids: list[int]) -> dict[int, Sent]:
        found = self.rows(
            "select old_id, new_id, new_xid::text from datatransfer.resent "
            "where origin = %s and kind = %s and old_id = any(%s)",
            [origin, self.kind.name, old_ids],
        )
        return {old: Sent(new, int(xid), fresh=False) for old, new, xid in found}

    def _corrected(self, corrections: list[Correction]) -> tuple[sql.Composed, dict[str, Any]]:
        """A query for the corrected rows, and its parameters. Secrets come from the old row."""
        values: dict[str, Any] = {"ids": [one.old_id for one in corrections]}
        chosen, given = [], ["old_id"]
        arrays: list[sql.Composable] = [sql.SQL("%(ids)s::bigint[]")]
        for column in self.kind.columns:
            name, type_ = sql.Identifier(column.name), sql.SQL(column.carried_as)
            values[column.name] = [one.values.get(column.name) for one in corrections]
            values[f"{column.name}_kept"] = [column.name in one.kept for one in corrections]
            kept = sql.Identifier(f"{column.name}_kept")
            given += [column.name, f"{column.name}_kept"]
            arrays += [
                sql.SQL("{}::text[]").format(sql.Placeholder(column.name)),
                sql.SQL("{}::boolean[]").format(sql.Placeholder(f"{column.name}_kept")),
            ]
            chosen.append(
                sql.SQL(
                    "case when given.{kept} then old.{name} else given.{name}::{type} end as {name}"
                ).format(kept=kept, name=name, type=type_)
            )
        query = sql.SQL(
            "select given.old_id, {chosen} from unnest({arrays}) as given({given}) "
            "left join {table} as old on old.id = given.old_id"
        ).format(
            chosen=sql.SQL(", ").join(chosen),
            arrays=sql.SQL(", ").join(arrays),
            given=sql.SQL(", ").join(map(sql.Identifier, given)),
            table=quoted(self.kind),
        )
        return query, values
