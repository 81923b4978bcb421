"""All models. Django and the product import them from here."""

from transfer.models.account_jobs import AccountJob, IssuedSecret
from transfer.models.accounts import RegisterAccount, SeenDay
from transfer.models.alerts import Incident, Notice, Recipient
from transfer.models.api_calls import ApiCall
from transfer.models.api_keys import ApiKey
from transfer.models.approvals import Approval
from transfer.models.approvers import Approver, OwnNumber, Person
from transfer.models.audit import Actor, AuditEntry
from transfer.models.bulletins import Bulletin
from transfer.models.entries import EnteredRow, Entry
from transfer.models.failed_steps import FailedStep
from transfer.models.flow_hours import FlowHour
from transfer.models.heartbeat import Heartbeat
from transfer.models.left_behind import LeftBehind
from transfer.models.log_places import LogPlace
from transfer.models.logins import Guess
from transfer.models.maintenance import MaintenanceRun, MaintenanceTask
from transfer.models.outage_parts import OutagePart
from transfer.models.pieces import UploadPiece
from transfer.models.planned_work import PlannedWork
from transfer.models.recurring_jobs import RecurringJob
from transfer.models.registers import CashRegister, Shop
from transfer.models.rejects import RejectedRow
from transfer.models.runs import TransferRun
from transfer.models.servers import BonusServer
from transfer.models.settings import Settings
from transfer.models.statements import LogDay, ServerDay, Statement
from transfer.models.tasks import TaskBacklog, TransferTask
from transfer.models.uploads import BadLine, Upload
from transfer.models.users import StartPassword, User
