from transfer.models.rejects import RejectedRow
from transfer.models.runs import TransferRun
from transfer.models.servers import BonusServer
from transfer.models.tasks import TransferTask

__all__ = ["BonusServer", "RejectedRow", "TransferRun", "TransferTask"]
