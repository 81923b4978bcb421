"""Shop All was restored or replaced, and what its renumbering (`rebase_shop_all`) has to ask."""

from transfer.errors import TransferError, gettext_noop


class HistoryChanged(TransferError):
    code = "history_changed"
    sentence = gettext_noop(
        "The database of shop All has gone back in time: batch %(number)s, which the bonus server "
        "has received, is not in its log as it was written."
    )
    hint = gettext_noop(
        "This transfer stays stopped until you settle this: rows could be lost or moved twice. "
        "The database was restored from a copy, or another server took its place. See its state: "
        "manage.py rebase_shop_all. Rows that were moved stay moved."
    )


class ShopAllRestored(TransferError):
    code = "shop_all_restored"
    sentence = gettext_noop(
        "The database of shop All was restored from a copy: it lacks batch %(number)s, which "
        "%(server)s has received and our own history has recorded. All transfers are stopped."
    )
    hint = gettext_noop(
        "All transfers stay stopped until you settle this. See the state of the database: "
        "manage.py rebase_shop_all. Rows that were moved stay moved. If shop All was never "
        "restored: manage.py set_position SERVER %(kind)s --shop-all-is-whole, with any docked "
        "server that answers."
    )


class RecordsMissing(TransferError):
    code = "records_missing"
    sentence = gettext_noop(
        "The database of shop All was restored from a copy: it lacks what our own history has "
        "recorded (loads and undos: %(loads)s, corrected rows: %(corrections)s). All transfers are "
        "stopped."
    )
    hint = gettext_noop(
        "All transfers stay stopped until you settle this. See the state of the database: "
        "manage.py rebase_shop_all. Rows that were moved stay moved, and it says what you have to "
        "load, take back or correct once more."
    )


class BatchForgotten(HistoryChanged):
    code = "batch_forgotten"
    sentence = gettext_noop(
        "The bonus server was restored to batch %(number)s, which the log of shop All no longer "
        "has. We cannot tell whether shop All was restored as well."
    )
    hint = gettext_noop(
        "Nothing was moved. If shop All was not restored from a copy since then, no row is in "
        "doubt: manage.py set_position %(quoted_server)s %(kind)s --shop-all-is-whole. If it was: "
        "manage.py rebase_shop_all."
    )


class RestoredFromDump(HistoryChanged):
    code = "restored_from_dump"
    sentence = gettext_noop(
        "The database of shop All was restored from a dump, or its own tables were rewritten. Its "
        "transaction numbers no longer show which rows were moved."
    )
    hint = gettext_noop(
        "Nothing was moved, skipped or moved twice. Run: manage.py rebase_shop_all. Rows that "
        "were moved stay moved."
    )


class PositionOvertaken(HistoryChanged):
    code = "position_overtaken"
    sentence = gettext_noop(
        "The database of shop All is a copy from before its renumbering (rebase_shop_all). The "
        "bonus server has received %(rows)s rows since then, and we cannot tell which rows of the "
        "copy they are."
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
        "Nothing was moved or skipped. Run: manage.py rebase_shop_all. Rows that were moved stay "
        "moved."
    )


class RestoreUnknown(TransferError):
    code = "restore_unknown"
    sentence = gettext_noop(
        "The files of shop All's database were restored, or a replica that lagged took its place. "
        "We cannot tell the rows that were moved from the rows that were written afterwards."
    )
    hint = gettext_noop(
        "Nothing was changed. Say when it began to take rows again: --restored-at "
        "'2026-01-31 12:00:00+03', or --no-writes-since-restore if it has taken none. With "
        "--dry-run it counts first."
    )


class RestoredTooEarly(TransferError):
    code = "restored_too_early"
    sentence = gettext_noop(
        "--restored-at is too early: the copy of shop All has batch %(number)s of %(server)s, "
        "which was begun at %(at)s, so it was made later than that."
    )
    hint = gettext_noop(
        "Nothing was changed: rows that were moved would be moved again. Give a time later than "
        "%(at)s: when shop All began to take rows again after the restore."
    )


class RowsDoubtful(TransferError):
    code = "rows_doubtful"
    sentence = gettext_noop(
        "We cannot tell whether %(rows)s rows of the copy (%(kind)s) reached %(database)s: they "
        "were pending when the copy was first renumbered, or are newer than the rows it has "
        "received."
    )
    hint = gettext_noop(
        "Nothing was changed. Look for them in the bonus server, then answer: manage.py "
        "rebase_shop_all (or the set_position that says this), its other options as before, and "
        "--doubtful %(quoted_database)s %(kind)s moved, or waiting instead of moved. If it has "
        "only some of them, or has rejected some, restore it as well, or write the rest by hand."
    )


class TransactionPrepared(TransferError):
    code = "transaction_prepared"
    sentence = gettext_noop(
        "Transactions that have written to %(table)s were prepared (PREPARE TRANSACTION) and have "
        "not ended: %(names)s."
    )
    hint = gettext_noop(
        "Nothing was changed. End them with commit prepared or rollback prepared; "
        "pg_prepared_xacts shows who prepared them and when. Then run the command again."
    )


class RowsPrepared(RowsDoubtful):
    code = "rows_prepared"
    sentence = gettext_noop(
        "%(rows)s rows of the copy (%(kind)s) were written shortly before it was made. If one of "
        "their transactions was prepared then (PREPARE TRANSACTION) and committed after the "
        "restore, we cannot tell whether %(database)s has its rows."
    )
    hint = gettext_noop(
        "Nothing was changed. If no prepared transaction was committed since the restore: "
        "manage.py rebase_shop_all (or the set_position that says this), its other options as "
        "before, and --no-prepared-transactions. Otherwise look in the bonus server whether it "
        "has these rows: --doubtful %(quoted_database)s %(kind)s moved, or waiting instead of "
        "moved."
    )


class RowsRewritten(TransferError):
    code = "rows_rewritten"
    sentence = gettext_noop(
        "%(rows)s rows of %(table)s are older than the restore but have transaction numbers from "
        "after it. They were copied one by one (logical replication, a restore of the data "
        "alone), and we cannot tell which of them were moved."
    )
    hint = gettext_noop(
        "Nothing was changed. Restore shop All from a dump of the whole database, or from a copy "
        "of its files. If these rows are new, correct created_at and run the command again."
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


class OriginChanged(TransferError):
    code = "origin_changed"
    sentence = gettext_noop("The database of shop All was replaced while the transfer ran.")
    hint = gettext_noop("Run the transfer again: it starts from the new database.")
