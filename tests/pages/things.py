"""One of each thing that a page can be about, and what a page's address needs to name it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.utils import timezone

from tests.pages.look import own_patterns
from tests.records import a_notice, a_problem, server
from tests.signing import a_statement
from transfer.alerts import links
from transfer.models import (
    AccountJob,
    Actor,
    ApiKey,
    Approval,
    Bulletin,
    CashRegister,
    Heartbeat,
    MaintenanceRun,
    MaintenanceTask,
    Notice,
    PlannedWork,
    Recipient,
    RegisterAccount,
    RejectedRow,
    Shop,
    TransferRun,
    Upload,
)
from transfer.pages.links import key_of

OF_LOADED = {"upload_arrival", "upload_run", "upload_undo", "upload_rest"}
ENTERED = {"sample": [{"cells": ["7780000000011", "4100000011", "1"]}]}

GONE_BACK = {
    "server": "Бонусный сервер 8",
    "kinds": {
        "cards": {"from": "2026-11-20T12:00:00+00:00", "to": "2026-11-20T13:00:00+00:00", "rows": 3}
    },
}


def things() -> dict[str, Any]:
    """One of each thing that a page can be about, and what a page's address needs to name it."""
    Heartbeat.beat("shop: cron")
    eight = server()
    register = CashRegister.objects.create(
        shop=Shop.objects.create(code="1"), code="10.50", name="Касса 10.50"
    )
    task = eight.tasks.get(kind="cards")
    maintenance = MaintenanceTask.objects.get(kind="purge_history")
    return {
        "server": eight,
        "task": task,
        "run": saved(TransferRun.of(task, "schedule")),
        "maintenance_run": saved(MaintenanceRun.of(maintenance, "schedule")),
        "register": register,
        "shop": register.shop,
        "account": RegisterAccount.objects.create(server=eight, register=register, state="created"),
        "job": AccountJob.objects.create(server=eight, action="create", actor="olga"),
        "upload": Upload.objects.create(kind="cards", name="cards.csv", state="ready"),
        "loaded": Upload.objects.create(kind="cards", name="cards.csv", state="loaded"),
        "entry": Upload.objects.create(
            kind="cards", state="ready", input_method="hand", report=ENTERED
        ),
        "approval": Approval.objects.create(
            upload=Upload.objects.create(kind="balances", name="bonus.csv", state="waiting"),
            asked_by="oleg",
            reasons=[{"code": "row", "limit": "10000", "value": "50000"}],
            rows=1,
            largest=50000,
            total=50000,
        ),
        "reject": RejectedRow.objects.create(
            kind="balances",
            server=eight,
            changeset=uuid4(),
            row=1,
            code="amount_zero",
            payload={"account": "4100", "amount": "0"},
        ),
        "problem": a_problem(eight),
        "user": User.objects.create_user("somebody"),
        "mfa": User.objects.first(),
        "recipient": Recipient.objects.create(name="olga", channel="mail", address="o@x.example"),
        "notice": a_notice(Recipient.objects.create(name="ivan", channel="mail", address="i@x")),
        "key": ApiKey.make(
            Actor("anna"), name="ERP", scopes=["read"], expires_at=None, limit=60
        ).key,
        "bulletin": Bulletin.objects.create(code="server_restored", server=eight, params=GONE_BACK),
        "statement": a_statement(),
        "work": PlannedWork.objects.create(
            begins_at=timezone.now(), ends_at=timezone.now() + timedelta(hours=1), reason="x"
        ),
    }


def token_of(notice: Notice) -> str:
    """The secret of the link in the message."""
    return links.SIGNER.sign_object([notice.pk, notice.recipient_id, 2**33])


def saved(one: Any) -> Any:
    one.save()
    return one


def arguments(name: str, about: dict[str, Any]) -> dict[str, Any]:
    """What the address of the page needs."""
    (pattern,) = [one for one in own_patterns() if one.name == name]
    wanted = set(pattern.pattern.regex.groupindex) | set(pattern.pattern.converters)
    key = key_of(about["task"])
    known = {"key": key, "kind": "cards", "form": "csv", "action": "block", "language": "ru"}
    known["provider_id"] = "sso"
    known["path"] = "v1/"
    known["token"] = token_of(about["notice"])
    known["name"] = "overview" if name == "help_picture" else "work"
    values = {one: known[one] for one in wanted & set(known)}
    if "number" in wanted:
        return values | {"number": about["statement"].number}
    if "job" in wanted:
        return values | {"pk": about["server"].pk, "job": about["job"].pk}
    if "pk" in wanted:
        # The longest of the names that it begins with: maintenance_run_live, run_live.
        subject = max((one for one in about if name.startswith(one)), key=len)
        values["pk"] = about["loaded" if name in OF_LOADED else subject].pk
    return values
