"""Rows of a chunk do not arrive as they were sent."""

from transfer.errors import TransferError, gettext_noop


class NumberUsedTwice(TransferError):
    code = "number_used_twice"
    sentence = gettext_noop(
        "Row № %(number)s of %(table)s fails a check, and so did another row that had this number."
    )
    hint = gettext_noop(
        "Nothing of this step was moved: of two rejected rows with one number, one would hide the "
        "other. The database has to assign the number (id), not the program that writes. Delete "
        "the row, stage it again without a number, and set the sequence beyond the largest number "
        "ever used."
    )


class RowsChanged(TransferError):
    code = "rows_changed"
    sentence = gettext_noop("Rows changed after their transfer: %(rows)s.")
    hint = gettext_noop(
        "Bonus servers keep the values that they have received. Decide for each row: send it "
        "again, or leave it."
    )


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
        "%(database)s accepts rows for %(table)s and does not keep them there: %(names)s."
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


class CommitUnconfirmed(TransferError):
    code = "commit_unconfirmed"
    sentence = gettext_noop("%(database)s did not confirm the last step.")
    hint = gettext_noop(
        "The bonus server's database shows whether the step arrived, and the next run reads that "
        "first. Nothing is lost or moved twice."
    )


class RejectsUnreadable(TransferError):
    code = "rejects_unreadable"
    sentence = gettext_noop(
        "%(database)s holds rejected rows that no transfer can have written, after the one with "
        "the number %(number)s."
    )
    hint = gettext_noop(
        "The table datatransfer.reject of the bonus server was changed or replaced. Ask its "
        "administrator. Other bonus servers are not affected."
    )


class LoadUnknown(TransferError):
    code = "load_unknown"
    sentence = gettext_noop("We did not record which staged rows belong to this load.")
    hint = gettext_noop(
        "It can't be taken back as a whole. Load a file that corrects it: balance changes "
        "with the opposite amounts, or the right PIN codes, links and statuses."
    )


class RowsGone(TransferError):
    code = "rows_gone"
    sentence = gettext_noop("Rows of this load are no longer in shop All: %(rows)s.")
    hint = gettext_noop(
        "A purge or a restore of shop All has removed them, so their values are lost. Load a "
        "file that corrects what they changed."
    )


class UndoGone(TransferError):
    code = "undo_gone"
    sentence = gettext_noop(
        "This load was taken back, but the undo is not in shop All any more: it was restored."
    )
    hint = gettext_noop(
        "A bonus server may have received rows of the undo, so it is not done again. Compare the "
        "servers, and load a file that makes up for the difference."
    )


class NothingTakenBack(TransferError):
    code = "nothing_taken_back"
    sentence = gettext_noop("No row could be taken back.")
    hint = gettext_noop(
        "PIN codes, links and statuses that a bonus server has read can't be taken back: download "
        "the list of rows, and load the right values. Rows that were changed in shop All can't "
        "be taken back either. If no server has read them, shop All was renumbered since the "
        "load, or another program holds the table at this moment: try again."
    )
