from transfer.models.audit import Actor, AuditEntry
from transfer.models.heartbeat import Heartbeat
from transfer.models.maintenance import MaintenanceRun, MaintenanceTask
from transfer.models.rejects import RejectedRow
from transfer.models.runs import TransferRun
from transfer.models.servers import BonusServer
from transfer.models.settings import Settings
from transfer.models.tasks import TransferTask

__all__ = [
    "Actor",
    "AuditEntry",
    "BonusServer",
    "Heartbeat",
    "MaintenanceRun",
    "MaintenanceTask",
    "RejectedRow",
    "Settings",
    "TransferRun",
    "TransferTask",
]
