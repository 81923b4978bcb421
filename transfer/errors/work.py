"""A run, the queue or a file that can't go on."""

from transfer.errors.base import TransferError
from transfer.parties import gettext_noop


class AlreadyRunning(TransferError):
    code = "already_running"
    sentence = gettext_noop("This transfer is already running: %(holder)s.")
    hint = gettext_noop("Wait for it to finish. Two at once would not move anything twice.")


class Difference(TransferError):
    code = "difference"
    sentence = gettext_noop("Staged and moved rows differ: %(tasks)s.")
    hint = gettext_noop(
        "Rows are missing, or there are too many. The server's page says how many and by what sum; "
        "somebody may have removed staged rows, or changed the position. Look before the next run."
    )


class StillRead(TransferError):
    code = "still_read"
    sentence = gettext_noop("The database of %(server)s answers, so it can't be left behind.")
    hint = gettext_noop(
        "Purges keep the rows that it has not received yet. If it does not need them, undock it."
    )


class PurgedMeanwhile(TransferError):
    code = "purged_meanwhile"
    sentence = gettext_noop(
        "Purges have removed rows that %(server)s has not received: up to %(rows)s. It stays left "
        "behind."
    )
    hint = gettext_noop(
        "Once it answers, its next run says exactly how many rows it lacks, and you decide. To "
        "keep further rows, switch off the purge of the staging tables until then."
    )


class CopiedServerIsOn(TransferError):
    code = "copied_server_is_on"
    sentence = gettext_noop("The transfer “%(kind)s” to %(server)s is switched on, or runs.")
    hint = gettext_noop(
        "Nothing was changed: rows that it receives after its tables were copied would be lost on "
        "the copy. Switch its tasks off, let the vendor copy its tables, and answer then."
    )


class RunTakenOver(TransferError):
    code = "run_taken_over"
    sentence = gettext_noop("The run was closed from outside while it went on.")
    hint = gettext_noop(
        "It had lost its connection to our own database, so it was assumed dead. What it "
        "moved is counted; the next run continues from there."
    )


class StillQueued(TransferError):
    code = "still_queued"
    sentence = gettext_noop("The run before it still waits in the queue, since %(since)s.")
    hint = gettext_noop(
        "Nothing is lost: the run that waits moves all rows. If this happens often, start more "
        "workers (manage.py db_worker) or run this task less often."
    )


class FileRefused(TransferError):
    """The file can't be read. Nothing of it is loaded."""

    code = "file_refused"
    sentence = gettext_noop("The file can't be read.")
    hint = gettext_noop("Save it as XLSX, or as CSV in UTF-8, and upload it again.")


class QueueStuck(TransferError):
    code = "queue_stuck"
    sentence = gettext_noop("Jobs have waited in the queue since %(since)s.")
    hint = gettext_noop("No worker takes them, or all are busy. Start one: manage.py db_worker")
