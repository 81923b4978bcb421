"""Creates, blocks, unblocks and deletes the accounts of registers, one or thousands.

Many at a time are a job in the queue: calls go out in parallel, results are saved in batches. It
may be killed at any moment and is then taken up again; an account whose secret got lost on the way
is deleted and created again, since it is unusable.
"""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils import timezone

from transfer.bonus_admin_client.client import BonusApi
from transfer.bonus_admin_client.contract import Account
from transfer.causes.bonus_servers import API_REGISTER_EXISTS, API_REGISTER_UNKNOWN
from transfer.causes.runs import UNEXPECTED
from transfer.errors import TransferError
from transfer.models import (
    AccountJob,
    Actor,
    AuditEntry,
    BonusServer,
    IssuedSecret,
    RegisterAccount,
)
from transfer.models.accounts import ONLINE_FOR
from transfer.queue.worker import Stopped

AT_ONCE = 8  # the contract lets 16 be worked on at once, and registers are asked for, too
SAVED_AT_ONCE = 64
SECONDS_BETWEEN_SAVES = 0.5
FAILURES_IN_A_ROW = 3

State = RegisterAccount.State
Action = AccountJob.Action


def work(job: AccountJob, stopped: Stopped) -> None:
    Work(job, stopped).do()


class Work:
    """One execution of a job. The caller holds its lock."""

    def __init__(self, job: AccountJob, stopped: Stopped = lambda: 0) -> None:
        self.job, self.stopped = job, stopped
        self.creates = job.creates
        self.existing: dict[str, Account] = {}
        self.end: TransferError | None = None  # why the rest is not tried
        self.failures_in_a_row = 0

    def do(self) -> None:
        left = self._left()
        self.job.done = self.job.total - len(left)
        self.job.failed = self.job.accounts.failed().count()
        try:
            with BonusApi(self.job.server.endpoint) as api:
                if self.creates:
                    self.existing = {account.register: account for account in api.accounts()}
                self._call_all(api, left)
        except TransferError as error:
            self._fail(left, error)
        if not (self._left() if self.creates else self.stopped()):
            self.job.finished_at = timezone.now()
            self.job.save(update_fields=["finished_at", "done", "failed", "total"])

    def _left(self) -> list[RegisterAccount]:
        accounts = self.job.accounts.select_related("register__shop", "server").order_by("pk")
        return list(accounts.waiting() if self.creates else accounts.created())

    def _call_all(self, api: BonusApi, accounts: list[RegisterAccount]) -> None:
        left = iter(accounts)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="accounts") as pool:
            while not self.stopped() and (batch := list(islice(left, SAVED_AT_ONCE))):
                if self.end:
                    self._fail(batch, self.end)
                    continue
                if self.creates:
                    # After a crash, the next worker knows which ones may have been created.
                    numbers = [account.pk for account in batch]
                    RegisterAccount.objects.filter(pk__in=numbers).update(reply_lost=True)
                futures: dict[Future[Any], RegisterAccount] = {
                    pool.submit(self._call, api, account): account for account in batch
                }
                pending = set(futures)
                while pending:
                    done, pending = wait(pending, timeout=SECONDS_BETWEEN_SAVES)
                    self._save([(futures[future], future) for future in done])

    def _call(self, api: BonusApi, account: RegisterAccount) -> Account | None:
        """Asks the server for one change, in a thread and without the database."""
        if self.end:
            raise self.end
        try:
            answer = self._change_account(api, account)
        except TransferError as error:
            cause = error.cause
            self.failures_in_a_row = self.failures_in_a_row + 1 if cause.concerns_all else 0
            many = self.failures_in_a_row >= FAILURES_IN_A_ROW
            if cause.concerns_all and (not cause.maybe_done or many):
                self.end = error
            raise
        self.failures_in_a_row = 0
        return answer

    def _change_account(self, api: BonusApi, account: RegisterAccount) -> Account | None:
        register = account.register
        if self.job.action == Action.DELETE:
            api.delete(register.code)
            return None
        if not self.creates:
            return api.set_blocked(register.code, self.job.action == Action.BLOCK)
        if existing := self.existing.get(register.code):
            is_of_use = not account.reply_lost or existing.last_seen is not None
            if is_of_use and self.job.action != Action.RENEW:
                return existing
            api.delete(register.code)  # its secret is lost
        return api.create(register.code, register.shop.code, register.name)

    def _save(self, results: list[tuple[RegisterAccount, Future[Any]]]) -> None:
        secrets = []
        for account, future in results:
            error = future.exception()
            if error is None:
                answer = future.result()
                settle(account, answer)
                if self.job.action == Action.BLOCK:
                    account.note_block(self.job.actor, self.job.reason)
                if answer is not None and answer.secret:
                    secrets.append(
                        IssuedSecret(job=self.job, account=account, secret=answer.secret)
                    )
            elif isinstance(error, TransferError):
                self._failed(account, error)
            else:
                self._failed(account, TransferError(UNEXPECTED, type(error).__name__))
        self._save_all([account for account, _ in results], secrets)

    def _failed(
        self, account: RegisterAccount, error: TransferError, *, asked: bool = True
    ) -> None:
        if error.cause is API_REGISTER_UNKNOWN:
            account.became_none()
        elif error.cause is API_REGISTER_EXISTS:
            account.became(State.CREATED, error)
        else:
            lost = account.reply_lost or (asked and error.cause.maybe_done)
            account.became(State.ERROR if self.creates else State.CREATED, error)
            account.reply_lost = lost and self.creates
        if error.cause is not API_REGISTER_UNKNOWN or self.job.action != Action.DELETE:
            self.job.failed += 1

    def _fail(self, accounts: list[RegisterAccount], error: TransferError) -> None:
        """Notes why none of these accounts was tried."""
        untried = [account for account in accounts if account.state != State.ERROR]
        for account in untried:
            self._failed(account, error, asked=False)
        self._save_all(untried, [])

    def _save_all(self, accounts: list[RegisterAccount], secrets: list[IssuedSecret]) -> None:
        with transaction.atomic():
            RegisterAccount.objects.bulk_update(accounts, RegisterAccount.OUTCOME, batch_size=500)
            gone = [one.pk for one in accounts if one.state != State.CREATED]
            replaced = [one.account_id for one in secrets]
            IssuedSecret.objects.filter(account__in=[*gone, *replaced]).delete()
            IssuedSecret.objects.bulk_create(secrets)
            self.job.done += len(accounts)
            self.job.save(update_fields=["done", "failed"])


def settle(account: RegisterAccount, answer: Account | None) -> None:
    """Sets the account's state to the server's answer; no answer means that it is deleted there."""
    if answer is None:
        account.became_none()
        return
    is_new = bool(answer.secret) or account.state == State.CREATED
    error = None if is_new else TransferError(API_REGISTER_EXISTS, server=account.server.name)
    looked_at = account.server.accounts_at
    seen = answer.last_seen and (account.last_seen or answer.last_seen)
    account.became(
        State.CREATED,
        error,
        login=answer.login,
        blocked=answer.blocked,
        created_at=answer.created,
        last_seen=seen,
        seen_lately=bool(seen and looked_at and seen >= looked_at - ONLINE_FOR),
    )


def order(
    server: BonusServer, action: Action, registers: Any, actor: Actor, reason: str = ""
) -> AccountJob:
    """Notes the job and puts it into the queue."""
    with transaction.atomic():
        job = AccountJob.order(server, action, registers, actor, reason)
        job.enqueue()
    return job


def change_one(account: RegisterAccount, action: Action, actor: Actor, reason: str = "") -> None:
    """Blocks, unblocks or deletes one account while the user waits. Raises TransferError."""
    code = account.register.code
    old = {"blocked": account.blocked, "login": account.login}
    with BonusApi(account.server.endpoint) as api:
        try:
            if action == Action.DELETE:
                api.delete(code)
                account.became_none()
            else:
                settle(account, api.set_blocked(code, action == Action.BLOCK))
                if action == Action.BLOCK:
                    account.note_block(actor.name, reason)
        except TransferError as error:
            if error.cause is not API_REGISTER_UNKNOWN:
                raise
            account.became_none()
            if action != Action.DELETE:
                account.save(update_fields=RegisterAccount.OUTCOME)
                raise
    with transaction.atomic():
        account.save(update_fields=RegisterAccount.OUTCOME)
        if account.state != State.CREATED:
            IssuedSecret.objects.filter(account=account).delete()
        if action == Action.DELETE:
            AuditEntry.record(actor, AuditEntry.Action.DELETE, account, old=old)
        else:
            old, new = {"blocked": old["blocked"]}, {"blocked": account.blocked}
            change = AuditEntry.Action.CHANGE
            AuditEntry.record(actor, change, account, old=old, new=new, reason=reason)
