"""Rows of our own database as transfers and people leave them, made without either."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone

from transfer.causes.catalogue import REFUSALS
from transfer.engine.kinds import KINDS
from transfer.models import BonusServer, OutagePart, RejectedRow, TransferRun, TransferTask
from transfer.models.alerts import Incident, Notice, Recipient, Topic
from transfer.models.outage_parts import Part, Seen
from transfer.models.run_base import BAD_STATES, State, Trigger
from transfer.parties import SHOP_ALL
from transfer.problems.kinds import Code
from transfer.runs import backlog
from transfer.runs.backlog import Backlog

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NO_TOTALS = {
    "applied": "0",
    "unchanged": "0",
    "rejected": "0",
    "amount_applied": "0",
    "amount_rejected": "0",
}
POSITION = {
    "origin": "9a2b1c6e-0000-4000-8000-000000000001",
    "number": 1,
    "mark": "9a2b1c6e-0000-4000-8000-000000000002",
    "version": "9a2b1c6e-0000-4000-8000-000000000003",
    "server": "9a2b1c6e-0000-4000-8000-000000000004",
    "totals": NO_TOTALS,
    "received": NO_TOTALS,
}
NUMBERS = iter(range(1, 10**9))
CHANGESET = "00000000-0000-0001-0000-000000000001"
PAYLOADS = {
    "balances": {"account": "4100", "amount": "0", "validfrom": None, "validto": None,
                 "comment": None},
    "cards": {"card": "7001", "account": None, "status": "2"},
    "pincodes": {"account": "", "pincode": "••••"},
}  # fmt: skip
CODES = {"balances": "amount_zero", "cards": "card_unknown", "pincodes": "account_missing"}


def user(role: str | None, name: str = "olga") -> User:
    made = User.objects.create_user(name)
    if role:
        made.groups.add(Group.objects.get(name=role))
    return made


def server(name: str = "Бонусный сервер 8") -> BonusServer:
    """A docked server. No test opens a connection to it."""
    made = BonusServer(name=name, host="localhost", db_name="nowhere")
    made.dock()
    return made


def unsaved_run(task: TransferTask, **fields: Any) -> TransferRun:
    """A run that took two seconds; of today's NOON, unless the fields say otherwise."""
    at = fields.pop("queued_at", NOON)
    run = TransferRun.of(task, fields.pop("trigger", Trigger.SCHEDULE), fields.pop("actor", None))
    state = fields.pop("state", State.SUCCEEDED)
    times = {"queued_at": at, "started_at": at, "finished_at": at + timedelta(seconds=2)}
    if state in (State.QUEUED, State.RUNNING):
        times["finished_at"] = None
    for name, value in {**times, "state": state, **fields}.items():
        setattr(run, name, value)
    return run


def a_run(of: BonusServer, kind: str = "balances", **fields: Any) -> TransferRun:
    """Likewise, saved, with what its failure leaves."""
    run = unsaved_run(of.tasks.get(kind=kind), **fields)
    run.save()
    run.refresh_from_db()
    if run.state in BAD_STATES and run.error_code not in REFUSALS:
        is_of_shop_all = run.error is not None and run.error.party == SHOP_ALL
        seen = Seen(None if is_of_shop_all else of.pk, Part.RUNS, run.finished_at)
        OutagePart.note_failures([seen])
    return run


def a_reject(of: BonusServer, kind: str = "balances", **fields: Any) -> RejectedRow:
    """A reject as a run leaves it, made without a transfer."""
    run = fields.pop("run", None)
    values = {
        "run": run,
        "server": of,
        "server_name": of.name,
        "kind": kind,
        "changeset": CHANGESET,
        "row": next(NUMBERS),
        "code": CODES.get(kind, "account_missing"),
        "payload": PAYLOADS.get(kind) or dict.fromkeys(KINDS[kind].names, ""),
    }
    return RejectedRow.objects.create(**values | fields)


def wait_for(
    task: TransferTask, rows: int = 412, minutes: float = 3, error: Any = None, **fields: Any
) -> None:
    """As if the servers had just been asked."""
    oldest = timezone.now() - timedelta(minutes=minutes) if rows else None
    asked = Backlog(error=error) if error else Backlog(rows, oldest, **fields)
    backlog.store_backlogs({task.pk: asked})


def many_tasks(count: int) -> None:
    """Enabled tasks of servers that nobody asks; nothing waits for them."""
    start = BonusServer.objects.count()
    servers = BonusServer.objects.bulk_create(
        BonusServer(name=f"server {start + number}", host="h", db_name="d")
        for number in range(-(-count // 3))
    )
    tasks = [
        TransferTask(server=one, kind=kind, enabled=True, next_run_at=timezone.now())
        for one in servers
        for kind in ("pincodes", "balances", "cards")
    ]
    made = TransferTask.objects.bulk_create(tasks[:count])
    backlog.store_backlogs({task.pk: Backlog(0) for task in made})


def a_recipient(channel: str, address: str, **fields: Any) -> Recipient:
    """A recipient who is notified of everything, in Russian."""
    values = {"name": "Ольга", "language": "ru", "topics": Topic.values, **fields}
    return Recipient.objects.create(channel=channel, address=address, **values)


def a_notice(recipient: Recipient, event: str = "began") -> Notice:
    """A message to the recipient about two registers that are no longer seen."""
    incident, _made = Incident.objects.get_or_create(
        topic=Topic.REGISTERS,
        key="shop:1",
        ended_at=None,
        defaults={
            "code": Code.REGISTERS,
            "params": {"shop": "На углу", "n": 2, "names": "Касса 1, Касса 2"},
            "url": "/registers/?shop=1",
            "began_at": timezone.now() - timedelta(minutes=5),
        },
    )
    return Notice.objects.create(
        recipient=recipient, incident=incident, event=event, params=incident.params
    )


def a_problem(of: BonusServer | None, **fields: Any) -> Incident:
    """A problem that is noted, and lasts: registers of a shop are no longer seen."""
    values = {
        "topic": Topic.REGISTERS,
        "code": Code.REGISTERS,
        "key": "shop:1",
        "server": of,
        "params": {"shop": "На углу", "n": 2, "names": "Касса 1, Касса 2"},
        "url": "/registers/",
        "began_at": timezone.now() - timedelta(minutes=5),
        **fields,
    }
    return Incident.objects.create(**values)
