"""Runs, the queue, and servers that are paused, copied or left behind."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

UNEXPECTED = Cause(
    "unexpected",
    gettext_noop("An unexpected error stopped the transfer."),
    gettext_noop(
        "Nothing was half done: the step was rolled back. Run it again. If it fails again, send "
        "the technical text to your support."
    ),
)

ALREADY_RUNNING = Cause(
    "already_running",
    gettext_noop("This transfer is already running: %(holder)s."),
    gettext_noop("Wait for it to finish. Two at once would not move anything twice."),
)


DIFFERENCE = Cause(
    "difference",
    gettext_noop("Staged and moved rows differ: %(tasks)s."),
    gettext_noop(
        "Rows are missing, or there are too many. The server's page says how many and by what sum; "
        "somebody may have removed staged rows, or changed the position. Look before the next run."
    ),
    remedy="[compare the two sides](en/red.md#difference)",
)


STILL_READ = Cause(
    "still_read",
    gettext_noop("The database of %(server)s answers, so it can't be left behind."),
    gettext_noop(
        "Purges keep the rows that it has not received yet. If it does not need them, undock it."
    ),
)


PURGED_MEANWHILE = Cause(
    "purged_meanwhile",
    gettext_noop(
        "Purges have removed rows that %(server)s has not received: up to %(rows)s. It stays left "
        "behind."
    ),
    gettext_noop(
        "Once it answers, its next run says exactly how many rows it lacks, and you decide. To "
        "keep further rows, switch off the purge of the staging tables until then."
    ),
)


COPIED_SERVER_IS_ON = Cause(
    "copied_server_is_on",
    gettext_noop("The transfer “%(kind)s” to %(server)s is switched on, or runs."),
    gettext_noop(
        "Nothing was changed: rows that it receives after its tables were copied would be lost on "
        "the copy. Switch its tasks off, let the vendor copy its tables, and answer then."
    ),
)


RUN_TAKEN_OVER = Cause(
    "run_taken_over",
    gettext_noop("The run was closed from outside while it went on."),
    gettext_noop(
        "It had lost its connection to our own database, so it was assumed dead. What it "
        "moved is counted; the next run continues from there."
    ),
)


STILL_QUEUED = Cause(
    "still_queued",
    gettext_noop("The run before it still waits in the queue, since %(since)s."),
    gettext_noop(
        "Nothing is lost: the run that waits moves all rows. If this happens often, start more "
        "workers (manage.py db_worker) or run this task less often."
    ),
)


QUEUE_STUCK = Cause(
    "queue_stuck",
    gettext_noop("Jobs have waited in the queue since %(since)s."),
    gettext_noop("No worker takes them, or all are busy. Start one: manage.py db_worker"),
)
