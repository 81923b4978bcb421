"""Runs as a history has them, made without moving anything."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group, User

from transfer.models import BonusServer, TransferRun
from transfer.models.run_base import State, Trigger

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
POSITION = {
    "origin": "9a2b1c6e-0000-4000-8000-000000000001",
    "kind": "balances",
    "read_through": "100:100:",
    "reading": None,
    "last_xid": None,
    "last_id": None,
    "totals": {
        "applied": "0",
        "unchanged": "0",
        "rejected": "0",
        "amount_applied": "0",
        "amount_rejected": "0",
    },
    "purged_rows": 0,
    "purged_amount": "0",
}


def user(role: str | None, name: str = "olga") -> User:
    made = User.objects.create_user(name)
    if role:
        made.groups.add(Group.objects.get(name=role))
    return made


def server(name: str = "Бонусный сервер 8") -> BonusServer:
    """A docked server that nobody connects to."""
    made = BonusServer(name=name, host="localhost", db_name="nowhere")
    made.dock()
    return made


def a_run(of: BonusServer, kind: str = "balances", **fields: Any) -> TransferRun:
    """A run that took two seconds; of today's NOON, unless the fields say otherwise."""
    at = fields.pop("queued_at", NOON)
    task = of.tasks.get(kind=kind)
    run = TransferRun.of(task, fields.pop("trigger", Trigger.SCHEDULE), fields.pop("actor", None))
    state = fields.pop("state", State.SUCCEEDED)
    times = {"queued_at": at, "started_at": at, "finished_at": at + timedelta(seconds=2)}
    if state in (State.QUEUED, State.RUNNING):
        times["finished_at"] = None
    for name, value in {**times, "state": state, **fields}.items():
        setattr(run, name, value)
    run.save()
    run.refresh_from_db()
    return run
