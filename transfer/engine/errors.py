"""What can go wrong while rows are moved: tables, rights, positions, time that runs backwards."""

from transfer.errors import Difference, TransferError, gettext_noop


class NotInitialised(TransferError):
    code = "not_initialised"
    sentence = gettext_noop("In the database of shop All %(missing)s is missing.")
    hint = gettext_noop("Run: manage.py init_shop_all")


class RowsUndecided(TransferError):
    code = "rows_undecided"
    sentence = gettext_noop(
        "%(table)s has rows and lacks our column xid, so nothing says which of its rows were "
        "transferred."
    )
    hint = gettext_noop(
        "Nothing was changed. If the rows wait for their transfer: manage.py init_shop_all "
        "--existing-rows waiting; every bonus server is then sent all of them. If they were "
        "transferred before, or must never be: --existing-rows moved."
    )


class GuardsOutdated(TransferError):
    code = "guards_outdated"
    sentence = gettext_noop(
        "Urgent: the functions and triggers that control the writers of staging tables in shop All "
        "are not those of this version: %(names)s."
    )
    hint = gettext_noop(
        "A role that may write into a staging table may be able to run code with the rights of "
        "another role, or choose which rows are transferred. Run: manage.py init_shop_all"
    )


class GuardsOfAnother(GuardsOutdated):
    """Our role may not change them. `script` is SQL."""

    code = "guards_of_another"
    sentence = GuardsOutdated.sentence
    hint = gettext_noop(
        "A role that may write into a staging table may be able to run code with the rights of "
        "another role, or choose which rows are transferred. Our role does not own the functions "
        "and triggers: a superuser of that server runs this SQL in the database of shop All.\n"
        "%(script)s"
    )


class TargetTableMissing(TransferError):
    code = "target_table_missing"
    sentence = gettext_noop("%(database)s has no table %(table)s.")
    hint = gettext_noop(
        "Check that the database is the one of the bonus server. Where its tables have other "
        "names, DTADMIN_TABLES says which: manage.py doctor --tables proposes it."
    )


class WrongColumns(TransferError):
    code = "wrong_columns"
    sentence = gettext_noop("In %(database)s the columns of %(table)s do not fit: %(problems)s.")
    hint = gettext_noop(
        "Nothing was moved. Binary data of the wrong type would arrive as nonsense without an "
        "error, so the types have to be put right first. Where columns have other names or units, "
        "DTADMIN_TABLES says which: manage.py doctor --tables proposes it."
    )


class TableUnlogged(TransferError):
    code = "table_unlogged"
    sentence = gettext_noop(
        "In %(database)s the table %(table)s, or a partition of it, is unlogged: a crash of that "
        "server would empty it."
    )
    hint = gettext_noop(
        "Nothing was moved: rows could be lost without a message. Its administrator runs: "
        "alter table … set logged"
    )


class StagingTableChanged(TransferError):
    code = "staging_table_changed"
    sentence = gettext_noop(
        "By the file of DTADMIN_TABLES the rows come from %(now)s, but until now they came from "
        "%(before)s."
    )
    hint = gettext_noop(
        "Nothing was moved: rows of two tables bear the same numbers, and could be lost or moved "
        "twice. Put %(before)s back into the file. Rows of %(now)s may be inserted into "
        "%(before)s: there they are new, and are sent once."
    )


class HistoryChanged(TransferError):
    code = "history_changed"
    sentence = gettext_noop(
        "The database of shop All has gone back in time: batch %(number)s, which the bonus server "
        "has received, is not in its log as it was written."
    )
    hint = gettext_noop(
        "Nothing was moved, and nothing will be until this is settled: rows could be lost or moved "
        "twice. It was restored from a copy, or another server took its place. See what it holds: "
        "manage.py rebase_shop_all. What was moved stays moved."
    )


class ShopAllRestored(TransferError):
    code = "shop_all_restored"
    sentence = gettext_noop(
        "The database of shop All was restored from a copy: it lacks batch %(number)s, which "
        "%(server)s has received and our own history has recorded. No transfer goes on."
    )
    hint = gettext_noop(
        "Nothing was moved, and nothing will be until this is settled. See what it holds: "
        "manage.py rebase_shop_all. What was moved stays moved. If shop All was never restored: "
        "manage.py set_position '%(server)s' %(kind)s --shop-all-is-whole."
    )


class BatchForgotten(HistoryChanged):
    code = "batch_forgotten"
    sentence = gettext_noop(
        "The bonus server was restored to batch %(number)s, and the log of shop All no longer "
        "reaches back so far: nothing tells whether shop All itself has gone back in time since."
    )
    hint = gettext_noop(
        "Nothing was moved. If shop All was not restored from a copy since then, no row is in "
        "doubt: manage.py set_position %(quoted_server)s %(kind)s --shop-all-is-whole. If it was: "
        "manage.py rebase_shop_all."
    )


class RestoredFromDump(HistoryChanged):
    code = "restored_from_dump"
    sentence = gettext_noop(
        "The database of shop All was restored from a dump, or its own tables were written anew: "
        "its numbers no longer tell which rows were moved."
    )
    hint = gettext_noop(
        "Nothing was moved, so nothing was skipped or moved twice. Run: manage.py "
        "rebase_shop_all. What was moved stays moved."
    )


class PositionOvertaken(HistoryChanged):
    code = "position_overtaken"
    sentence = gettext_noop(
        "The database of shop All is from before its rows were numbered anew (rebase_shop_all): "
        "the bonus server has received %(rows)s rows since, and nothing tells which rows here "
        "they are."
    )
    hint = gettext_noop(
        "Nothing was moved: rows could be moved twice. An older copy of shop All was restored "
        "once more. Run: manage.py rebase_shop_all. If rows of the copy are in doubt, it counts "
        "them and asks."
    )


class FutureTransactions(HistoryChanged):
    code = "future_transactions"
    sentence = gettext_noop(
        "The database of shop All was restored from a copy: it holds, or the bonus server has "
        "seen, transactions that it has not reached yet (%(where)s)."
    )
    hint = gettext_noop(
        "Nothing was moved, so nothing was skipped. Run: manage.py rebase_shop_all. "
        "What was moved stays moved."
    )


class RestoreUnknown(TransferError):
    code = "restore_unknown"
    sentence = gettext_noop(
        "The files of shop All's database were restored, or a replica that lagged took its place: "
        "nothing in it tells rows that were moved from rows that were written since."
    )
    hint = gettext_noop(
        "Nothing was changed. Say when it began to take rows again: --restored-at "
        "'2026-01-31 12:00:00+03', or --no-writes-since-restore if it has taken none. With "
        "--dry-run it counts first."
    )


class RowsDoubtful(TransferError):
    code = "rows_doubtful"
    sentence = gettext_noop(
        "%(rows)s rows of the copy (%(kind)s) may have been moved to %(database)s, or not: they "
        "waited when the copy was first numbered anew, or are younger than what it has received."
    )
    hint = gettext_noop(
        "Nothing was changed. Look in the bonus server whether it has them, and run the command "
        "again with --doubtful moved or --doubtful waiting. If it has only some of them, restore "
        "it as well, or write the rest by hand."
    )


class TransactionPrepared(TransferError):
    code = "transaction_prepared"
    sentence = gettext_noop(
        "Transactions that have written to %(table)s were prepared (PREPARE TRANSACTION) and have "
        "not ended: %(names)s."
    )
    hint = gettext_noop(
        "Nothing was changed. Whoever prepared them has to end them, with commit prepared or "
        "rollback prepared: pg_prepared_xacts tells since when and by whom. Then run the command "
        "again."
    )


class RowsPrepared(RowsDoubtful):
    code = "rows_prepared"
    sentence = gettext_noop(
        "%(rows)s rows of the copy (%(kind)s) were written shortly before it was made. If one was "
        "prepared then (PREPARE TRANSACTION) and committed only since, nothing tells whether "
        "%(database)s has it."
    )
    hint = gettext_noop(
        "Nothing was changed. If no prepared transaction was committed since the restore, run the "
        "command again with --doubtful moved. Otherwise look in the bonus server whether it has "
        "these rows: --doubtful moved or --doubtful waiting."
    )


class RowsRewritten(TransferError):
    code = "rows_rewritten"
    sentence = gettext_noop(
        "%(rows)s rows of %(table)s are older than the restore and carry numbers from after it: "
        "they were copied one by one (logical replication, a restore of the data alone), and "
        "nothing tells which of them were moved."
    )
    hint = gettext_noop(
        "Nothing was changed. Restore shop All from a dump of the whole database, or from a copy "
        "of its files. If these rows are new all the same, put created_at right, and run the "
        "command again."
    )


class RowsUndated(TransferError):
    code = "rows_undated"
    sentence = gettext_noop(
        "%(rows)s rows of %(table)s do not say when they were written (created_at is empty)."
    )
    hint = gettext_noop(
        "Nothing was changed: such a row may have been moved, or be new. Fill created_at in for "
        "these rows, and run the command again."
    )


class NumberUsedTwice(TransferError):
    code = "number_used_twice"
    sentence = gettext_noop(
        "Row № %(number)s of %(table)s fails a check, and so did another row that had this number."
    )
    hint = gettext_noop(
        "Nothing of this step was moved: of two rejected rows with one number, one would hide "
        "the other. Whoever writes must leave the number (id) to the database. Delete the row, "
        "stage it again without a number, and set the sequence beyond the largest number ever "
        "used."
    )


class PositionLost(TransferError):
    code = "position_lost"
    sentence = gettext_noop(
        "%(database)s no longer says what it has received: its position of this transfer is gone."
    )
    hint = gettext_noop(
        "Nothing was moved: rows could be moved twice. Its tables were restored without ours, or "
        "shop All was made anew. Find out up to which batch its data goes (the server's page "
        "shows the log), and say so: manage.py set_position %(quoted_database)s %(kind)s --batch "
        "N, or --start if it has received nothing; --dry-run counts first."
    )


class PositionBeforeRebase(TransferError):
    code = "position_before_rebase"
    sentence = gettext_noop(
        "The data of %(database)s is from before the rows of shop All were numbered anew "
        "(rebase_shop_all): no batch since then says which rows it has received."
    )
    hint = gettext_noop(
        "Nothing was changed: rows would be lost. Restore a backup of the bonus server from after "
        "the rebase. Only if its data has none of the staged rows, let it receive all of them: "
        "manage.py set_position '%(database)s' %(kind)s --start."
    )


class BeginningUndecided(TransferError):
    code = "beginning_undecided"
    sentence = gettext_noop(
        "%(rows)s rows are staged in shop All for %(database)s, and its table %(table)s holds "
        "about %(held)s rows: nothing says which of the staged rows it has received."
    )
    hint = gettext_noop(
        "Nothing was moved: rows could be lost or moved twice. Decide it with manage.py "
        "set_position '%(database)s' %(kind)s and one of these. --start: it has received nothing, "
        "all rows are sent. --now: it has received everything staged until now. --batch N "
        "--reader R: its tables are a copy of another server's, made after batch N of that server. "
        "--dry-run counts first."
    )


class ReaderShared(TransferError):
    code = "reader_shared"
    sentence = gettext_noop(
        "The position in %(database)s is the one of %(other)s: its database was copied together "
        "with our schema, or it was docked twice."
    )
    hint = gettext_noop(
        "Nothing was moved: two servers that share a position could lose rows. If %(database)s is "
        "a copy, give it a position of its own that goes on from where the copy was made: "
        "manage.py set_position '%(database)s' %(kind)s --as-of-clone. If it replaces %(other)s, "
        "undock %(other)s. If both are one database, undock one of them."
    )


class BatchUnknown(TransferError):
    code = "batch_unknown"
    sentence = gettext_noop("The log of shop All has no batch %(number)s of %(database)s.")
    hint = gettext_noop(
        "The server's page shows the log. A batch that came with a dump, and not from the database "
        "itself, does not count. There are: %(known)s. If shop All was put back to before this "
        "one, our own history can't tell its rows either: take out of the bonus server's tables "
        "what came after an earlier batch, and name that one."
    )


class LaterBatchKnown(TransferError):
    code = "later_batch_known"
    sentence = gettext_noop(
        "Our own history knows that %(database)s has received batch %(number)s, and shop All's log "
        "does not have it: shop All was put back to before it."
    )
    hint = gettext_noop(
        "Nothing was changed: rows that wait in shop All may be in the server's data already, and "
        "would be sent twice. If its data go up to that batch, say --batch %(number)s --reader "
        "%(reader)s; the next run then asks for rebase_shop_all. If its data were put back to "
        "before that batch as well, add --data-went-back."
    )


class ReaderUnknown(TransferError):
    code = "reader_unknown"
    sentence = gettext_noop(
        "Nothing says which of the readers in shop All's log reads for %(database)s."
    )
    hint = gettext_noop(
        "Add --reader, with one of these (and the name that the server had then): %(known)s"
    )


class PositionMissing(TransferError):
    code = "position_missing"
    sentence = gettext_noop("%(database)s has no position of this transfer to go on from.")
    hint = gettext_noop("Say where it is: --batch N, --start or --now.")


class RowsPurged(TransferError):
    code = "rows_purged"
    sentence = gettext_noop(
        "The bonus server was restored to batch %(number)s, and up to %(rows)s rows after it were "
        "purged from shop All: it can't get them any more."
    )
    hint = gettext_noop(
        "Nothing was moved. Restore a newer copy of the bonus server; or go on without these rows: "
        "manage.py set_position %(quoted_server)s %(kind)s --accept-purged"
    )


class StandbyAsSource(TransferError):
    code = "standby_as_source"
    sentence = gettext_noop("The database of shop All is a replica, which can only be read.")
    hint = gettext_noop(
        "A replica shows commits in another order and may lag, so rows could be lost. Let "
        "SHOP_ALL_DATABASE_URL name the primary server."
    )


class OriginChanged(TransferError):
    code = "origin_changed"
    sentence = gettext_noop("The database of shop All was replaced while the transfer ran.")
    hint = gettext_noop("Run the transfer again: it starts from the new database.")


class RowsLostOnTheWay(TransferError):
    code = "rows_lost_on_the_way"
    sentence = gettext_noop(
        "The source sent %(sent)s rows and the bonus server received %(received)s."
    )
    hint = gettext_noop(
        "The step was rolled back, and the next run repeats it. If it happens again, look at "
        "the network between the databases."
    )


class RowsSwallowed(TransferError):
    code = "rows_swallowed"
    sentence = gettext_noop(
        "%(database)s takes rows for %(table)s and does not keep them there: %(names)s."
    )
    hint = gettext_noop(
        "The step was rolled back, so nothing is lost. A trigger or a rule of the bonus server "
        "swallows rows or sends them elsewhere; its administrator has to say why, and change "
        "it."
    )


class TooManyRefused(TransferError):
    code = "too_many_refused"
    sentence = gettext_noop(
        "%(database)s refuses more than half of the %(rows)s rows of one step: %(reason)s."
    )
    hint = gettext_noop(
        "The step was rolled back. So many rows are rarely wrong one by one: check whether a "
        "constraint, a trigger or the encoding of the bonus server has changed. If the rows "
        "themselves are wrong, move them in steps of fewer than 100 rows, which may all become "
        "rejects: manage.py transfer, with --chunk 99."
    )


class PositionMoved(TransferError):
    code = "position_moved"
    sentence = gettext_noop("Somebody else moved the position of this transfer meanwhile.")
    hint = gettext_noop("The step was rolled back. Run the transfer again.")


class CommitUnconfirmed(TransferError):
    code = "commit_unconfirmed"
    sentence = gettext_noop("%(database)s did not confirm the last step.")
    hint = gettext_noop(
        "Whether it arrived stands in the bonus server's database, and the next run reads it "
        "there first: nothing is lost or moved twice."
    )


class NoRightForSchema(TransferError):
    code = "no_right_for_schema"
    sentence = gettext_noop("In %(database)s this account may not create the schema datatransfer.")
    hint = gettext_noop("Ask its administrator to run once:\n%(statements)s")


class RightsMissing(TransferError):
    code = "rights_missing"
    sentence = gettext_noop("The database user %(user)s may not do everything: %(missing)s.")
    hint = gettext_noop("Ask the database's administrator to run:\n%(statements)s")


class RejectsUnreadable(TransferError):
    code = "rejects_unreadable"
    sentence = gettext_noop(
        "%(database)s holds rejected rows that no transfer can have written, after the one with "
        "the number %(number)s."
    )
    hint = gettext_noop(
        "Somebody has changed the table datatransfer.reject of the bonus server, or put another "
        "one in its place. Ask its administrator. Other bonus servers are not affected."
    )


class PositionInvalid(TransferError):
    code = "position_invalid"
    sentence = gettext_noop(
        "%(database)s holds a position that no transfer can have written: %(column)s."
    )
    hint = gettext_noop(
        "Nothing was moved. Somebody has changed the table datatransfer.position of the bonus "
        "server: ask its administrator. Once the row of this transfer is deleted there, the next "
        "run says how to set the position. Other bonus servers are not affected."
    )


REFUSALS = {
    error.code
    for error in (
        *(HistoryChanged, RestoredFromDump, BatchForgotten, PositionOvertaken, FutureTransactions),
        *(PositionLost, RowsPurged, StandbyAsSource, RowsSwallowed, TooManyRefused, TableUnlogged),
        *(NumberUsedTwice, Difference, RejectsUnreadable, PositionInvalid),
        *(BeginningUndecided, ReaderShared),
    )
}
