"""What people enter in the demo: small changes by hand, and a file that needs a second person."""

from django.contrib.auth.models import User as AuthUser

from dtadmin.demo.data import account
from transfer.engine.kinds import BALANCES
from transfer.loading import upload_job
from transfer.loading.receive import receive
from transfer.models import Actor, Entry, Settings, Upload, User
from transfer.models.approvers import mark

LIMIT = 20_000
Way = Upload.InputMethod
# Name, way, and the rows: account, amount. The last is above the limit of a row.
LOADS = (
    ("", Way.HAND, ((11, 250),)),
    ("", Way.HAND, ((11, 19_500),)),
    ("", Way.HAND, ((11, 19_900),)),
    ("", Way.HAND, ((11, 400),)),
    ("bonus.csv", Way.FILE, ((15, 50_000), (16, 1_200), (17, -300))),
)


def enter() -> None:
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
