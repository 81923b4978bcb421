"""What people do in the demo: enter rows, some of which need a second person; take problems."""

from django.contrib.auth.models import User as AuthUser
from django.utils.translation import gettext as _

from dtadmin.demo.data import account
from transfer.engine.kinds import BALANCES
from transfer.loading import upload_job
from transfer.loading.receive import receive
from transfer.models import Actor, AuditEntry, Entry, Incident, Settings, Upload, User
from transfer.models.alerts import Topic
from transfer.models.approvers import mark
from transfer.problems import taking

LIMIT = 20_000
Way = Upload.InputMethod
Action = AuditEntry.Action
# Name, way, and the rows: account, amount. The last is above the limit of a row.
LOADS = (
    ("", Way.HAND, ((11, 250),)),
    ("", Way.HAND, ((11, 19_500),)),
    ("", Way.HAND, ((11, 19_900),)),
    ("", Way.HAND, ((11, 400),)),
    ("bonus.csv", Way.FILE, ((15, 50_000), (16, 1_200), (17, -300))),
)


def enter_loads() -> None:
    """Set a limit, let the administrator approve, and load as the operator; once."""
    if Entry.objects.exists() or Settings.load().row_limit is not None:
        return
    command_line = Actor.at_command_line()
    admin = User.objects.get(username="admin")
    mark(admin, command_line, approves=True, numbers=[])
    Settings.load().change(command_line, row_limit=LIMIT)
    operator = Actor.user_at(AuthUser.objects.get(username="operator"))
    for name, way, rows in LOADS:
        lines = [f"{account(number)};{amount}" for number, amount in rows]
        content = "\n".join(["account;amount", *lines]).encode()
        name = name or account(rows[0][0])
        upload = receive(BALANCES, [content], operator, name=name, input_method=way)
        upload_job.go_on(upload)
        upload.confirm(operator)
        upload_job.go_on(upload)


def look_after_problems() -> None:
    """Once the scheduler has noted them: take the rejected rows, mute the load that waits; once."""
    operator = Actor.user_at(AuthUser.objects.get(username="operator"))
    if (rejects := _untouched(Topic.REJECTS, Action.TAKE)) is not None:
        taking.take(rejects, operator, note=_("I correct them with head office."))
    if (waits := _untouched(Topic.APPROVALS, Action.MUTE)) is not None:
        taking.mute(waits, operator, until=None, reason=_("It is approved in the morning."))


def _untouched(topic: Topic, action: Action) -> Incident | None:
    """Return the open problem of this topic; None if the demo has done this before, or has none."""
    if AuditEntry.objects.filter(action=action).exists():
        return None
    return Incident.objects.open().filter(topic=topic).first()
