"""Creates, blocks, unblocks and deletes the accounts of registers, one or thousands.

Many at a time are a job in the queue. It may be killed at any moment and is then taken up again;
an account whose secret got lost on the way is deleted and made anew, since nobody can use it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django_tasks_db.models import DBTaskResult

from transfer.bonus_api.client import BonusApi
from transfer.bonus_api.errors import RegisterExists, RegisterUnknown
from transfer.models import (
    AccountJob,
    Actor,
    AuditEntry,
    BonusServer,
    IssuedSecret,
    RegisterAccount,
)
from transfer.runs.start import noted_stop, task
from transfer.servers.account_job import Work, settle

LOCK_SPACE = 4479

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
    with locked(job) as mine, noted_stop() as stopped:
        if mine:
            Work(job, stopped).do()


@contextmanager
def locked(job: AccountJob) -> Iterator[bool]:
    """Whether nobody else does the job; the lock ends with this process at the latest."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", [LOCK_SPACE, job.pk])
        (mine,) = cursor.fetchone() or (False,)
    try:
        yield mine
    finally:
        if mine:
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_unlock(%s, %s)", [LOCK_SPACE, job.pk])


def recover() -> int:
    """Open jobs that nobody does and that don't wait in the queue are put there again: whoever
    did them is gone. Old secrets are thrown away.
    """
    IssuedSecret.drop_expired()
    waiting = DBTaskResult.objects.filter(status="READY").values("pk")
    out = AccountJob.objects.open().filter(Q(queue_entry=None) | ~Q(queue_entry__in=waiting))
    lost = [job for job in out if _is_free(job)]
    for job in lost:
        enqueue(job)
    return len(lost)


def _is_free(job: AccountJob) -> bool:
    with locked(job) as free:
        return free


def under_way(server: BonusServer) -> bool:
    """Whether somebody is changing the server's accounts at this moment."""
    return not all(_is_free(job) for job in server.account_jobs.open())


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
