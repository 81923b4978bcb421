"""Does what waits for a second person and has no file, once it is approved."""

from transfer.models import Upload
from transfer.rejects import changed, resend


def work(upload: Upload) -> None:
    """Do what was approved, once. Raises ApprovalVoid, TransferError."""
    if upload.input_method == Upload.InputMethod.CORRECTION:
        resend.resend_approved(upload)
    else:
        changed.send_approved(upload)
