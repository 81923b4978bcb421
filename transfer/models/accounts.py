"""The accounts of registers on bonus servers: their state, when they were seen, their secrets."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from transfer.errors import TransferError
from transfer.models.audit import Actor, AuditEntry
from transfer.models.registers import CashRegister
from transfer.models.secret import SecretField
from transfer.models.servers import BonusServer

ONLINE_FOR = timedelta(minutes=5)
SECRETS_KEPT = timedelta(hours=24)


class AccountState(models.TextChoices):
    """What is shown of a register on a server. In the order of the worst first."""

    ERROR = "error", _("Error")
    BLOCKED = "blocked", _("Blocked")
    OFFLINE = "offline", _("Offline")
    NEVER_SEEN = "never_seen", pgettext_lazy("a register", "Never seen")
    NOT_CREATED = "not_created", _("Not created")
    WAITING = "waiting", _("Being created")
    ONLINE = "online", _("Online")


PROBLEMS = [
    AccountState.ERROR,
    AccountState.BLOCKED,
    AccountState.OFFLINE,
    AccountState.NEVER_SEEN,
    AccountState.NOT_CREATED,
]


def state_case(prefix: str = "", server: BonusServer | None = None) -> Case:
    """The state of an account in SQL; of none (an outer join's nulls), "not created".

    With the `server` that all of them are on, its table is not joined.
    """
    created = Q(**{f"{prefix}state": RegisterAccount.State.CREATED})
    online = Q(**{f"{prefix}last_seen__gte": F(f"{prefix}server__accounts_at") - ONLINE_FOR})
    if server is not None:
        since = server.accounts_at and server.accounts_at - ONLINE_FOR
        online = Q(**{f"{prefix}last_seen__gte": since}) if since else Q(pk=None)
    return Case(
        When(Q(**{f"{prefix}state": RegisterAccount.State.ERROR}), then=Value(AccountState.ERROR)),
        When(
            Q(**{f"{prefix}state": RegisterAccount.State.WAITING}), then=Value(AccountState.WAITING)
        ),
        When(created & Q(**{f"{prefix}blocked": True}), then=Value(AccountState.BLOCKED)),
        When(
            created & Q(**{f"{prefix}last_seen__isnull": True}), then=Value(AccountState.NEVER_SEEN)
        ),
        When(created & online, then=Value(AccountState.ONLINE)),
        When(created, then=Value(AccountState.OFFLINE)),
        default=Value(AccountState.NOT_CREATED),
        output_field=models.CharField(),
    )


class RegisterAccountQuerySet(models.QuerySet["RegisterAccount"]):
    def created(self) -> Self:
        return self.filter(state=RegisterAccount.State.CREATED)

    def waiting(self) -> Self:
        return self.filter(state=RegisterAccount.State.WAITING)

    def settled(self) -> Self:
        """Those that nobody has to make: they are there, or somebody makes them now."""
        return self.filter(state__in=[RegisterAccount.State.CREATED, RegisterAccount.State.WAITING])

    def with_shown(self) -> Self:
        """Each with `shown_state`."""
        return self.annotate(shown_state=state_case())

    def count_states(self) -> dict[str, int]:
        """Shown state → registers in use. One query."""
        counted = (
            self.filter(register__mothballed=False)
            .annotate(shown_state=state_case())
            .order_by()
            .values_list("shown_state")
            .annotate(models.Count("pk"))
        )
        return dict(counted)


class RegisterAccount(models.Model):
    """A register's account on a server. No row at all means: not created."""

    class State(models.TextChoices):
        NOT_CREATED = "not_created", _("Not created")
        WAITING = "waiting", _("Being created")
        CREATED = "created", _("Created")
        ERROR = "error", _("Error")

    server = models.ForeignKey(
        BonusServer, on_delete=models.CASCADE, related_name="accounts", verbose_name=_("server")
    )
    register = models.ForeignKey(
        CashRegister,
        on_delete=models.CASCADE,
        related_name="accounts",
        verbose_name=_("cash register"),
    )
    state = models.CharField(
        _("state"), max_length=12, choices=State, default=State.NOT_CREATED, editable=False
    )
    login = models.CharField(_("login"), max_length=200, blank=True, editable=False)
    blocked = models.BooleanField(_("blocked"), default=False, editable=False)
    created_at = models.DateTimeField(_("created at"), null=True, editable=False)
    # By the clock of this machine, though the server noted it by its own.
    last_seen = models.DateTimeField(_("last seen"), null=True, editable=False)
    # Asked for, and no answer came: it may be there, with a secret that nobody knows.
    reply_lost = models.BooleanField(default=False, editable=False)
    job = models.ForeignKey(
        "AccountJob", on_delete=models.SET_NULL, null=True, related_name="accounts", editable=False
    )
    error_code = models.CharField(max_length=40, blank=True, editable=False)
    error_params = models.JSONField(default=dict, editable=False)
    error_technical = models.TextField(_("technical text"), blank=True, editable=False)

    objects = RegisterAccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("register’s account")
        verbose_name_plural = _("accounts of registers")
        constraints = [models.UniqueConstraint("server", "register", name="one_account_per_server")]
        indexes = [models.Index(fields=["job", "state"], name="accounts_of_a_job")]

    def __str__(self) -> str:
        return f"{self.register} → {self.server}"

    def audit_params(self) -> dict[str, str]:
        return {"name": str(self)}

    @property
    def checked_at(self) -> datetime | None:
        """How old what is shown is: a server's accounts are read all at once."""
        return self.server.accounts_at

    @property
    def shown(self) -> AccountState:
        """As `state_case`; the server must have been selected with it."""
        kept = {
            self.State.ERROR: AccountState.ERROR,
            self.State.WAITING: AccountState.WAITING,
            self.State.NOT_CREATED: AccountState.NOT_CREATED,
        }
        if state := kept.get(self.State(self.state)):
            return state
        if self.blocked:
            return AccountState.BLOCKED
        if self.last_seen is None:
            return AccountState.NEVER_SEEN
        read_at = self.server.accounts_at
        is_online = read_at is not None and self.last_seen >= read_at - ONLINE_FOR
        return AccountState.ONLINE if is_online else AccountState.OFFLINE

    # What the server answered; the caller saves, many at once.
    OUTCOME: ClassVar[list[str]] = [
        "state",
        "login",
        "blocked",
        "created_at",
        "last_seen",
        "reply_lost",
        "error_code",
        "error_params",
        "error_technical",
    ]

    def became(self, state: State, error: TransferError | None = None, **fields: Any) -> None:
        self.state, self.reply_lost = state, False
        self.error_code = error.code if error else ""
        self.error_params = error.params if error else {}
        self.error_technical = error.technical if error else ""
        for name, value in fields.items():
            setattr(self, name, value)

    def became_none(self) -> None:
        """The server has no account of the register (any more)."""
        self.became(
            self.State.NOT_CREATED, login="", blocked=False, created_at=None, last_seen=None
        )


class SeenDay(models.Model):
    """The hours (UTC) of a day in which a register was seen by a server: bit 0 is 00:00."""

    DAYS: ClassVar[int] = 8  # a week as any zone sees it

    account = models.ForeignKey(RegisterAccount, on_delete=models.CASCADE, related_name="seen_days")
    day = models.DateField()
    hours = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("day of a register")
        verbose_name_plural = _("days of registers")
        constraints = [
            models.UniqueConstraint("account", "day", name="one_row_per_account_and_day")
        ]
        indexes = [models.Index(fields=["day"], name="seen_by_day")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day} {self.hours:024b}"


class AccountJobQuerySet(models.QuerySet["AccountJob"]):
    def open(self) -> Self:
        return self.filter(finished_at=None)


class AccountJob(models.Model):
    """Something done to the accounts of many registers on one server, in the background."""

    class Action(models.TextChoices):
        CREATE = "create", _("Create accounts")
        BLOCK = "block", _("Block")
        UNBLOCK = "unblock", _("Unblock")
        DELETE = "delete", _("Delete accounts")

    server = models.ForeignKey(BonusServer, on_delete=models.CASCADE, related_name="account_jobs")
    action = models.CharField(_("action"), max_length=10, choices=Action)
    actor = models.CharField(_("user"), max_length=200)
    total = models.PositiveIntegerField(_("registers"), default=0)
    done = models.PositiveIntegerField(_("done"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    created_at = models.DateTimeField(_("ordered at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    shown_at = models.DateTimeField(_("credentials shown at"), null=True)
    downloaded_at = models.DateTimeField(_("credentials downloaded at"), null=True)
    queue_entry = models.UUIDField(null=True, editable=False)

    objects = AccountJobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("change of accounts")
        verbose_name_plural = _("changes of accounts")
        indexes = [
            models.Index(fields=["server", "-id"], name="account_jobs_of_a_server"),
            models.Index(
                fields=["id"], condition=Q(finished_at=None), name="account_jobs_under_way"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.get_action_display()} → {self.server}"

    def get_absolute_url(self) -> str:
        return reverse("account_job", args=[self.server_id, self.pk])

    def audit_params(self) -> dict[str, str]:
        return {"name": self.server.name}

    @classmethod
    @transaction.atomic
    def order(
        cls, server: BonusServer, action: Action, registers: Iterable[int], actor: Actor
    ) -> "AccountJob":
        """Notes what is to be done; `accounts.enqueue` has it done."""
        job = cls.objects.create(server=server, action=action, actor=actor.name)
        job.total = job._take(registers)
        job.save(update_fields=["total"])
        AuditEntry.record(
            actor,
            AUDITED.get(action, AuditEntry.Action.CHANGE),
            job,
            new={"action": action.value, "total": job.total},
        )
        return job

    def _take(self, registers: Iterable[int]) -> int:
        """Marks the accounts that the job is about; those that have nothing to be done are left."""
        wanted = CashRegister.objects.filter(pk__in=registers)
        if self.action != self.Action.CREATE:
            mine = RegisterAccount.objects.created().filter(server=self.server, register__in=wanted)
            return mine.update(job=self, error_code="", error_params={}, error_technical="")
        waiting = RegisterAccount.State.WAITING
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

    @property
    def is_open(self) -> bool:
        return self.finished_at is None

    @property
    def title(self) -> str:
        return gettext("%(action)s: %(server)s") % {
            "action": self.get_action_display(),
            "server": self.server,
        }

    @property
    def good(self) -> int:
        return self.done - self.failed

    @property
    def secrets_until(self) -> datetime:
        """When the credentials are thrown away, downloaded or not."""
        return (self.finished_at or timezone.now()) + SECRETS_KEPT


AUDITED = {
    AccountJob.Action.CREATE: AuditEntry.Action.CREATE,
    AccountJob.Action.DELETE: AuditEntry.Action.DELETE,
}


class IssuedSecret(models.Model):
    """A new account's secret, until somebody has taken it, or a day has passed."""

    job = models.ForeignKey(AccountJob, on_delete=models.CASCADE, related_name="secrets")
    account = models.OneToOneField(
        RegisterAccount, on_delete=models.CASCADE, related_name="issued_secret"
    )
    secret = SecretField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("issued secret")
        verbose_name_plural = _("issued secrets")

    def __str__(self) -> str:
        return str(self.account_id)

    @classmethod
    def drop_expired(cls, now: datetime | None = None) -> int:
        until = (now or timezone.now()) - SECRETS_KEPT
        return cls.objects.filter(created_at__lt=until).delete()[0]
