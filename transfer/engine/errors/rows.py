"""Rows of a chunk do not arrive as they were sent."""

from transfer.errors import TransferError, gettext_noop


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
