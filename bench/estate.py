"""An installation that has been at work for long: a million runs, and all that comes with them."""

import json
from typing import Any

from bench import staged
from bench.ground import Installation
from bench.sizes import Sizes
from tests.databases import query

KINDS = ("pincodes", "balances", "cards")
SECONDS_BETWEEN_RUNS = 20  # of five servers, 15 tasks every five minutes: a million in 231 days
DAYS = 231
FIRST_ROWS = """
    insert into "accountpincodeTemp" (account, pincode) values ('4100000037', '1234'), (null, '1');
    insert into "changeAccountBalanceTemp" (account, amount) values ('4100000037', 1), (null, 1);
    insert into "changeCardAccountTemp" (card, account) values ('7780000004099', '4100000037'),
                                                               (null, '4100000037');
"""
STATE = """
    case when n % 97 = 0 then 'rejects' when n % 101 = 0 then 'failed'
         when n % 103 = 0 then 'skipped' when n % 997 = 0 then 'interrupted'
         when n % 991 = 0 then 'cancelled' else 'succeeded' end
"""
FAILED = json.dumps({"party": "database:Бонусный сервер 1"})


def fill(at: Installation, sizes: Sizes) -> None:
    """Everything but staged rows: those of `staged.fill`, which may follow."""
    at.set_up_django()
    databases = [at.bonus, *(at.ground.create(f"bonus_{n}") for n in range(2, sizes.servers + 1))]
    servers = [at.dock(f"Бонусный сервер {n}", dsn) for n, dsn in enumerate(databases, 1)]
    for dsn in databases:
        staged.hold(dsn, sizes.factor)
    # The first rows come by the product itself: a row of every table, to be copied.
    query(at.shop_all, FIRST_ROWS)
    at.manage("transfer", "all", "--json")
    settle(servers)
    runs(servers, sizes.of(1_000_000, 2000))
    maintenance_runs(sizes.of(100_000, 200))
    rejects(servers, sizes.of(100_000, 200))
    audit(sizes.of(100_000, 200))
    registers(servers, sizes.registers or sizes.of(5000, 30))
    others()
    query(at.own, "vacuum analyze")


def settle(servers: list[Any]) -> None:
    """They were docked long ago, and answer; their tasks are on, planned for tomorrow, shown."""
    from datetime import timedelta

    from django.utils import timezone

    from transfer.models import (
        Actor,
        BonusServer,
        Heartbeat,
        MaintenanceTask,
        Settings,
        TransferTask,
    )

    now = timezone.now()
    BonusServer.objects.update(created_at=now - timedelta(DAYS))
    for server in servers:
        server.note_answer(now, 0.004, 0.0, "1.0")
    for tasks in (TransferTask, MaintenanceTask):
        tasks.objects.update(enabled=True, next_run_at=now + timedelta(1))
    Heartbeat.beat("bench", now)
    Settings.load().change(Actor("bench"), show_transfer_tasks=True)


def one_of(values: list[Any], number: str) -> str:
    """SQL: one of the values in turn."""
    listed = ", ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values)
    return f"(array[{listed}])[1 + (({number}) % {len(values)})::int]"


def runs(servers: list[Any], rows: int) -> None:
    from bench.copies import multiply
    from transfer.models import TransferRun, TransferTask

    tasks = list(TransferTask.objects.select_related("server").order_by("pk"))
    queued = f"now() - interval '{SECONDS_BETWEEN_RUNS} s' * ({rows} - n)"
    multiply(
        TransferRun.objects.filter(kind="balances").earliest("pk"),
        rows,
        task_id=one_of([task.pk for task in tasks], "n"),
        server_id=one_of([task.server.pk for task in tasks], "n"),
        server_name=one_of([task.server.name for task in tasks], "n"),
        kind=one_of([task.kind for task in tasks], "n"),
        state=STATE,
        trigger="case when n % 50 = 0 then 'manual' else 'schedule' end",
        queued_at=queued,
        started_at=f"{queued} + interval '1 s'",
        finished_at=f"{queued} + interval '1 s' * (2 + n % 7)",
        applied="n % 1000",
        unchanged="n % 10",
        rejected="case when n % 97 = 0 then n % 50 + 1 else 0 end",
        amount_applied="n % 100000 / 100.0",
        position_to="jsonb_set(first.position_to, '{number}', to_jsonb(n))",
        error_code="case when n % 101 = 0 then 'unreachable' else '' end",
        error_params=f"case when n % 101 = 0 then '{FAILED}'::jsonb else '{{}}' end",
    )


def maintenance_runs(rows: int) -> None:
    from bench.copies import multiply
    from transfer.models import MaintenanceRun, MaintenanceTask
    from transfer.models.run_base import State, Trigger

    task = MaintenanceTask.objects.get(kind="check_connections")
    run = MaintenanceRun.of(task, Trigger.SCHEDULE)
    run.state = State.SUCCEEDED
    run.started_at = run.finished_at = run.queued_at
    run.save()
    at = f"now() - interval '1 minute' * ({rows} - n)"
    multiply(run, rows, queued_at=at, started_at=at, finished_at=f"{at} + interval '1 s'")


def rejects(servers: list[Any], rows: int) -> None:
    """A hundred reasons to look at the page: a fifth of them open."""
    from bench.copies import multiply
    from transfer.engine.kinds import BALANCES
    from transfer.models import RejectedRow, TransferRun

    first = RejectedRow.objects.filter(kind="balances").earliest("pk")
    codes = [check.code for check in BALANCES.checks]
    run = TransferRun.objects.earliest("pk").pk
    multiply(
        first,
        rows,
        run_id=f"{run} + n % 500",
        server_id=one_of([server.pk for server in servers], "n"),
        server_name=one_of([server.name for server in servers], "n"),
        row="1000000 + n",
        code=one_of(codes, "n"),
        payload="jsonb_build_object('account', (4100000000 + n * 37)::text, 'amount', '0', "
        "'validfrom', null, 'validto', null, 'comment', 'Начисление ' || n)",
        created_at=f"now() - interval '3 minutes' * ({rows} - n)",
        state="case when n % 5 = 0 then 'open' when n % 5 = 1 then 'discarded' else 'resent' end",
        closed_at=f"case when n % 5 > 0 then now() - interval '2 minutes' * ({rows} - n) end",
        closed_by="case when n % 5 > 0 then 'olga' else '' end",
    )


def audit(rows: int) -> None:
    from bench.copies import multiply
    from transfer.models import Actor, AuditEntry, TransferTask

    task = TransferTask.objects.select_related("server").earliest("pk")
    first = AuditEntry.record(
        Actor("olga", address="10.0.0.7"), AuditEntry.Action.SWITCH, task,
        old={"enabled": False}, new={"enabled": True}, reason="2026",
    )  # fmt: skip
    tasks = list(TransferTask.objects.values_list("pk", flat=True))
    multiply(
        first,
        rows,
        at=f"now() - interval '5 minutes' * ({rows} - n)",
        who=one_of(["olga", "ivan", "anna", "boris", "vera"], "n"),
        action=one_of(["switch", "pause", "resume", "run"], "n"),
        subject_id=one_of(tasks, "n"),
    )


def registers(servers: list[Any], count: int) -> None:
    from django.utils import timezone

    from bench.copies import multiply
    from transfer.models import CashRegister, RegisterAccount, SeenDay, Shop

    shop = Shop.objects.create(code="s1", name="Магазин 1")
    multiply(shop, count // 5, code="'s' || n", name="'Магазин ' || n")
    register = CashRegister.objects.create(code="r1", name="Касса 1", shop=shop)
    multiply(
        register, count, code="'r' || n", name="'Касса ' || n",
        shop_id=f"{shop.pk} + (n - 1) / 5 % {count // 5}",
    )  # fmt: skip
    now = timezone.now()
    account = RegisterAccount.objects.create(
        server=servers[0], register=register, state="created", login="login", created_at=now,
        last_seen=now, seen_lately=True,
    )  # fmt: skip
    accounts = count * len(servers)
    multiply(
        account, accounts,
        server_id=one_of([server.pk for server in servers], "n - 1"),
        register_id=f"{register.pk} + (n - 1) / {len(servers)}",
        login="'login' || n",
        blocked="n % 100 = 1",
        last_seen="case when n % 20 = 0 then null when n % 10 = 0 then now() - interval '1 day' "
        "else now() end",
        seen_lately="n % 10 <> 0",
    )  # fmt: skip
    day = SeenDay.objects.create(account=account, day=now.date(), hours=255)
    multiply(
        day, accounts * 8, account_id=f"{account.pk} + (n - 1) / 8",
        day="current_date - ((n - 1) % 8)::int", hours="(n::bigint * 7919) % 16777216",
    )  # fmt: skip


def others() -> None:
    """Users, and files that were loaded."""
    from django.contrib.auth.models import Group, User

    from bench.copies import multiply
    from transfer.models import Upload

    for name in ("olga", "ivan", "anna", "boris", "vera"):
        User.objects.create_user(name).groups.add(Group.objects.first())
    upload = Upload.objects.create(
        kind="balances", name="balances.csv", created_by="olga", state=Upload.State.LOADED,
        good=1000, amount=1000,
    )  # fmt: skip
    multiply(
        upload, 300, token="gen_random_uuid()", name="'balances-' || n || '.csv'",
        created_at="now() - interval '1 hour' * (300 - n)",
    )  # fmt: skip
