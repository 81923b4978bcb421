"""The accounts of registers on bonus servers: their state, and when they were seen."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy, pgettext_lazy

from transfer.errors import TransferError
from transfer.models.failing import FAILURE, Failing, failure
from transfer.models.registers import CashRegister
from transfer.models.servers import BonusServer

ONLINE_FOR = timedelta(minutes=5)


class AccountState(models.TextChoices):
    """The state of a register on a server, the worst first."""

    ERROR = "error", gettext_lazy("Error")
    BLOCKED = "blocked", gettext_lazy("Blocked")
    OFFLINE = "offline", gettext_lazy("Offline")
    NEVER_SEEN = "never_seen", pgettext_lazy("a register", "Never seen")
    NOT_CREATED = "not_created", gettext_lazy("Not created")
    WAITING = "waiting", gettext_lazy("Being created")
    ONLINE = "online", gettext_lazy("Online")


PLACES = {state: place for place, state in enumerate(AccountState)}
PROBLEMS: list[AccountState] = [
    one for one in AccountState if one not in (AccountState.WAITING, AccountState.ONLINE)
]


def _shown() -> Case:
    """SQL for the state of an account, from its row alone."""
    return Case(
        When(state="error", then=Value(AccountState.ERROR.value)),
        When(state="waiting", then=Value(AccountState.WAITING.value)),
        When(~Q(state="created"), then=Value(AccountState.NOT_CREATED.value)),
        When(blocked=True, then=Value(AccountState.BLOCKED.value)),
        When(last_seen=None, then=Value(AccountState.NEVER_SEEN.value)),
        When(seen_lately=True, then=Value(AccountState.ONLINE.value)),
        default=Value(AccountState.OFFLINE.value),
    )


# The state of a register that was read `beside` a server; without an account, "not created".
STATE_BESIDE = Coalesce("account__shown_state", Value(AccountState.NOT_CREATED.value))


class RegisterAccountQuerySet(models.QuerySet["RegisterAccount"]):
    def created(self) -> Self:
        return self.filter(state=RegisterAccount.State.CREATED)

    def waiting(self) -> Self:
        return self.filter(state=RegisterAccount.State.WAITING)

    def failed(self) -> Self:
        return self.filter(state=RegisterAccount.State.ERROR)

    def made(self) -> Self:
        """Accounts that are, or may be, on the server and are not being created."""
        return self.filter(state__in=[RegisterAccount.State.CREATED, RegisterAccount.State.ERROR])

    def settled(self) -> Self:
        """Accounts that exist, or are being created."""
        return self.filter(state__in=[RegisterAccount.State.CREATED, RegisterAccount.State.WAITING])

    def not_online(self) -> Self:
        """Accounts in another state than ONLINE. By the index on them."""
        return self.exclude(shown_state=AccountState.ONLINE)

    def count_by_server(self) -> dict[int, int]:
        """Counts the accounts on each server, by its key. By an index alone."""
        return dict(self.order_by().values_list("server").annotate(count=models.Count("*")))

    def count_states(self) -> dict[str, int]:
        """Counts registers in use by their shown state. One query."""
        in_use = self.filter(register__mothballed=False).order_by()
        return dict(in_use.values_list("shown_state").annotate(models.Count("pk")))


class RegisterAccount(Failing):
    """A register's account on a server. No row at all means: not created."""

    class State(models.TextChoices):
        NOT_CREATED = "not_created", gettext_lazy("Not created")
        WAITING = "waiting", gettext_lazy("Being created")
        CREATED = "created", gettext_lazy("Created")
        ERROR = "error", gettext_lazy("Error")

    server = models.ForeignKey(
        BonusServer,
        on_delete=models.CASCADE,
        related_name="accounts",
    )
    register = models.ForeignKey(
        CashRegister,
        on_delete=models.CASCADE,
        related_name="accounts",
    )
    state = models.CharField(
        max_length=12,
        choices=State,
        default=State.NOT_CREATED,
        editable=False,
    )
    login = models.CharField(gettext_lazy("login"), max_length=200, blank=True, editable=False)
    blocked = models.BooleanField(gettext_lazy("blocked"), default=False, editable=False)
    # A block that was requested here; without a time it was made on the server itself.
    blocked_at = models.DateTimeField(null=True, editable=False)
    blocked_by = models.CharField(max_length=200, blank=True, editable=False)
    block_reason = models.CharField(max_length=500, blank=True, editable=False)
    created_at = models.DateTimeField(null=True, editable=False)
    # By the clock of this machine, though the server noted it by its own.
    last_seen = models.DateTimeField(null=True, editable=False)
    # When the server was last asked, it had seen the register within ONLINE_FOR.
    seen_lately = models.BooleanField(default=False, db_default=False, editable=False)
    shown_state = models.GeneratedField(
        expression=_shown(),
        output_field=models.CharField(max_length=12, choices=AccountState),
        db_persist=True,
    )
    # Requested without an answer: it may exist, with a secret that is unknown.
    reply_lost = models.BooleanField(default=False, editable=False)
    job = models.ForeignKey(
        "AccountJob", on_delete=models.SET_NULL, null=True, related_name="accounts", editable=False
    )

    objects = RegisterAccountQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("register’s account")
        constraints = [models.UniqueConstraint("server", "register", name="one_account_per_server")]
        indexes = [
            models.Index(fields=["job", "state"], name="accounts_of_a_job"),
            models.Index(
                fields=["shown_state", "server", "register"],
                condition=~Q(shown_state=AccountState.ONLINE),
                name="accounts_not_online",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.register} → {self.server}"

    # What the server answered; the caller saves, many at once.
    OUTCOME: ClassVar[list[str]] = [
        *("state", "login", "blocked", "created_at", "last_seen", "seen_lately", "reply_lost"),
        *("blocked_at", "blocked_by", "block_reason"),
        *FAILURE,
    ]

    def became(self, state: State, error: TransferError | None = None, **fields: Any) -> None:
        self.assign(**{"state": state, "reply_lost": False, **failure(error), **fields})
        if not self.blocked:
            self.blocked_at, self.blocked_by, self.block_reason = None, "", ""

    def note_block(self, who: str, reason: str) -> None:
        """Notes who has ordered the block that stands now, and why; the caller saves."""
        self.blocked_at, self.blocked_by, self.block_reason = timezone.now(), who, reason

    def became_none(self) -> None:
        """The server has no account of the register (any more)."""
        self.became(
            self.State.NOT_CREATED, login="", blocked=False, created_at=None, last_seen=None
        )


def attach_states(
    registers: Iterable[CashRegister], servers: Iterable[BonusServer]
) -> list[CashRegister]:
    """Gives each register its `states`: of each server where it has an account, by the server's
    key, the shown state and when it was last seen. One query, and no object for an account.
    """
    known = {register.pk: register for register in registers}
    for register in known.values():
        register.states = {}
    accounts = RegisterAccount.objects.filter(register__in=known, server__in=servers)
    columns = ("register_id", "server_id", "shown_state", "last_seen")
    for pk, server, state, seen in accounts.order_by().values_list(*columns):
        known[pk].states[server] = (AccountState(state), seen)
    return list(known.values())


def count_registers() -> dict[AccountState, int]:
    """Counts the registers in use that have an account with a shown state, by these states."""
    accounts = RegisterAccount.objects.filter(register__mothballed=False).order_by()
    not_online = accounts.not_online().values_list("shown_state")
    counted = dict(not_online.annotate(models.Count("register", distinct=True)))
    online = RegisterAccount.objects.filter(shown_state=AccountState.ONLINE)
    is_online = models.Exists(online.filter(register=models.OuterRef("pk")))
    counted[AccountState.ONLINE] = CashRegister.objects.in_use().filter(is_online).count()
    return {state: counted[state] for state in AccountState if counted.get(state)}


def count_on_servers(servers: Collection[BonusServer]) -> dict[int, dict[str, int]]:
    """Returns of each server, by its key, the number of registers in use by their state there.

    Nearly all of hundreds of thousands of accounts are online: all are counted, and only the others
    are read.
    """
    accounts = RegisterAccount.objects.filter(server__in=servers).order_by()
    in_use = accounts.filter(register__mothballed=False)
    not_online = in_use.not_online().values_list("server", "shown_state")
    online = accounts.count_by_server()
    for server, count in accounts.filter(register__mothballed=True).count_by_server().items():
        online[server] -= count
    counts: dict[int, dict[str, int]] = {server: {} for server in online}
    for server, state, count in not_online.annotate(models.Count("pk")):
        counts[server][state] = count
        online[server] -= count
    for server, count in online.items():
        if count:
            counts[server][AccountState.ONLINE] = count
    return counts


def worst_on_servers(
    servers: Collection[BonusServer], counts: Mapping[int, Mapping[str, int]]
) -> dict[int, AccountState]:
    """Returns the worst state on these servers of each register in use, by its key, that is not
    online on all of them. `counts` is what `count_on_servers` has returned of them.
    """
    accounts = RegisterAccount.objects.filter(server__in=servers).order_by()
    in_use = accounts.filter(register__mothballed=False)
    places = (When(shown_state=state, then=Value(PLACES[state])) for state in AccountState)
    place = models.Min(Case(*places, output_field=models.IntegerField()))
    listed = list(AccountState)
    worst = {
        pk: listed[place]
        for pk, place in in_use.not_online().values_list("register").annotate(place=place)
    }
    lacking = dict.fromkeys(_without_account(servers, counts), AccountState.NOT_CREATED)
    for pk, state in lacking.items():
        worst[pk] = min(worst.get(pk, state), state, key=PLACES.__getitem__)
    return worst


def _without_account(
    servers: Collection[BonusServer], counts: Mapping[int, Mapping[str, int]]
) -> list[int]:
    """Returns the registers in use, by their keys, that have no account on one of these servers.

    Looks for them only if the counts say that there are any.
    """
    in_use = CashRegister.objects.in_use()
    most = in_use.count()
    if all(sum(counts.get(server.pk, {}).values()) >= most for server in servers):
        return []
    accounts = RegisterAccount.objects.filter(server__in=servers).order_by()
    counted = accounts.values("register").annotate(count=models.Count("*"))
    everywhere = counted.filter(count=len(servers)).values("register")
    return list(in_use.exclude(pk__in=everywhere).values_list("pk", flat=True))


class SeenDay(models.Model):
    """The hours (UTC) of a day in which a register was seen by a server: bit 0 is 00:00."""

    DAYS: ClassVar[int] = 8  # a week as any zone sees it

    account = models.ForeignKey(RegisterAccount, on_delete=models.CASCADE, related_name="seen_days")
    day = models.DateField()
    hours = models.PositiveIntegerField()

    class Meta:
        verbose_name = gettext_lazy("day of a register")
        constraints = [
            models.UniqueConstraint("account", "day", name="one_row_per_account_and_day")
        ]
        indexes = [models.Index(fields=["day"], name="seen_by_day")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day} {self.hours:024b}"
