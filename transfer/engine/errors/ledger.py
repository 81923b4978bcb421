"""What can go wrong with the ledger, and which of it is a question for an administrator."""

from transfer.engine.errors import RowsSwallowed, TableUnlogged, TooManyRefused
from transfer.errors import (
    AnswerInvalid,
    Difference,
    IsReplica,
    TooManyRows,
    TransferError,
    gettext_noop,
)


class ShopAllWentBack(TransferError):
    """The log of shop All lacks what our own history, or a bonus server, knows of it.

    `changesets` are those that a bonus server has received and the log lacks; empty if our own
    history asked.
    """

    code = "shop_all_went_back"
    sentence = gettext_noop(
        "The database of shop All has gone back in time, or is another one: it lacks what was in "
        "it before. All transfers wait for an answer."
    )
    hint = gettext_noop(
        "Nothing was moved. If this is the right database, restored from a copy: confirm it on the "
        "overview, or with manage.py confirm_shop_all, which lists first what it lacks. The "
        "transfers then go on by themselves. If it is not, correct SHOP_ALL_DATABASE_URL."
    )
    changesets: tuple[str, ...] = ()


class BeginningUndecided(TransferError):
    code = "beginning_undecided"
    sentence = gettext_noop(
        "%(database)s has no position of this transfer yet, and %(rows)s rows are staged in shop "
        "All. Its table %(table)s holds about %(held)s rows. We cannot tell which of the staged "
        "rows it has received."
    )
    hint = gettext_noop(
        "Nothing was moved: rows could be lost or moved twice. An administrator says it on the "
        "server's page, or with manage.py begin %(quoted_database)s %(kind)s, and one of: "
        "--nothing (it gets all rows), --everything (it has all rows up to now), --as SERVER (its "
        "tables are a copy of that server's). --dry-run counts first."
    )


class LogBusy(TransferError):
    code = "log_busy"
    sentence = gettext_noop("Another process writes to the log of shop All for too long.")
    hint = gettext_noop("Nothing was changed. Try again in a minute.")


class HistoryTooOld(BeginningUndecided):
    code = "history_too_old"
    sentence = gettext_noop(
        "%(database)s was restored to a time before the oldest line that shop All still keeps. We "
        "cannot tell which of the staged rows it has received."
    )
    hint = BeginningUndecided.hint


class RowsPurged(TransferError):
    """`changesets` are those whose rows the server needs."""

    code = "rows_purged"
    sentence = gettext_noop(
        "%(rows)s rows that %(database)s has not received were purged from shop All."
    )
    hint = gettext_noop(
        "Nothing was moved. Restore a younger backup of the bonus server, or copy another bonus "
        "server's database, or go on without these rows, for good: on the server's page, or with "
        "manage.py skip_rows %(quoted_database)s %(kind)s. It lists them first."
    )
    changesets: tuple[str, ...] = ()


class RowsDiffer(TransferError):
    """`changesets` are those that have lost rows."""

    code = "rows_differ"
    sentence = gettext_noop(
        "Rows that %(database)s needs were deleted from shop All by hand: %(rows)s in %(table)s."
    )
    hint = gettext_noop(
        "Nothing was moved. Stage the rows again if they are needed, or go on without them, for "
        "all bonus servers: on the overview, or with manage.py forget_rows %(kind)s. It lists them "
        "first."
    )
    changesets: tuple[str, ...] = ()


class PositionInvalid(TransferError):
    code = "position_invalid"
    sentence = gettext_noop(
        "%(database)s holds a position that no transfer can have written: %(column)s."
    )
    hint = gettext_noop(
        "Nothing was moved. Somebody has changed the schema datatransfer of the bonus server: ask "
        "its administrator. Once the row of this transfer is deleted there, the next run asks what "
        "the server has received. Other bonus servers are not affected."
    )


class PositionKnown(TransferError):
    code = "position_known"
    sentence = gettext_noop("%(database)s has a position of this transfer already.")
    hint = gettext_noop("Nothing was changed. The transfer goes on from there by itself.")


class ServerHasMoved(TransferError):
    code = "server_has_moved"
    sentence = gettext_noop(
        "%(database)s has no position of this transfer, or has moved rows since its tables were "
        "copied."
    )
    hint = gettext_noop(
        "Nothing was changed: rows would be lost. Switch its tasks off, let the vendor copy its "
        "tables, and answer again before you switch them on."
    )


class PositionMoved(TransferError):
    code = "position_moved"
    sentence = gettext_noop("Another process moved the position of this transfer.")
    hint = gettext_noop("The step was rolled back. Run the transfer again.")


class CopyOfServer(TransferError):
    code = "copy_of"
    sentence = gettext_noop(
        "The database of %(database)s is a copy of that of %(other)s, or one database is docked "
        "twice."
    )
    hint = gettext_noop(
        "Nothing was moved. If it is a copy, say so on the server's page, or with manage.py begin "
        "%(quoted_database)s %(kind)s --own: it goes on from where the copy was made. If both are "
        "one database, undock one of them."
    )


class RejectsUnreadable(TransferError):
    code = "rejects_unreadable"
    sentence = gettext_noop("%(database)s holds rejected rows that no transfer can have written.")
    hint = gettext_noop(
        "The table datatransfer.reject of the bonus server was changed or replaced. Ask its "
        "administrator. Other bonus servers are not affected."
    )


# Of the schema of shop All.


class StagingTableForeign(TransferError):
    code = "staging_table_foreign"
    sentence = gettext_noop("The staging table %(table)s is a view or a foreign table.")
    hint = gettext_noop(
        "Nothing was changed. Data Transfer needs an ordinary table in the database of shop All: "
        "only there do the names of rows come with the transaction that stages them. Name one in "
        "the file of DTADMIN_TABLES."
    )


class StagingTablePartitioned(TransferError):
    code = "staging_table_partitioned"
    sentence = gettext_noop(
        "The staging table %(table)s is partitioned, or rows of it belong to another table by "
        "inheritance."
    )
    hint = gettext_noop(
        "Nothing was changed. The names of rows are unique within one table only. Name an ordinary "
        "table in the file of DTADMIN_TABLES; purge_staging keeps it small."
    )


class ShopAllOf010(TransferError):
    """`script` is the SQL that removes the parts of 0.1.0."""

    code = "shop_all_of_0_1_0"
    sentence = gettext_noop(
        "The database of shop All was set up by Data Transfer 0.1.0. This version does not go on "
        "with it."
    )
    hint = gettext_noop(
        "Nothing was changed. Let 0.1.0 transfer all rows first. The owner of the tables, or a "
        "superuser, then runs this SQL in the database of shop All, and you run: manage.py "
        "init_shop_all --existing-rows moved\n%(script)s"
    )


class IdsRepeated(TransferError):
    """`ids` are the first 20 of them."""

    code = "ids_repeated"
    sentence = gettext_noop(
        "The rows of the staging table %(table)s cannot be told apart: %(repeated)s values of the "
        "column id occur more than once, and %(missing)s rows have none."
    )
    hint = gettext_noop(
        "Nothing was changed. Give each row an id of its own, then run init_shop_all again. The "
        "first of the repeated ids: %(ids)s"
    )


class NameTaken(TransferError):
    code = "name_taken"
    sentence = gettext_noop(
        "The staging table %(table)s has columns of its own with names that Data Transfer needs "
        "for other values: %(columns)s."
    )
    hint = gettext_noop(
        "Nothing was changed. Rename these columns, or name another table in the file of "
        "DTADMIN_TABLES."
    )


# Of loads, their undos, corrections, and rows that were changed in place.


class LoadKnown(TransferError):
    code = "load_known"
    sentence = gettext_noop("These rows were loaded at this moment, by another process.")
    hint = gettext_noop(
        "Nothing was loaded twice. Look at the list of loads; load the file again only if its rows "
        "are to count twice."
    )


class LoadLost(TransferError):
    code = "load_lost"
    sentence = gettext_noop("Shop All does not have this load: it was restored to a time before.")
    hint = gettext_noop(
        "Nothing was taken back. Load the file, or repeat the call, first: only the bonus servers "
        "that lack its rows get them. Then take the load back."
    )


class LoadIsUndo(TransferError):
    code = "load_is_undo"
    sentence = gettext_noop("This load takes another one back.")
    hint = gettext_noop(
        "An undo can't be taken back. Load the file again: its rows then count as a new load."
    )


class LoadCorrects(TransferError):
    code = "load_corrects"
    sentence = gettext_noop(
        "Lines of this load correct rejected rows: %(rows)s. It can't be taken back as a whole."
    )
    hint = gettext_noop(
        "Nothing was changed: each of these lines counts only where its row was rejected. Load a "
        "file with the opposite amounts of the others, or take back the loads whose rows they "
        "correct."
    )


class LoadRowsMissing(TransferError):
    code = "load_rows_missing"
    sentence = gettext_noop("Rows of this load are no longer in shop All: %(rows)s.")
    hint = gettext_noop(
        "Nothing was changed. They were purged, or deleted by hand, so their values are lost. Load "
        "a file with the opposite amounts."
    )


class RowsNotRepeatable(TransferError):
    """The staging table has a unique index over values alone."""

    code = "rows_not_repeatable"
    sentence = gettext_noop(
        "The staging table %(table)s takes no second row with the same values: its index "
        "%(index)s forbids it."
    )
    hint = gettext_noop(
        "Nothing was changed. With this index rejected rows can't be corrected, loads not taken "
        "back, and changed rows not sent again. Let the owner of the table drop the index, or make "
        "the column id a part of it."
    )


class ChangesMoved(TransferError):
    code = "changes_moved"
    sentence = gettext_noop(
        "Some of these rows were changed again, or are decided by now: %(rows)s."
    )
    hint = gettext_noop(
        "Nothing was sent. Look at the list again, and decide on what it shows now."
    )


class ChangeNotSendable(TransferError):
    code = "change_not_sendable"
    sentence = gettext_noop("The changed values of some of these rows can't be sent: %(rows)s.")
    hint = gettext_noop(
        "Nothing was sent. The list says of each row why. Leave these out, or decide that the "
        "bonus servers keep what they have."
    )


# Of purges, rows deleted by hand, and rows that a server does without.


class PurgeWaits(TransferError):
    code = "purge_waits"
    sentence = gettext_noop(
        "What we know of %(server)s is of another past of shop All: we cannot tell which rows it "
        "still needs."
    )
    hint = gettext_noop(
        "Nothing was removed. The next transfer to this bonus server settles it. If the server is "
        "gone for good, undock it; if it belongs to another installation that is gone, run "
        "manage.py purge_staging --without-installation NAME."
    )


class PurgeOvertaken(TransferError):
    code = "purge_overtaken"
    sentence = gettext_noop("A bonus server began to read while the purge asked what is needed.")
    hint = gettext_noop("Nothing was removed. Run the purge again.")


class SkipOutdated(TransferError):
    code = "skip_outdated"
    sentence = gettext_noop(
        "%(database)s does not lack some of these rows, or they are not purged: %(changesets)s "
        "changesets."
    )
    hint = gettext_noop("Nothing was changed. Look at the list again, and decide on what it shows.")


REFUSALS = {
    error.code
    for error in (
        *(ShopAllWentBack, BeginningUndecided, HistoryTooOld, CopyOfServer, RowsPurged, RowsDiffer),
        *(PositionInvalid, RejectsUnreadable, AnswerInvalid, TooManyRows, IsReplica, Difference),
        *(RowsSwallowed, TooManyRefused, TableUnlogged),
    )
}
"""The codes of refusals: a transfer stops at once, and somebody has to do something."""
