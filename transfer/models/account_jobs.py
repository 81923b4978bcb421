"""Changes to many accounts at once, in the background, and the secrets that they create."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from django.contrib.auth.models import AnonymousUser, User
from django.db import models, transaction
from django.db.models import Count, Min, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.access import Role, has_role
from transfer.causes.bonus_servers import ACCOUNT_SECRET_NOT_TAKEN
from transfer.errors import TransferError
from transfer.models.accounts import RegisterAccount, RegisterAccountQuerySet
from transfer.models.addresses import address
from transfer.models.audit import Actor, AuditEntry
from transfer.models.failing import failure
from transfer.models.registers import CashRegister
from transfer.models.secret import SecretField, WithSecrets
from transfer.models.servers import BonusServer
from transfer.queue.jobs import Job, JobQuerySet
from transfer.queue.locks import Space

logger = logging.getLogger(__name__)

SECRETS_KEPT = timedelta(hours=24)


class AccountJobQuerySet(JobQuerySet):
    def pending(self) -> Self:
        return self.filter(finished_at=None)

    def with_secrets(self) -> Self:
        """Closed jobs with credentials to be taken, each with `untaken`, how many, and `until`."""
        usable = self.exclude(finished_at=None).filter(
            secrets__account__state=RegisterAccount.State.CREATED
        )
        return usable.annotate(
            untaken=Count("secrets"), until=Min("secrets__created_at") + Value(SECRETS_KEPT)
        )


class AccountJob(Job):
    """Something done to the accounts of many registers on one server, in the background."""

    class Action(models.TextChoices):
        CREATE = "create", gettext_lazy("Create accounts")
        BLOCK = "block", gettext_lazy("Block")
        UNBLOCK = "unblock", gettext_lazy("Unblock")
        DELETE = "delete", gettext_lazy("Delete accounts")
        RENEW = "renew", gettext_lazy("Issue new credentials")

        @property
        def needs(self) -> Role:
            """The role that may do it: only administrators end or replace a register's login."""
            ends_login = self in (type(self).DELETE, type(self).RENEW)
            return Role.ADMINISTRATOR if ends_login else Role.OPERATOR

    LOCK_SPACE = Space.ACCOUNT_JOB

    server = models.ForeignKey(BonusServer, on_delete=models.CASCADE, related_name="account_jobs")
    action = models.CharField(gettext_lazy("action"), max_length=10, choices=Action)
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    total = models.PositiveIntegerField(gettext_lazy("registers"), default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    shown_at = models.DateTimeField(gettext_lazy("credentials shown at"), null=True)
    downloaded_at = models.DateTimeField(gettext_lazy("credentials downloaded at"), null=True)

    objects = AccountJobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("change of accounts")
        indexes = [
            models.Index(fields=["server", "-id"], name="account_jobs_of_a_server"),
            models.Index(
                fields=["id"], condition=Q(finished_at=None), name="account_jobs_under_way"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.get_action_display()} → {self.server}"

    def get_absolute_url(self) -> str:
        return address("account_job", self.server_id, self.pk)

    def audit_params(self) -> dict[str, str]:
        return {"name": self.server.name}

    @classmethod
    @transaction.atomic
    def order(
        cls,
        server: BonusServer,
        action: Action,
        registers: Iterable[int],
        actor: Actor,
        reason: str = "",
    ) -> "AccountJob":
        """Notes what is to be done; the caller puts it into the queue."""
        job = cls.objects.create(server=server, action=action, actor=actor.name, reason=reason)
        job.total = job._take(registers)
        job.save(update_fields=["total"])
        AuditEntry.record(
            actor,
            AUDITED.get(action, AuditEntry.Action.CHANGE),
            job,
            new={"action": action.value, "total": job.total},
            reason=reason,
        )
        return job

    def _take(self, registers: Iterable[int]) -> int:
        """Marks the accounts that the job is about; those that have nothing to be done are left."""
        wanted = CashRegister.objects.filter(pk__in=registers)
        accounts = RegisterAccount.objects.filter(server=self.server, register__in=wanted)
        waiting = RegisterAccount.State.WAITING
        if self.action == self.Action.RENEW:
            return accounts.made().update(job=self, state=waiting)
        if self.action != self.Action.CREATE:
            return accounts.created().update(job=self, **failure(None))
        new = [
            RegisterAccount(server=self.server, register=register, job=self, state=waiting)
            for register in wanted.unsettled(self.server)
        ]
        RegisterAccount.objects.bulk_create(
            new,
            update_conflicts=True,
            unique_fields=["server", "register"],
            update_fields=["job", "state"],
            batch_size=2000,
        )
        return len(new)

    def claim(self) -> bool:
        started_at = Coalesce("started_at", timezone.now())
        return bool(self.saved.pending().update(started_at=started_at))

    def fail(self, error: TransferError) -> None:
        """Notes the failure; the job stays pending, and the tick puts it into the queue again."""
        logger.error("account job %s: %s %s", self.pk, error, error.technical)

    @property
    def is_open(self) -> bool:
        return self.finished_at is None

    @property
    def creates(self) -> bool:
        """Whether it creates credentials."""
        return self.action in (self.Action.CREATE, self.Action.RENEW)

    def may_collect(self, user: User | AnonymousUser) -> bool:
        """Whether the user may see its credentials: an administrator, or who created them.

        A name tells users apart: users are never deleted or renamed.
        """
        is_own = self.action == self.Action.CREATE and self.actor == user.get_username()
        return has_role(user, Role.OPERATOR if is_own else Role.ADMINISTRATOR)

    @property
    def collectors(self) -> str:
        """Who may collect its credentials, for those who may not."""
        if self.action == self.Action.CREATE:
            return _("Only %(who)s or an administrator can collect them.") % {"who": self.actor}
        return _("Only an administrator can collect them.")

    @property
    def title(self) -> str:
        names = {"action": self.get_action_display(), "server": self.server}
        return _("%(action)s: %(server)s") % names

    @property
    def good(self) -> int:
        return self.done - self.failed

    def failed_accounts(self) -> RegisterAccountQuerySet:
        """Accounts with which it may be tried again."""
        wrong = self.accounts.exclude(error_code="")
        return wrong.failed() if self.creates else wrong.created()


AUDITED = {
    AccountJob.Action.CREATE: AuditEntry.Action.CREATE,
    AccountJob.Action.DELETE: AuditEntry.Action.DELETE,
}


class IssuedSecretQuerySet(models.QuerySet["IssuedSecret"]):
    def usable(self) -> Self:
        """Secrets of accounts that have not been deleted since."""
        return self.filter(account__state=RegisterAccount.State.CREATED)

    def expired(self, now: datetime | None = None) -> Self:
        return self.filter(created_at__lt=(now or timezone.now()) - SECRETS_KEPT)

    def until(self) -> datetime | None:
        """When the first of them is thrown away, taken or not."""
        first = self.aggregate(first=Min("created_at"))["first"]
        return first and first + SECRETS_KEPT


class IssuedSecret(WithSecrets, models.Model):
    """A new account's secret, until it is collected or a day has passed."""

    job = models.ForeignKey(AccountJob, on_delete=models.CASCADE, related_name="secrets")
    account = models.OneToOneField(
        RegisterAccount, on_delete=models.CASCADE, related_name="issued_secret"
    )
    secret = SecretField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    objects = IssuedSecretQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("issued secret")

    def __str__(self) -> str:
        return str(self.account_id)

    @classmethod
    @transaction.atomic
    def drop_expired(cls, now: datetime | None = None) -> int:
        """Deletes old secrets. An account whose secret was never shown is unusable: that is noted
        as its error, and the next attempt creates it again.
        """
        old = cls.objects.expired(now)
        unseen = old.usable().filter(job__shown_at=None, account__last_seen=None)
        RegisterAccount.objects.filter(issued_secret__in=unseen).update(
            state=RegisterAccount.State.ERROR,
            reply_lost=True,
            error_code=ACCOUNT_SECRET_NOT_TAKEN.code,
        )
        return old.delete()[0]
