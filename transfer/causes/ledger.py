"""The ledger: what a transfer, a purge or a question about the past can meet."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

ROWS_CHANGED = Cause(
    "rows_changed",
    gettext_noop("Rows changed after their transfer: %(rows)s."),
    gettext_noop(
        "Bonus servers keep the values that they have received. Decide for each row: send it "
        "again, or leave it."
    ),
)


ROWS_LOST_ON_THE_WAY = Cause(
    "rows_lost_on_the_way",
    gettext_noop("The source sent %(sent)s rows and the bonus server received %(received)s."),
    gettext_noop(
        "The step was rolled back, and the next run repeats it. If it happens again, look at "
        "the network between the databases."
    ),
)


ROWS_SWALLOWED = Cause(
    "rows_swallowed",
    gettext_noop(
        "%(database)s accepts rows for %(table)s and does not keep them there: %(names)s."
    ),
    gettext_noop(
        "The step was rolled back, so nothing is lost. A trigger or a rule of the bonus server "
        "swallows rows or sends them elsewhere; its administrator has to say why, and change "
        "it."
    ),
    remedy="the vendor looks at triggers and constraints",
)


TOO_MANY_REFUSED = Cause(
    "too_many_refused",
    gettext_noop(
        "%(database)s refuses more than half of the %(rows)s rows of one step: %(reason)s."
    ),
    gettext_noop(
        "The step was rolled back. So many rows are rarely wrong one by one: check whether a "
        "constraint, a trigger or the encoding of the bonus server has changed. If the rows "
        "themselves are wrong, move them in steps of fewer than 100 rows, which may all become "
        "rejects: manage.py transfer, with --chunk 99."
    ),
    remedy="the vendor looks at triggers and constraints",
)


COMMIT_UNCONFIRMED = Cause(
    "commit_unconfirmed",
    gettext_noop("%(database)s did not confirm the last step."),
    gettext_noop(
        "The bonus server's database shows whether the step arrived, and the next run reads that "
        "first. Nothing is lost or moved twice."
    ),
)


# The log of shop All lacks what our own history, or a bonus server, knows of it.
#
# `changesets` are those that a bonus server has received and the log lacks; empty if our own
# history asked.
SHOP_ALL_WENT_BACK = Cause(
    "shop_all_went_back",
    gettext_noop(
        "The database of shop All has gone back in time, or is another one: it lacks what was in "
        "it before. All transfers wait for an answer."
    ),
    gettext_noop(
        "Nothing was moved. If this is the right database, restored from a copy: confirm it on the "
        "overview, or with manage.py confirm_shop_all, which lists first what it lacks. The "
        "transfers then go on by themselves. If it is not, correct SHOP_ALL_DATABASE_URL."
    ),
    remedy="`manage.py confirm_shop_all`, if it is the right database",
)


BEGINNING_UNDECIDED = Cause(
    "beginning_undecided",
    gettext_noop(
        "%(database)s has no position of this transfer yet, and %(rows)s rows are staged in shop "
        "All. Its table %(table)s holds %(held)s. We cannot tell which of the staged "
        "rows it has received."
    ),
    gettext_noop(
        "Nothing was moved: rows could be lost or moved twice. An administrator says it on the "
        "server's page, or with manage.py begin %(quoted_database)s %(kind)s, and one of: "
        "--nothing (it gets all rows), --everything (it has all rows up to now), --as SERVER (its "
        "tables are a copy of that server's). --dry-run counts first."
    ),
    remedy="`manage.py begin SERVER KIND`",
)


LOG_BUSY = Cause(
    "log_busy",
    gettext_noop("Another process writes to the log of shop All for too long."),
    gettext_noop("Nothing was changed. Try again in a minute."),
)


HISTORY_TOO_OLD = Cause(
    "history_too_old",
    gettext_noop(
        "%(database)s was restored to a time before the oldest line that shop All still keeps. We "
        "cannot tell which of the staged rows it has received."
    ),
    gettext_noop(
        "Nothing was moved: rows could be lost or moved twice. An administrator says it on the "
        "server's page, or with manage.py begin %(quoted_database)s %(kind)s, and one of: "
        "--nothing (it gets all rows), --everything (it has all rows up to now), --as SERVER (its "
        "tables are a copy of that server's). --dry-run counts first."
    ),
    remedy="`manage.py begin SERVER KIND`",
)


# `changesets` are those whose rows the server needs.
ROWS_PURGED = Cause(
    "rows_purged",
    gettext_noop("%(rows)s rows that %(database)s has not received were purged from shop All."),
    gettext_noop(
        "Nothing was moved. Restore a younger backup of the bonus server, or copy another bonus "
        "server's database, or go on without these rows, for good: on the server's page, or with "
        "manage.py skip_rows %(quoted_database)s %(kind)s. It lists them first."
    ),
    remedy="`manage.py skip_rows SERVER KIND`, or restore a younger backup",
)


# `changesets` are those that have lost rows.
ROWS_DIFFER = Cause(
    "rows_differ",
    gettext_noop(
        "Rows that %(database)s needs were deleted from shop All by hand: %(rows)s in %(table)s."
    ),
    gettext_noop(
        "Nothing was moved. Stage the rows again if they are needed, or go on without them, for "
        "all bonus servers: on the overview, or with manage.py forget_rows %(kind)s. It lists them "
        "first."
    ),
    remedy="`manage.py forget_rows KIND`",
)


POSITION_INVALID = Cause(
    "position_invalid",
    gettext_noop("%(database)s holds a position that no transfer can have written: %(column)s."),
    gettext_noop(
        "Nothing was moved. Somebody has changed the schema datatransfer of the bonus server: ask "
        "its administrator. Once the row of this transfer is deleted there, the next run asks what "
        "the server has received. Other bonus servers are not affected."
    ),
    remedy="the database's administrator restores our schema",
)


POSITION_KNOWN = Cause(
    "position_known",
    gettext_noop("%(database)s has a position of this transfer already."),
    gettext_noop("Nothing was changed. The transfer goes on from there by itself."),
)


SERVER_HAS_MOVED = Cause(
    "server_has_moved",
    gettext_noop(
        "%(database)s has no position of this transfer, or has moved rows since its tables were "
        "copied."
    ),
    gettext_noop(
        "Nothing was changed: rows would be lost. Switch its tasks off, let the vendor copy its "
        "tables, and answer again before you switch them on."
    ),
)


TABLE_NOT_EMPTY = Cause(
    "table_not_empty",
    gettext_noop("The table %(table)s of %(database)s is not empty any more."),
    gettext_noop(
        "Nothing was decided: rows that are there now could have come from shop All. Look at them, "
        "and answer again."
    ),
)


POSITION_MOVED = Cause(
    "position_moved",
    gettext_noop("Another process moved the position of this transfer."),
    gettext_noop("The step was rolled back. Run the transfer again."),
)


COPY_OF = Cause(
    "copy_of",
    gettext_noop(
        "The database of %(database)s is a copy of that of %(other)s, or one database is docked "
        "twice."
    ),
    gettext_noop(
        "Nothing was moved. If it is a copy, say so on the server's page, or with manage.py begin "
        "%(quoted_database)s %(kind)s --own: it goes on from where the copy was made. If both are "
        "one database, undock one of them."
    ),
    remedy="`manage.py begin SERVER KIND --own`, or undock one of the two",
)


REJECTS_UNREADABLE = Cause(
    "rejects_unreadable",
    gettext_noop("%(database)s holds rejected rows that no transfer can have written."),
    gettext_noop(
        "The table datatransfer.reject of the bonus server was changed or replaced. Ask its "
        "administrator. Other bonus servers are not affected."
    ),
    remedy="the database's administrator restores our schema",
)


PURGE_WAITS = Cause(
    "purge_waits",
    gettext_noop(
        "What we know of %(server)s is of another past of shop All: we cannot tell which rows it "
        "still needs."
    ),
    gettext_noop(
        "Nothing was removed. The next transfer to this bonus server settles it. If the server is "
        "gone for good, undock it; if it belongs to another installation that is gone, run "
        "manage.py purge_staging --without-installation NAME."
    ),
)


PURGE_OVERTAKEN = Cause(
    "purge_overtaken",
    gettext_noop("A bonus server began to read while the purge asked what is needed."),
    gettext_noop("Nothing was removed. Run the purge again."),
)


SKIP_OUTDATED = Cause(
    "skip_outdated",
    gettext_noop(
        "%(database)s does not lack some of these rows, or they are not purged: %(changesets)s "
        "changesets."
    ),
    gettext_noop("Nothing was changed. Look at the list again, and decide on what it shows."),
)
