"""Does a change of many accounts: calls go out in parallel, results are saved in batches."""

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils import timezone

from transfer.bonus_api.client import Account, BonusApi
from transfer.bonus_api.errors import ApiError, RegisterExists, RegisterUnknown
from transfer.errors import TransferError
from transfer.models import AccountJob, IssuedSecret, RegisterAccount
from transfer.queue.worker import Stopped

AT_ONCE = 8  # the contract lets 16 be worked on at once, and registers are asked for, too
SAVED_AT_ONCE = 64
FAILURES_IN_A_ROW = 3

State = RegisterAccount.State
Action = AccountJob.Action


def work(job: AccountJob, stopped: Stopped) -> None:
    Work(job, stopped).do()


class Work:
    """One execution of a job; whoever calls holds its lock."""

    def __init__(self, job: AccountJob, stopped: Stopped = lambda: 0) -> None:
        self.job, self.stopped = job, stopped
        self.there: dict[str, Account] = {}
        self.end: ApiError | None = None  # why the rest is not tried
        self.in_a_row = 0

    def do(self) -> None:
        left = self._left()
        self.job.done, self.job.failed = self.job.total - len(left), self._failed_before()
        try:
            with BonusApi(self.job.server.endpoint) as api:
                if self.job.action == Action.CREATE:
                    self.there = {account.register: account for account in api.accounts()}
                self._call_all(api, left)
        except ApiError as error:
            self._fail(left, error)
        creates = self.job.action == Action.CREATE
        if not (self._left() if creates else self.stopped()):
            self._finish()

    def _left(self) -> list[RegisterAccount]:
        mine = self.job.accounts.select_related("register__shop").order_by("pk")
        return list(mine.waiting() if self.job.action == Action.CREATE else mine.created())

    def _failed_before(self) -> int:
        return self.job.accounts.filter(state=State.ERROR).count()

    def _finish(self) -> None:
        self.job.finished_at = timezone.now()
        self.job.save(update_fields=["finished_at", "done", "failed", "total"])

    def _call_all(self, api: BonusApi, accounts: list[RegisterAccount]) -> None:
        waiting = iter(accounts)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="accounts") as pool:
            while batch := list(islice(waiting, SAVED_AT_ONCE)):
                if self.stopped():
                    return
                if self.end:
                    self._fail(batch, self.end)
                    continue
                # Whoever takes the job up after a crash knows which ones may have been made.
                lost_before = {one.pk for one in batch if one.reply_lost}
                self._intend(batch)
                self._call_batch(api, pool, batch, lost_before)

    def _intend(self, batch: list[RegisterAccount]) -> None:
        if self.job.action == Action.CREATE:
            RegisterAccount.objects.filter(pk__in=[one.pk for one in batch]).update(reply_lost=True)

    def _call_batch(
        self,
        api: BonusApi,
        pool: ThreadPoolExecutor,
        batch: list[RegisterAccount],
        lost_before: set[int],
    ) -> None:
        futures: dict[Future[Any], RegisterAccount] = {
            pool.submit(self._call, api, one, one.pk in lost_before): one for one in batch
        }
        pending, saved_at, ready = set(futures), time.monotonic(), []
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            ready += [(futures[future], future) for future in done]
            if not pending or time.monotonic() - saved_at > 0.5:
                self._save(ready)
                ready, saved_at = [], time.monotonic()

    def _call(self, api: BonusApi, account: RegisterAccount, lost_before: bool) -> Account | None:
        """In a thread, and without the database."""
        if self.end:
            raise self.end
        try:
            answer = self._ask(api, account, lost_before)
        except ApiError as error:
            self._note_failure(error)
            raise
        self.in_a_row = 0
        return answer

    def _note_failure(self, error: ApiError) -> None:
        self.in_a_row = self.in_a_row + 1 if error.concerns_all else 0
        if error.concerns_all and (not error.maybe_done or self.in_a_row >= FAILURES_IN_A_ROW):
            self.end = error

    def _ask(self, api: BonusApi, account: RegisterAccount, lost_before: bool) -> Account | None:
        register = account.register
        if self.job.action == Action.DELETE:
            api.delete(register.code)
            return None
        if self.job.action != Action.CREATE:
            return api.set_blocked(register.code, self.job.action == Action.BLOCK)
        there = self.there.get(register.code)
        if there is not None and not (lost_before and there.last_seen is None):
            return there
        if there is not None:
            api.delete(register.code)
        return api.create(register.code, register.shop.code, register.name)

    def _save(self, results: list[tuple[RegisterAccount, Future[Any]]]) -> None:
        secrets = []
        for account, future in results:
            error = future.exception()
            if error is None:
                answer = future.result()
                settle(account, answer, RegisterExists)
                if answer is not None and answer.secret:
                    secrets.append(
                        IssuedSecret(job=self.job, account=account, secret=answer.secret)
                    )
            elif isinstance(error, TransferError):
                self._failed(account, error)
            else:
                self._failed(account, TransferError(type(error).__name__))
        self._save_all([account for account, _ in results], secrets)

    def _failed(
        self, account: RegisterAccount, error: TransferError, *, asked: bool = True
    ) -> None:
        if isinstance(error, RegisterUnknown):
            account.became_none()
        elif isinstance(error, RegisterExists):
            account.became(State.CREATED, error)
        else:
            keep = self.job.action != Action.CREATE
            lost = account.reply_lost or (asked and getattr(error, "maybe_done", False))
            account.became(State.CREATED if keep else State.ERROR, error)
            account.reply_lost = lost and not keep
        if not isinstance(error, RegisterUnknown) or self.job.action != Action.DELETE:
            self.job.failed += 1

    def _fail(self, accounts: list[RegisterAccount], error: ApiError) -> None:
        """None of these was tried."""
        still = [one for one in accounts if one.state != State.ERROR]
        for account in still:
            self._failed(account, error, asked=False)
        self._save_all(still, [])

    def _save_all(self, accounts: list[RegisterAccount], secrets: list[IssuedSecret]) -> None:
        with transaction.atomic():
            RegisterAccount.objects.bulk_update(accounts, RegisterAccount.OUTCOME, batch_size=500)
            gone = [one.pk for one in accounts if one.state != State.CREATED]
            replaced = [one.account_id for one in secrets]
            IssuedSecret.objects.filter(account__in=[*gone, *replaced]).delete()
            IssuedSecret.objects.bulk_create(secrets)
            self.job.done += len(accounts)
            self.job.save(update_fields=["done", "failed"])


def settle(account: RegisterAccount, answer: Account | None, known: type[ApiError]) -> None:
    """What the server answered becomes the account's state; nothing means it is deleted there."""
    if answer is None:
        account.became_none()
        return
    is_new = bool(answer.secret) or account.state == State.CREATED
    error = None if is_new else known(server=account.server.name)
    account.became(
        State.CREATED,
        error,
        login=answer.login,
        blocked=answer.blocked,
        created_at=answer.created,
        last_seen=answer.last_seen and (account.last_seen or answer.last_seen),
    )
