"""Creates, blocks, unblocks and deletes the accounts of registers, one or thousands.

Many at a time are a job in the queue. It may be killed at any moment and is then taken up again;
an account whose secret got lost on the way is deleted and made anew, since nobody can use it.
"""

from contextlib import suppress
from typing import Any

from django.db import transaction
from django.db.models import Q
from django_tasks_db.models import DBTaskResult

from transfer.bonus_api.client import BonusApi
from transfer.bonus_api.errors import RegisterExists, RegisterUnknown
from transfer.errors import AlreadyRunning
from transfer.models import (
    AccountJob,
    Actor,
    AuditEntry,
    BonusServer,
    IssuedSecret,
    RegisterAccount,
)
from transfer.queue.locks import Space, held, lock
from transfer.queue.worker import noted_stop, task
from transfer.servers.account_job import Work, settle

Action = AccountJob.Action


def order(
    server: BonusServer, action: AccountJob.Action, registers: Any, actor: Actor
) -> AccountJob:
    """Notes the job and puts it into the queue."""
    with transaction.atomic():
        job = AccountJob.order(server, action, registers, actor)
        enqueue(job)
    return job


def enqueue(job: AccountJob) -> None:
    job.queue_entry = run_account_job.enqueue(job.pk).id
    job.save(update_fields=["queue_entry"])


@task()
def run_account_job(pk: int) -> None:
    """Does the job, unless it is done or being done elsewhere."""
    job = AccountJob.objects.open().select_related("server").filter(pk=pk).first()
    if job is None:
        return
    with suppress(AlreadyRunning), lock(Space.ACCOUNT_JOB, job.pk), noted_stop() as stopped:
        Work(job, stopped).do()


def recover() -> int:
    """Open jobs that nobody does and that don't wait in the queue are put there again: whoever
    did them is gone. Old secrets are thrown away.
    """
    IssuedSecret.drop_expired()
    waiting = DBTaskResult.objects.filter(status="READY").values("pk")
    out = AccountJob.objects.open().filter(Q(queue_entry=None) | ~Q(queue_entry__in=waiting))
    lost = list(out.exclude(pk__in=held(Space.ACCOUNT_JOB)))
    for job in lost:
        enqueue(job)
    return len(lost)


def under_way(server: BonusServer) -> bool:
    """Whether somebody is changing the server's accounts at this moment."""
    return server.account_jobs.open().filter(pk__in=held(Space.ACCOUNT_JOB)).exists()


def change_one(account: RegisterAccount, action: AccountJob.Action, actor: Actor) -> None:
    """Blocks, unblocks or deletes one account while somebody waits. Raises ApiError."""
    code = account.register.code
    old = {"blocked": account.blocked, "login": account.login}
    with BonusApi(account.server.endpoint) as api:
        try:
            if action == Action.DELETE:
                api.delete(code)
                account.became_none()
            else:
                settle(account, api.set_blocked(code, action == Action.BLOCK), RegisterExists)
        except RegisterUnknown:
            account.became_none()
            if action != Action.DELETE:
                account.save(update_fields=RegisterAccount.OUTCOME)
                raise
    with transaction.atomic():
        account.save(update_fields=RegisterAccount.OUTCOME)
        if account.state != RegisterAccount.State.CREATED:
            IssuedSecret.objects.filter(account=account).delete()
        deleted = action == Action.DELETE
        AuditEntry.record(
            actor,
            AuditEntry.Action.DELETE if deleted else AuditEntry.Action.CHANGE,
            account,
            old=old if deleted else {"blocked": old["blocked"]},
            new={} if deleted else {"blocked": account.blocked},
        )
