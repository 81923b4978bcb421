"""The position on a bonus server is missing, unknown, or can't be trusted."""

from transfer.errors import TransferError, gettext_noop


class PositionLost(TransferError):
    code = "position_lost"
    sentence = gettext_noop(
        "%(database)s no longer says what it has received: its position of this transfer is gone."
    )
    hint = gettext_noop(
        "Nothing was moved: rows could be moved twice. Its tables were restored without ours, or "
        "shop All was created again. Find the last batch in its data (the server's page shows the "
        "log), and name it: manage.py set_position %(quoted_database)s %(kind)s --batch N, or "
        "--start if it has received nothing. --dry-run counts first."
    )


class PositionBeforeRebase(TransferError):
    code = "position_before_rebase"
    sentence = gettext_noop(
        "The data of %(database)s is older than the renumbering of shop All (rebase_shop_all): no "
        "later batch shows which rows it has received, and shop All no longer keeps what it had "
        "received before."
    )
    hint = gettext_noop(
        "Nothing was changed: rows would be lost. Restore a backup of the bonus server from after "
        "the rebase. Only if its data has none of the staged rows, let it receive all of them: "
        "manage.py set_position %(quoted_database)s %(kind)s --start."
    )


class PositionStillKnown(TransferError):
    code = "position_still_known"
    sentence = gettext_noop(
        "The data of %(database)s is older than the renumbering of shop All (rebase_shop_all), and "
        "its own position says exactly which rows it has received."
    )
    hint = gettext_noop(
        "Nothing was changed: a batch from after the renumbering would skip rows. The next run "
        "carries the position over by itself. To see before what it sends: manage.py set_position "
        "'%(database)s' %(kind)s --dry-run, without --batch."
    )


class BeginningUndecided(TransferError):
    code = "beginning_undecided"
    sentence = gettext_noop(
        "%(rows)s rows are staged in shop All for %(database)s, and its table %(table)s holds "
        "about %(held)s rows. We cannot tell which of the staged rows it has received."
    )
    hint = gettext_noop(
        "Nothing was moved: rows could be lost or moved twice. An administrator decides it on the "
        "server's page, or with manage.py set_position %(quoted_database)s %(kind)s and one of "
        "these. --start: it has received nothing, all rows are sent. --now: it has received "
        "everything staged until now. --batch N --reader R: its tables are a copy of another "
        "server's, made after batch N of that server. --dry-run counts first."
    )


class ReaderShared(TransferError):
    code = "reader_shared"
    sentence = gettext_noop(
        "The position in %(database)s is the one of %(other)s: its database was copied together "
        "with our schema, or it was docked twice."
    )
    hint = gettext_noop(
        "Nothing was moved: two servers that share a position could lose rows. If %(database)s is "
        "a copy, give it a position of its own that goes on from where the copy was made: on the "
        "server's page, or with manage.py set_position %(quoted_database)s %(kind)s --as-of-clone. "
        "If it replaces %(other)s, undock %(other)s. If both are one database, undock one of them."
    )


class SameDatabase(TransferError):
    code = "same_database"
    sentence = gettext_noop(
        "%(database)s and %(other)s are one database, docked twice: it is no copy."
    )
    hint = gettext_noop(
        "Nothing was changed: every row would arrive twice. Undock one of the two, or enter the "
        "address of the copy in the settings of %(database)s."
    )


class ReaderOfAnother(TransferError):
    code = "reader_of_another"
    sentence = gettext_noop(
        "Rows are transferred from shop All to %(server)s as well, last at %(at)s, and it is not "
        "docked here: another installation reads from this shop All (reader %(reader)s)."
    )
    hint = gettext_noop(
        "Nothing was removed: that server may still need the rows. If it is gone for good: "
        "manage.py purge_staging --older-than DAYS --without-reader %(reader)s."
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
        "We cannot tell which reader in shop All's log belongs to %(database)s."
    )
    hint = gettext_noop(
        "Add --reader, with one of these (and the name that the server had then): %(known)s"
    )


class PositionMissing(TransferError):
    code = "position_missing"
    sentence = gettext_noop("%(database)s has no position of this transfer to continue from.")
    hint = gettext_noop("Say where it is: --batch N, --start or --now.")


class RowsPurged(TransferError):
    code = "rows_purged"
    sentence = gettext_noop(
        "The bonus server was restored to batch %(number)s, and up to %(rows)s rows after it were "
        "purged from shop All: it can't get them any more."
    )
    hint = gettext_noop(
        "Nothing was moved. Restore a newer copy of the bonus server, or continue without these "
        "rows: manage.py set_position %(quoted_server)s %(kind)s --accept-purged"
    )


class RowsMissing(RowsPurged):
    """The same, where the notes of the purge say exactly how many rows these are."""

    code = "rows_missing"
    sentence = gettext_noop(
        "%(rows)s rows that %(server)s has not received were purged from shop All: a purge left "
        "the server behind, or its database was restored to batch %(number)s."
    )
    hint = gettext_noop(
        "Nothing was moved. Give it a copy of the database of a bonus server that has these rows, "
        "and say so on its page or with --as-of-clone. Or continue without these rows, on its page "
        "or with manage.py set_position %(quoted_server)s %(kind)s %(options)s"
    )


class PositionMoved(TransferError):
    code = "position_moved"
    sentence = gettext_noop("Another process moved the position of this transfer.")
    hint = gettext_noop("The step was rolled back. Run the transfer again.")


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
