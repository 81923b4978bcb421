"""The accounts of registers on bonus servers: their state, and when they were seen."""

from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.contrib.postgres.aggregates import BitOr
from django.db import connection, models
from django.db.models import Case, F, Q, Value, When
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


PROBLEMS: list[AccountState] = [
    one for one in AccountState if one not in (AccountState.WAITING, AccountState.ONLINE)
]


def state_case(prefix: str = "", server: BonusServer | None = None) -> Case:
    """The state of an account in SQL; of none (an outer join's nulls), "not created".

    With the `server` that all of them are on, its table is not joined.
    """
    return _case(prefix, server, lambda state: state.value, models.CharField())


def _case(
    prefix: str,
    server: BonusServer | None,
    value: Callable[[AccountState], Any],
    kind: models.Field[Any, Any],
) -> Case:
    State = RegisterAccount.State

    def has(**lookups: object) -> Q:
        return Q(**{f"{prefix}{name}": value for name, value in lookups.items()})

    created = has(state=State.CREATED)
    online = has(last_seen__gte=F(f"{prefix}server__accounts_at") - ONLINE_FOR)
    if server is not None:
        since = server.accounts_at and server.accounts_at - ONLINE_FOR
        online = has(last_seen__gte=since) if since else Q(pk=None)
    states = {
        AccountState.ERROR: has(state=State.ERROR),
        AccountState.WAITING: has(state=State.WAITING),
        AccountState.BLOCKED: created & has(blocked=True),
        AccountState.NEVER_SEEN: created & has(last_seen__isnull=True),
        AccountState.ONLINE: created & online,
        AccountState.OFFLINE: created,
    }
    return Case(
        *(When(condition, then=Value(value(state))) for state, condition in states.items()),
        default=Value(value(AccountState.NOT_CREATED)),
        output_field=kind,
    )


# A set of states as a number.
BITS = {state: 1 << number for number, state in enumerate(AccountState)}


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

    def with_shown(self) -> Self:
        """Gives each account `shown_state`, an AccountState."""
        return self.annotate(shown_state=state_case())

    def count_states(self) -> dict[str, int]:
        """Counts registers in use by their shown state. One query."""
        counted = (
            self.filter(register__mothballed=False)
            .with_shown()
            .order_by()
            .values_list("shown_state")
            .annotate(models.Count("pk"))
        )
        return dict(counted)

    def count_registers(self) -> dict[AccountState, int]:
        """Counts the registers that have an account with a shown state, by these states."""
        states = BitOr(_case("", None, BITS.__getitem__, models.IntegerField()))
        of_registers = self.order_by().values("register").annotate(states=states)
        query, parameters = of_registers.query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(
                f"select states, count(*) from ({query}) as registers group by 1",  # noqa: S608
                parameters,
            )
            counted = cursor.fetchall()
        in_state = {
            state: sum(count for states, count in counted if states & bit)
            for state, bit in BITS.items()
        }
        return {state: count for state, count in in_state.items() if count}


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
    # Requested without an answer: it may exist, with a secret that is unknown.
    reply_lost = models.BooleanField(default=False, editable=False)
    job = models.ForeignKey(
        "AccountJob", on_delete=models.SET_NULL, null=True, related_name="accounts", editable=False
    )

    objects = RegisterAccountQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("register’s account")
        constraints = [models.UniqueConstraint("server", "register", name="one_account_per_server")]
        indexes = [models.Index(fields=["job", "state"], name="accounts_of_a_job")]

    def __str__(self) -> str:
        return f"{self.register} → {self.server}"

    # What the server answered; the caller saves, many at once.
    OUTCOME: ClassVar[list[str]] = [
        *("state", "login", "blocked", "created_at", "last_seen", "reply_lost"),
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
    accounts = RegisterAccount.objects.filter(register__in=known, server__in=servers).with_shown()
    columns = ("register_id", "server_id", "shown_state", "last_seen")
    for pk, server, state, seen in accounts.order_by().values_list(*columns):
        known[pk].states[server] = (AccountState(state), seen)
    return list(known.values())


# From rows of server, register and state: both counts, by one scan.
COUNT_BOTH = """
    select server_id, place, register_id, count(*), min(place)
      from ({}) as account
     group by grouping sets ((server_id, place), (register_id))
"""


def states_and_worst(
    servers: Collection[BonusServer],
) -> tuple[dict[int, dict[str, int]], dict[int, AccountState]]:
    """Returns of each server, by its key, the number of registers in use by their state there; and
    the worst state on these servers of each register in use that has an account on one of them.

    One scan of the accounts, of which there may be hundreds of thousands.
    """
    if not servers:
        return {}, {}
    states = list(AccountState)
    accounts = RegisterAccount.objects.filter(server__in=servers, register__mothballed=False)
    placed = accounts.annotate(place=_case("", None, states.index, models.IntegerField()))
    query, parameters = (
        placed.order_by().values("server_id", "register_id", "place").query.sql_with_params()
    )
    counts: dict[int, dict[str, int]] = {}
    worst: dict[int, AccountState] = {}
    with connection.cursor() as cursor:
        cursor.execute(COUNT_BOTH.format(query), parameters)
        for server, place, register, count, least in cursor:
            if register is None:
                counts.setdefault(server, {})[states[place]] = count
            else:
                is_everywhere = count == len(servers)
                known = [states[least], *([] if is_everywhere else [AccountState.NOT_CREATED])]
                worst[register] = min(known, key=states.index)
    return counts, worst


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
