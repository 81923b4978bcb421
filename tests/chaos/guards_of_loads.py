"""The guards of loads, undos and servers that are left behind."""

from tests.chaos import (
    scenarios,
    scenarios_of_loads,
    scenarios_of_the_left_behind,
    scenarios_of_the_missing,
)
from tests.chaos.guard import Guard, nothing, replace
from transfer.engine.move import replacements, undone
from transfer.engine.shop_all import purge_notes, records, withdrawal
from transfer.engine.shop_all.records import Records
from transfer.loading import undo
from transfer.management.commands import rebase_shop_all
from transfer.models.uploads import UploadQuerySet
from transfer.runs import positions


def what_is_taken_back_is_not_asked_for() -> None:
    everywhere = """
        update pg_temp.incoming set fault = null, turn = %(turn)s
         where fault = 'nothing_to_take_back'
    """
    replace(replacements, "RELEASE_UNDONE", everywhere)


def what_a_rebase_has_replaced_still_counts() -> None:
    condition = "rebase.origin = recorded.origin"
    replace(records, "BATCHES_MISSING", records.BATCHES_MISSING.replace(condition, "false"))


def a_lost_undo_counts_as_done() -> None:
    for module in (undo, rebase_shop_all):
        replace(module, "note_lost", lambda *_: [])


def rows_are_withdrawn_without_a_question() -> None:
    """Our own history does not show the restore either."""
    replace(Records, "missing_batches", lambda *_: [])
    replace(withdrawal, "_is_read_by_others", lambda *_: False)
    replace(undo, "was_read_elsewhere", lambda *_: False)


OF_LOADS = [
    Guard(
        "an opposite row is applied only where its original was accepted",
        what_is_taken_back_is_not_asked_for,
        scenarios_of_loads.taken_back_where_one_server_lags,
    ),
    Guard(
        "rows are withdrawn only if no batch may have read them",
        rows_are_withdrawn_without_a_question,
        scenarios_of_loads.withdrawn_where_an_undocked_server_has_read,
    ),
    Guard(
        "withdrawn rows that a restore brings back wait again",
        lambda: replace(UploadQuerySet, "withdrawals", lambda *_: []),
        scenarios_of_loads.withdrawn_and_shop_all_restored_to_before,
    ),
    Guard(
        "a server that may have a purged original says so",
        lambda: replace(undone.Judge, "is_known", lambda *_: True),
        scenarios_of_loads.taken_back_where_a_copy_of_tables_is_all_that_is_left,
    ),
    Guard(
        "a copy of tables gets the rejects of the original",
        lambda: replace(positions, "_original", nothing),
        scenarios_of_loads.taken_back_where_only_the_tables_are_copied,
    ),
    Guard(
        "what our own history has recorded, and shop All lacks, stops every transfer",
        lambda: replace(Records, "check", nothing),
        scenarios_of_loads.withdrawn_and_restored_to_before_and_nobody_has_read_on,
    ),
    Guard(
        "what a server rejected under a lost identity is asked about",
        lambda: replace(replacements, "_lost_identities", lambda *_: []),
        scenarios_of_loads.withdrawn_and_restored_to_before_and_nobody_has_read_on,
    ),
    Guard(
        "an undo that is gone with a restore can be done again",
        a_lost_undo_counts_as_done,
        scenarios_of_loads.taken_back_and_restored_before_a_server_looked,
    ),
    Guard(
        "a batch of any flow that our own history has, and shop All lacks, stops every transfer",
        lambda: replace(Records, "missing_batches", lambda *_: []),
        scenarios_of_the_missing.left_behind_after_a_restore_that_nobody_noticed,
    ),
    Guard(
        "a rebase settles which batches are gone",
        lambda: replace(Records, "settle", nothing),
        scenarios.copy_restored_again_after_a_rebase,
    ),
    Guard(
        "a batch from before a rebase that shop All has proves nothing",
        what_a_rebase_has_replaced_still_counts,
        scenarios_of_the_missing.own_database_restored_after_a_rebase,
    ),
    Guard(
        "a purge that leaves a server behind lists the rows",
        lambda: replace(purge_notes, "LIST", "select %s, %s"),
        scenarios_of_the_left_behind.left_behind_and_seeded_from_a_copy,
    ),
]
