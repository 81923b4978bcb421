"""What our own database has recorded of shop All, and a restored shop All lacks.

Our own database notes a load, an undo, a correction or a batch only after shop All has committed
it. Shop All keeps its own note of each of the first three for ever, and of each reader the latest
batch. So a note that shop All lacks is proof that it was restored to before it, also where no
bonus server says so: none had read on, or the one that had does not answer. A transfer that went
on then could not be told later from one of before the restore: what it moves would be lost, or
moved twice, with the next restore. And a purge would remove rows under numbers that the silent
server calls moved.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transfer.engine.errors import RecordsMissing, ShopAllRestored
from transfer.engine.postgres.answer_size import LONG_LIST
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

# The places in a list of those batches that are missing. Not missing is a batch that an earlier
# refusal, or a rebase, has settled (`missed`). Nor is one under an identity that a rebase has
# replaced: the rebase, which is here, came after it and settled it, also where our own database
# knew only a later one then. Nor is one that a purge has removed, which keeps later ones of the
# reader. Under another identity than today's a batch counts only if its reader is known: shop All
# may have gone back to before a rebase, but also have been created again. By the primary keys.
BATCHES_MISSING = """
    select place
      from unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::uuid[]) with ordinality
               as recorded (reader, number, token, origin, place)
     where not exists (select from datatransfer.batch as held
                        where held.reader = recorded.reader and held.number = recorded.number
                          and held.token = recorded.token)
       and not exists (select from datatransfer.missed where missed.token = recorded.token)
       and not exists (select from datatransfer.rebase where rebase.origin = recorded.origin)
       and (exists (select from datatransfer.batch as earlier
                     where earlier.reader = recorded.reader
                       and earlier.number <= recorded.number)
            or (not exists (select from datatransfer.batch as any_other
                             where any_other.reader = recorded.reader)
                and recorded.origin = (select origin from datatransfer.origin)))
     order by place
"""
# Settles those of these batches that are not in the log. By the primary keys.
SETTLE = """
    insert into datatransfer.missed (token)
    select token
      from unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::uuid[])
               as recorded (reader, number, token, origin)
     where not exists (select from datatransfer.batch as held
                        where held.reader = recorded.reader and held.number = recorded.number
                          and held.token = recorded.token)
        on conflict do nothing
"""


@dataclass(frozen=True)
class RecordedBatch:
    """The latest batch of a reader that a bonus server has received rows of."""

    origin: str
    kind: str
    server: str  # its name
    reader: str
    number: int
    token: str


class Recorded(NamedTuple):
    """The latest records of our own database: under one identity of shop All, but for batches."""

    loads: Sequence[str] = ()  # tokens of loads and undos
    corrections: Sequence[tuple[str, str, int]] = ()  # rejected rows: kind, origin, number
    batches: Sequence[RecordedBatch] = ()


NOTHING_RECORDED = Recorded()


class Missing(NamedTuple):
    """How many loads, undos and corrections shop All lacks."""

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

    def missing_batches(self, recorded: Recorded) -> list[RecordedBatch]:
        """Those of these batches that shop All lacks."""
        if not recorded.batches:
            return []
        columns = _columns(recorded.batches)
        places = self.database.rows(BATCHES_MISSING, columns, most=LONG_LIST)
        return [recorded.batches[place - 1] for (place,) in places]

    def settle(self, recorded: Recorded) -> None:
        """Keeps these batches from ever counting as missing again, also those of a reader that
        shop All does not know yet; the caller commits.
        """
        if recorded.batches:
            self.database.execute(SETTLE, _columns(recorded.batches))

    def check(self, recorded: Recorded) -> None:
        """Raises ShopAllRestored if a batch is missing, RecordsMissing if anything else is."""
        for batch in self.missing_batches(recorded):
            raise ShopAllRestored(number=batch.number, server=batch.server, kind=batch.kind)
        missing = self.missing(recorded)
        if any(missing):
            raise RecordsMissing(**missing._asdict())


def _columns(batches: Sequence[RecordedBatch]) -> list[list[str | int]]:
    """Their readers, numbers, tokens and origins."""
    rows = ((one.reader, one.number, one.token, one.origin) for one in batches)
    return [*map(list, zip(*rows, strict=True))]
