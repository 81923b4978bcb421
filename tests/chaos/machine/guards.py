"""The guards of the ledger: named functions and constants, each with the history that needs it.

A test replaces one of them, and the history has to notice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.chaos.machine import (
    histories,
    histories_of_dependents,
    histories_of_issue_35,
)
from tests.chaos.machine.story import Story
from transfer.engine import begin
from transfer.engine.bonus_server import positions
from transfer.engine.knowledge import Knowledge
from transfer.engine.move import chunk, dependents, fork, plan
from transfer.engine.move.plan import ChunkPlan
from transfer.engine.shop_all import log_writer, purge
from transfer.engine.shop_all.loads import FileNames, Names
from transfer.engine.shop_all.log import Log
from transfer.engine.shop_all.log_writer import LogWriter
from transfer.engine.shop_all.rows import Rows

NOTHING = "select 1 where false"  # a statement that does nothing


@dataclass(frozen=True)
class Guard:
    """Where the guard is, and what a test puts in its place."""

    name: str
    breaks: Callable[[Story], None]
    replacements: tuple[tuple[Any, str, Any], ...]
    servers: int = 2


def guard(name: str, breaks: Callable[[Story], None], *replacements: tuple[Any, str, Any]) -> Guard:
    servers = 3 if breaks in histories_of_issue_35.HISTORIES else 2
    return Guard(name, breaks, replacements, servers)


def nothing(*_: Any, **__: Any) -> None:
    """Replaces a check that raises, or something that is written down."""


def no_rows(*_: Any, **__: Any) -> list[Any]:
    return []


def hint_anywhere(self: LogWriter, kind: Any, ask: Any = LogWriter._hint) -> Any:
    seen, _is_here, here, _is_old = ask(self, kind)
    return seen, seen is not None, here, False


def needs_by_number(kind: Any, source: Any, server: Any) -> int:
    return int(server.place.number + 1 if server.place else 1)


def random_name(self: Names, kind: Any, digest: bytes, taken_back: Any = ()) -> FileNames:
    return FileNames(str(uuid4()))


def not_received(
    target: Any, position: Any, lines: Any, *, skipped: bool, note: Any = begin._set_not_received
) -> None:
    note(target, position, lines, skipped=False)


def own_need(kind: Any, source: Any, own: Any, installation: Any) -> Any:
    return own


def names_of_all(lines: Any) -> Iterator[Any]:
    yield from ()


GUARDS = [
    guard(
        "a place is found by its number and its mark",
        histories.another_changeset_follows,
        (Log, "has", lambda self, kind, place: place.number <= self.end(kind).number),
    ),
    guard(
        "what was received above a fork is named",
        histories.a_server_goes_back_to_before_a_fork,
        (positions, "NAME_ABOVE", NOTHING),
    ),
    guard(
        "a withdrawn line was not received",
        histories_of_dependents.shop_all_goes_back_to_before_an_undo,
        (ChunkPlan, "lasts", ChunkPlan.read),
    ),
    guard(
        "an undo leaves a closed reject on its original",
        histories_of_dependents.an_undo_received_without_its_original,
        (dependents, "RECORD_TAKEN", NOTHING),
    ),
    guard(
        "a row that has a reject when it is read is not applied",
        histories_of_dependents.an_undo_received_without_its_original,
        (chunk, "mark_known", nothing),
    ),
    guard(
        "rows are counted against the line",
        histories.a_row_is_deleted_by_hand,
        (chunk, "_check_counts", nothing),
    ),
    guard(
        "the hint where to look is that of one run of one database",
        histories.dumped_into_another_cluster,
        (LogWriter, "_hint", hint_anywhere),
    ),
    guard(
        "what was seen is the snapshot of the look",
        histories.a_commit_during_an_append,
        (
            log_writer,
            "NOTE_SEEN",
            "update datatransfer.head set seen = case when %s is not null then"
            " pg_current_snapshot() end, seen_in = %s,"
            " looked_at = case when %s then now() else looked_at end where kind = %s",
        ),
    ),
    guard(
        "a beginning writes receipts",
        histories.begun_and_then_restored,
        (begin, "receipts_of", names_of_all),
    ),
    guard(
        "what is withdrawn at a beginning is never read",
        histories_of_dependents.begun_after_an_undo,
        (begin, "_set_not_received", not_received),
    ),
    guard(
        "nothing moves before somebody says that it is the right shop All",
        histories.a_test_copy,
        (Knowledge, "check_shop_all", nothing),
        (fork, "_lost", no_rows),
    ),
    guard(
        "a purge trusts no place that is not in this log",
        histories.nothing_is_purged_that_a_dead_server_on_a_lost_branch_needs,
        (purge, "_needs_from", needs_by_number),
    ),
    guard(
        "a purge leaves what was read in part",
        histories.nothing_is_purged_that_a_dead_server_has_half_read,
        (purge, "_needs_from", needs_by_number),
    ),
    guard(
        "a purge leaves what other installations need",
        histories_of_issue_35.two_installations_on_one_shop_all,
        (purge, "least_needed", own_need),
    ),
    guard(
        "a load is named by its content",
        histories_of_issue_35.f3_a_load_is_lost_that_one_server_alone_has,
        (Names, "of_file", random_name),
    ),
    guard(
        "a chunk ends before a row that depends on one of its rows",
        histories_of_dependents.a_correction_in_the_chunk_of_its_original,
        (Rows, "first_to_wait", nothing),
    ),
    guard(
        "a line is looked at once more before it is applied",
        histories.a_load_of_pin_codes_is_taken_back_while_it_is_read,
        (chunk, "_check_not_withdrawn", nothing),
    ),
    guard(
        "a version is drawn at random",
        histories.a_run_is_held_up_while_another_one_moves,
        (plan, "uuid4", lambda: "33333333-3333-4333-8333-333333333333"),
    ),
    guard(
        "the amount in effect is noted by a change",
        histories_of_issue_35.f6_the_same_changed_amount_is_decided_twice,
        (dependents, "RECORD_AMOUNT", NOTHING),
    ),
    guard(
        "the amount in effect is noted by a row that was changed before it is read",
        histories_of_dependents.a_changed_row_and_then_its_change,
        (chunk, "record_changed", nothing),
    ),
    guard(
        "the amounts in effect are noted at a beginning",
        histories_of_dependents.a_server_begins_with_changed_rows,
        (begin, "_note_changed", nothing),
    ),
    guard(
        "a correction closes the reject",
        histories_of_issue_35.f4_a_correction_is_lost_that_one_server_alone_has,
        (dependents, "CLOSE", NOTHING),
    ),
    guard(
        "a correction of an opposite closes what depends on the original",
        histories_of_dependents.an_opposite_that_the_vendor_refuses,
        (dependents, "CLOSE_TAKEN", NOTHING),
        (dependents, "CLOSE", NOTHING),
    ),
    guard(
        "a changeset that was read in part is read to its end",
        histories.another_changeset_follows,
        (plan, "_unfinished", nothing),
    ),
    guard(
        "a server is below a line that has gone",
        histories.a_server_goes_back_to_before_lines_that_have_gone,
        (fork, "is_in_history", lambda *_: True),
    ),
]
