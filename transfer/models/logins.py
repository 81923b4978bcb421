"""Log-ins, refused ones, and the locks that guessing brings. The audit is the memory of it.

Strangers are counted by the name that they try, and by their address. A browser in which somebody
has logged in before is counted by itself: so whoever knows a name can't lock its owner out, nor can
whoever shares an address with others (OWASP, "device cookies").
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple, Self

from django.db.models import Count, Min, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.functional import cached_property

from transfer.engine.kinds import MASK
from transfer.models.audit import Actor, AuditEntry
from transfer.models.users import User

PERIOD = timedelta(minutes=15)
OF_A_NAME, OF_AN_ADDRESS = 10, 50  # refusals in the period, and no more is tried

Action = AuditEntry.Action


class Lock(NamedTuple):
    """Whom nobody is let in as, or from where, and until when."""

    whom: str
    until: datetime

    @classmethod
    def of(cls, refusals: QuerySet[AuditEntry], field: str, most: int) -> Iterator[Self]:
        """Yields names or addresses that `most` refusals have locked."""
        counted = refusals.order_by().values(field).annotate(n=Count("pk"), first=Min("at"))
        for line in counted.filter(n__gte=most).order_by("first"):
            yield cls(line[field], line["first"] + PERIOD)


def lately(action: Action, now: datetime | None = None) -> QuerySet[AuditEntry]:
    """Attempts that count: of the last minutes, and since an administrator has lifted the locks."""
    now = now or timezone.now()
    lifted = AuditEntry.objects.filter(action=Action.UNLOCK).order_by("-at").values("at")[:1]
    since = max([now - PERIOD, *lifted.values_list("at", flat=True)])
    return AuditEntry.objects.filter(action=action, at__gt=since)


def refusals() -> QuerySet[AuditEntry]:
    return lately(Action.REFUSE)


def of_strangers() -> QuerySet[AuditEntry]:
    return refusals().filter(new__browser__isnull=True)


def locks() -> list[Lock]:
    """All locks that hold against strangers: of names, and of addresses."""
    strangers = of_strangers()
    return [
        *Lock.of(strangers, "who", OF_A_NAME),
        *Lock.of(strangers.exclude(address=None), "address", OF_AN_ADDRESS),
    ]


def lift_locks(actor: Actor) -> None:
    """Lets whoever is locked try again at once."""
    whom = ", ".join(lock.whom for lock in locks())
    AuditEntry.record(actor, Action.UNLOCK, User(), new={"locks": whom})


@dataclass(frozen=True)
class Attempt:
    """Somebody gives a name and a password. `browser` is known to the name, or empty."""

    name: str
    address: str | None
    browser: str = ""

    @cached_property
    def user(self) -> User | None:
        return User.objects.filter(username=self.name).first()

    @property
    def who(self) -> str:
        """The name; of nobody's only what tells it from others: people type passwords there."""
        if self.user:
            return self.user.username
        digest = salted_hmac("dtadmin.unknown-name", self.name, algorithm="sha256").hexdigest()
        return f"{MASK} {digest[:8]}"

    @property
    def lock(self) -> Lock | None:
        """What keeps this attempt from being made at all."""
        if self.browser:
            mine = refusals().filter(who=self.who, new__browser=self.browser)
            return next(Lock.of(mine, "who", OF_A_NAME), None)
        strangers = of_strangers()
        of_name = Lock.of(strangers.filter(who=self.who), "who", OF_A_NAME)
        beside = strangers.filter(address=self.address)
        return next(chain(of_name, Lock.of(beside, "address", OF_AN_ADDRESS)), None)

    def succeed(self) -> None:
        self._note(Action.LOGIN)

    def refuse(self) -> None:
        """Notes it, and the lock if it was the last one that was free."""
        self._note(Action.REFUSE)
        if lock := self.lock:
            self._note(Action.LOCK, until=lock.until)

    def _note(self, action: Action, **new: object) -> None:
        if self.browser:
            new["browser"] = self.browser
        actor = Actor(self.who, self.user, self.address)
        AuditEntry.record(actor, action, self.user or User(username=self.who), new=new)
