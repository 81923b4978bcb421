"""What our own database has recorded of shop All, and a restored shop All lacks.

Our own database notes a load, an undo or a correction only after shop All has committed it, and
shop All keeps its own note of each for ever. So a note that shop All lacks is proof that it was
restored to before it, also where no batch is missing because no bonus server had read on. A
transfer that went on then could not be told later from one of before the restore: what it moves
would be lost, or moved twice, with the next restore.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from transfer.engine.errors import RecordsMissing
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.undo_log import Withdrawal

# Which of these loads, undos among them, are noted. By the primary key.
NOTED = "select token::text from datatransfer.loaded where token = any(%s::uuid[])"
# How many of these rejected rows are not noted as sent again. By the primary key.
CORRECTIONS_MISSING = """
    select count(*) from unnest(%s::text[], %s::uuid[], %s::bigint[])
                           as recorded (kind, origin, old_id)
     where not exists (select from datatransfer.resent as note
                        where note.origin = recorded.origin and note.kind = recorded.kind
                          and note.old_id = recorded.old_id)
"""


class Recorded(NamedTuple):
    """The latest records of our own database, under one identity of shop All."""

    loads: Sequence[str] = ()  # tokens of loads and undos
    corrections: Sequence[tuple[str, str, int]] = ()  # rejected rows: kind, origin, number


NOTHING_RECORDED = Recorded()


class Missing(NamedTuple):
    """How many of them shop All lacks."""

    loads: int = 0
    corrections: int = 0


class Records:
    """Compares the records of our own database with the notes of shop All."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def noted_loads(self, tokens: Collection[str]) -> set[str]:
        """Those of these loads and undos that shop All has noted."""
        if not tokens:
            return set()
        return {token for (token,) in self.database.rows(NOTED, [[*tokens]])}

    def back_again(self, withdrawals: Collection[Withdrawal]) -> list[Withdrawal]:
        """Those of these withdrawals that are gone with a restore, while their rows are back."""
        noted = self.noted_loads([token for one in withdrawals for token in (one.load, one.undo)])
        return [one for one in withdrawals if one.undo not in noted and one.load in noted]

    def missing(self, recorded: Recorded) -> Missing:
        corrections = 0
        loads = len({*recorded.loads} - self.noted_loads(recorded.loads))
        if recorded.corrections:
            columns = map(list, zip(*recorded.corrections, strict=True))
            corrections = self.database.value(CORRECTIONS_MISSING, [*columns])
        return Missing(loads, corrections)

    def check(self, recorded: Recorded) -> None:
        """Raises RecordsMissing."""
        missing = self.missing(recorded)
        if any(missing):
            raise RecordsMissing(**missing._asdict())
