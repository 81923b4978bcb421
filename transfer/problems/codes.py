"""The kinds of problems, and to which topic of messages each belongs."""

from enum import StrEnum

from transfer.models.alerts import Topic


class Code(StrEnum):
    """The kinds of problems. The worst first."""

    GUARDS = "guards"  # of the staging tables in shop All
    SCHEDULER_NEVER = "scheduler_never"
    SCHEDULER = "scheduler"  # it is silent
    CLOCK = "clock"  # it is silent, and the clock was set back
    QUEUE = "queue_stuck"
    SLOW_SERVER = "slow_server"  # its jobs take up the workers, while others wait
    STEP = "step"
    REFUSAL = "refusal"
    DIFFERENCE = "difference"
    OUTAGE = "outage"  # of a bonus server, or of shop All: what folds its causes
    FAILURES = "failures"
    DATABASE = "database"
    SERVER = "server"  # its administration port
    SERVICE_PORT = "service_port"
    MESSAGES = "messages"
    PAGES = "pages"  # they do not answer at SITE_URL
    MAIL = "mail"  # the mail server does not answer
    CERTIFICATE = "certificate"  # of a bonus server, ends soon
    TWO_SCHEDULERS = "two_schedulers"  # on one machine: cron and a service
    BACKUP = "backup"  # the nightly one is missing
    LATE = "late"
    SLOW = "slow"  # most rows of the last 24 hours arrived, but not within the limit
    LEFT_BEHIND = "left_behind"  # purges do not wait for a bonus server
    WRITING = "writing"
    CHANGED = "changed"  # staged rows, after their transfer
    TABLES = "tables"  # that a later version will refuse
    SECTIONS = "sections"  # of the file of DTADMIN_TABLES, for servers that are not docked
    REJECTS = "rejects"
    REGISTERS = "registers"
    LOCKED = "locked"


TOPICS = {
    Code.GUARDS: Topic.SCHEDULER,
    Code.SCHEDULER_NEVER: Topic.SCHEDULER,
    Code.SCHEDULER: Topic.SCHEDULER,
    Code.CLOCK: Topic.SCHEDULER,
    Code.QUEUE: Topic.SCHEDULER,
    Code.SLOW_SERVER: Topic.LATE,
    Code.STEP: Topic.SCHEDULER,
    Code.REFUSAL: Topic.REFUSAL,
    Code.DIFFERENCE: Topic.DIFFERENCE,
    Code.OUTAGE: Topic.FAILURES,
    Code.FAILURES: Topic.FAILURES,
    Code.DATABASE: Topic.FAILURES,
    Code.SERVER: Topic.FAILURES,
    Code.SERVICE_PORT: Topic.FAILURES,
    Code.MESSAGES: Topic.SCHEDULER,
    Code.PAGES: Topic.SCHEDULER,
    Code.MAIL: Topic.SCHEDULER,
    Code.CERTIFICATE: Topic.FAILURES,
    Code.TWO_SCHEDULERS: Topic.SCHEDULER,
    Code.BACKUP: Topic.SCHEDULER,
    Code.LATE: Topic.LATE,
    Code.SLOW: Topic.LATE,
    Code.LEFT_BEHIND: Topic.LATE,
    Code.WRITING: Topic.LATE,
    Code.CHANGED: Topic.REJECTS,
    Code.TABLES: Topic.FAILURES,
    Code.SECTIONS: Topic.FAILURES,
    Code.REJECTS: Topic.REJECTS,
    Code.REGISTERS: Topic.REGISTERS,
    Code.LOCKED: Topic.LOCKED,
}
ORDER = {code: number for number, code in enumerate(Code)}
# Their pages are for administrators, and they name users or addresses of people.
FOR_ADMINISTRATORS = (Code.MESSAGES, Code.LOCKED)
