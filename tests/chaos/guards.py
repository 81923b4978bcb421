"""The guards of the design: how each is taken out of a running product, and what then breaks.

`take_out` replaces functions or SQL of the loaded engine, so a process that has called it works
without the guard. The product has no switch for it.
"""

from typing import Any

from tests.chaos import (
    scenarios,
    scenarios_of_flows,
    scenarios_of_servers,
)
from tests.chaos.guard import Guard, nothing, replace
from tests.chaos.guards_of_loads import OF_LOADS
from transfer.engine.bonus_server.positions import Positions
from transfer.engine.bonus_server.rejects import Rejects
from transfer.engine.errors import CommitUnconfirmed, IsReplica
from transfer.engine.kind import Kind
from transfer.engine.move import chunk, prepare, replacements, stream
from transfer.engine.move.refusals import Applied, Bisection
from transfer.engine.restore import (
    diagnosis,
    renumber_after_restore,
    set_position,
    translate,
)
from transfer.engine.shop_all import batch_log, identity
from transfer.engine.shop_all.batch_log import BatchLog
from transfer.engine.shop_all.batches import Batch, Readers
from transfer.engine.shop_all.purge_notes import Lost, PurgeNotes
from transfer.engine.shop_all.records import Records


def take_out(name: str) -> None:
    """Takes the guard of this name out of this process."""
    (guard,) = (guard for guard in (*GUARDS, *OF_LOADS, *PUT_BACK) if guard.name == name)
    guard.take_out()


def rows_of_a_dump_count_as_original() -> None:
    for name, text in list(vars(batch_log).items()):
        if isinstance(text, str) and name.isupper():
            replace(batch_log, name, text.replace(batch_log.ORIGINAL, "true"))
    for module in (identity, diagnosis):
        replace(module, "ORIGINAL", "true")


def a_replica_is_read_from() -> None:
    add = BatchLog._add

    def add_or_pretend(self: BatchLog, values: Any) -> Batch | None:
        try:
            return add(self, values)
        except IsReplica:
            snapshot = self.database.value("select pg_current_snapshot()::text")
            self.database.roll_back()
            return Batch(values["number"] + 1, values["token"], snapshot)

    replace(BatchLog, "_add", add_or_pretend)
    replace(BatchLog, "require", nothing)


def a_lost_position_is_begun() -> None:
    begin = prepare._begin
    replace(Positions, "exist", lambda *_: False)
    replace(BatchLog, "readers", lambda *_: set())
    # Our own database is not asked who has read.
    replace(
        prepare, "_begin", lambda *given: begin(*(Readers if callable(x) else x for x in given))
    )


def good_rows_count_as_landed() -> None:
    run = Bisection.run

    def count_good(self: Bisection, *good: str) -> Applied:
        landed = run(self, *good)
        query = "select count(*) from incoming where fault is null"
        return Applied(self.target.database.value(query)) if good else landed

    replace(Bisection, "run", count_good)


def a_refused_row_ends_the_run() -> None:
    attempt = Bisection._attempt

    def attempt_once(self: Bisection, rows: str) -> Applied:
        if (done := attempt(self, rows)) is None:
            raise AssertionError("a row was refused")
        return done

    replace(Bisection, "_attempt", attempt_once)


def rejects_are_written_after_the_commit() -> None:
    add, commit = Rejects.add, chunk.commit
    later: list[Any] = []
    incoming = Kind.incoming.fget  # type: ignore[attr-defined]
    replace(Kind, "incoming", property(lambda kind: incoming(kind).replace(" on commit drop", "")))

    def add_later(_: Rejects, *what: Any) -> tuple[int, int]:
        later.append(what)
        return 0, -1

    def commit_and_add(kind: Kind, target: Any, *positions: Any) -> None:
        commit(kind, target, *positions)
        while later:
            add(target.rejects, *later.pop())
            target.database.commit()

    replace(Rejects, "add", add_later)
    replace(chunk, "commit", commit_and_add)


def the_position_moves_in_a_second_transaction() -> None:
    advance = Positions.advance

    def commit_and_advance(self: Positions, *positions: Any) -> bool:
        self.database.commit()
        return advance(self, *positions)

    replace(Positions, "advance", commit_and_advance)


def the_end_of_a_stream_is_believed() -> None:
    receive = stream._receive

    def receive_and_note(sending: Any, *more: Any) -> int:
        sending.arrived = receive(sending, *more)
        return int(sending.arrived)

    def result(sending: Any) -> int:
        sending.join()
        return int(sending.arrived)

    replace(stream, "_receive", receive_and_note)
    replace(stream.Sending, "result", result)
    # The source is asked twice more: whether its session is still there, and, of balance changes,
    # for replaced rows. Either alone shows that its connection was cut.
    replace(chunk, "check_still_reads", nothing)
    replace(chunk, "hold_back", nothing)


def a_lost_answer_counts_as_a_commit() -> None:
    commit = chunk.commit

    def commit_blindly(*what: Any) -> None:
        try:
            commit(*what)
        except CommitUnconfirmed:
            return

    replace(chunk, "commit", commit_blindly)


def nobody_looks_for_batches() -> None:
    """Neither for that of the position, nor for those that our own history knows."""
    replace(BatchLog, "check", nothing)
    replace(Records, "missing_batches", lambda *_: [])


def no_position_is_taken_at_its_word() -> None:
    """A rebase still knows which positions are lost when it looks at what was said of the restore;
    it was imported there before. Our own history lacks the batch that shows the restore: otherwise
    no other position goes on.
    """
    replace(Records, "missing_batches", lambda *_: [])
    replace(renumber_after_restore, "is_lost", translate.is_lost)
    replace(translate, "is_lost", lambda *_: True)


GUARDS = [
    Guard(
        "the log is asked for batches that were read",
        nobody_looks_for_batches,
        scenarios.restored_copy_that_has_caught_up,
    ),
    Guard(
        "a batch counts only as it was written (xmin)",
        rows_of_a_dump_count_as_original,
        scenarios.dump_of_all_restored_elsewhere,
    ),
    Guard(
        "the identity of shop All counts only as it was written",
        lambda: replace(identity, "ORIGINAL", "true"),
        scenarios.dump_of_all_restored_elsewhere,
    ),
    Guard(
        "a batch is flushed before its rows are read",
        lambda: replace(batch_log, "FLUSHED", "select 1 where false"),
        scenarios.careless_database,
    ),
    Guard("a replica is no source", a_replica_is_read_from, scenarios.replica_as_source),
    Guard(
        "a lost position is not begun again",
        a_lost_position_is_begun,
        scenarios_of_servers.vendor_restores_his_tables,
    ),
    Guard(
        "a purge notes what it removed, and for whom",
        lambda: replace(PurgeNotes, "lost", lambda *_: Lost(0)),
        scenarios_of_servers.bonus_server_restored_to_before_a_purge,
    ),
    Guard(
        "a position that a rebase has handed on is not believed",
        lambda: replace(Positions, "check_overtaken", nothing),
        scenarios.copy_restored_again_after_a_rebase,
    ),
    Guard(
        "rows landed = good rows",
        good_rows_count_as_landed,
        scenarios_of_servers.row_swallowed_by_the_vendor,
    ),
    Guard(
        "a row that the vendor refuses is a reject",
        a_refused_row_ends_the_run,
        scenarios_of_servers.row_refused_by_the_vendor,
    ),
    Guard(
        "a later batch that our own history knows is asked about",
        lambda: replace(set_position, "_check_later", nothing),
        scenarios_of_servers.vendor_restores_his_tables_where_shop_all_went_back,
    ),
    Guard("rejects are written in the chunk's transaction", rejects_are_written_after_the_commit),
    Guard(
        "the position moves in the chunk's transaction", the_position_moves_in_a_second_transaction
    ),
    Guard(
        "the source is asked after a stream: how it ended, how many rows it sent",
        the_end_of_a_stream_is_believed,
    ),
    Guard("a commit whose answer is lost is looked up", a_lost_answer_counts_as_a_commit),
]

# Of loads that are taken back, and of servers that are left behind.
# What the engine did when it had been tried with one flow only.
PUT_BACK = [
    Guard(
        "a rebase takes a position at its word whose batch is there",
        no_position_is_taken_at_its_word,
        scenarios_of_flows.restored_with_our_own_database_to_before_what_one_server_has_read,
    ),
    Guard(
        "a replacement waits until the rest of its chunk is applied or rejected",
        lambda: replace(
            replacements,
            "RELEASE",
            replacements.RELEASE.replace(
                f"other.fault not in {replacements.RELEASES_NOTHING}", "false"
            ),
        ),
        scenarios_of_flows.corrected_before_the_other_server_has_read,
    ),
    Guard(
        "an uncertain server gets a correction only if its own reject is sent again",
        lambda: replace(replacements, "_mark_undecided", nothing),
        scenarios_of_flows.corrected_where_a_server_may_have_the_row,
    ),
]
