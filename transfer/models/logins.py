"""Counts the passwords that are guessed at the log-in, and locks who guesses too often.

Strangers are counted by the name that they try, and by their network. A browser in which a user has
logged in before is counted by itself: guessing a name does not lock its owner out of that browser,
nor does guessing from an address that the owner shares (OWASP, "device cookies").

A guess is counted before its password is checked, so that guesses made at the same moment can't all
pass the limit. The count of a right password is taken back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, Self

from django.db import models, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from transfer.engine.kind import MASK
from transfer.models.audit import Actor, AuditEntry
from transfer.models.users import User
from transfer.queue.locks import Space, wait_for_lock

PERIOD = timedelta(minutes=15)
OF_A_NAME, OF_A_NETWORK = 10, 50  # guesses in the period; the next one is not checked

# One holder of IPv6 has at least a network of this size, with 2⁶⁴ addresses to guess from.
IPV6_PREFIX = 64
# Each address in it is one of IPv4 (RFC 6052), whose holders have nothing to do with each other.
OF_IPV4 = IPv6Network("64:ff9b::/96")

Action = AuditEntry.Action


class GuessQuerySet(models.QuerySet["Guess"]):
    def recent(self) -> Self:
        return self.filter(at__gt=timezone.now() - PERIOD)

    def of_strangers(self) -> Self:
        return self.filter(browser="")

    def locked(self, field: str, most: int, *apart: str) -> Iterator["Lock"]:
        """Yields names or networks, as `field` says, of which `most` guesses were made.

        Guesses that differ in the fields `apart` are counted apart.
        """
        counted = (
            self.recent()
            .order_by()
            .values(field, *apart)
            .annotate(n=models.Count("pk"), first=models.Min("at"))
        )
        for line in counted.filter(n__gte=most).order_by("first"):
            yield Lock(line[field], line["first"] + PERIOD)


class Guess(models.Model):
    """A password that was tried for a name and is not known to be right."""

    at = models.DateTimeField(default=timezone.now)
    who = models.CharField(max_length=200)  # as `LoginKey.who`
    network = models.CharField(max_length=50)  # as `network_of`; empty if the address is unknown
    browser = models.CharField(max_length=20)  # the number of a known browser, or empty
    is_refused = models.BooleanField(default=False)  # until then its password is being checked

    objects = GuessQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["who", "browser", "at"], name="guesses_of_a_name"),
            models.Index(fields=["network", "at"], name="guesses_of_a_network"),
            models.Index(fields=["at"], name="guesses_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.who}, {self.network}"


class Lock(NamedTuple):
    """A name or a network whose log-ins are locked, and until when."""

    whom: str
    until: datetime


class Locked(Exception):
    """Too many passwords were guessed: this one is not checked."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until)
        self.until = until


def network_of(address: str | None) -> str:
    """The key by which an address is counted: itself, or the network of one holder of IPv6."""
    if not address:
        return ""
    read = ip_address(address)
    if not isinstance(read, IPv6Address):
        return address
    if read.ipv4_mapped:
        return str(read.ipv4_mapped)
    return address if read in OF_IPV4 else str(ip_network((read, IPV6_PREFIX), strict=False))


def locks() -> list[Lock]:
    """All locks: of names and of networks for strangers, and of names in known browsers."""
    strangers, known = Guess.objects.of_strangers(), Guess.objects.exclude(browser="")
    return [
        *strangers.locked("who", OF_A_NAME),
        *known.locked("who", OF_A_NAME, "browser"),
        *strangers.exclude(network="").locked("network", OF_A_NETWORK),
    ]


def locked_names() -> dict[str, Lock]:
    """The lock of each name that has one, for strangers or in some known browser."""
    strangers, known = Guess.objects.of_strangers(), Guess.objects.exclude(browser="")
    found = [*known.locked("who", OF_A_NAME, "browser"), *strangers.locked("who", OF_A_NAME)]
    return {lock.whom: lock for lock in found}


@transaction.atomic
def lift_locks(actor: Actor) -> None:
    """Forgets all guesses: each name can be tried again at once."""
    whom = ", ".join(lock.whom for lock in locks())
    Guess.objects.all().delete()
    AuditEntry.record(actor, Action.UNLOCK, User(), new={"locks": whom})


@dataclass(frozen=True)
class LoginKey:
    """The key by which a log-in is counted. `browser`: the number of a known browser, or empty."""

    name: str
    address: str | None
    browser: str = ""

    @cached_property
    def user(self) -> User | None:
        return User.objects.filter(username=self.name).first()

    @property
    def who(self) -> str:
        """The name. Of an unknown name only a digest: people type passwords into that field."""
        if self.user:
            return self.user.username
        digest = salted_hmac("dtadmin.unknown-name", self.name, algorithm="sha256").hexdigest()
        return f"{MASK} {digest[:8]}"

    @transaction.atomic
    def guess(self) -> Guess:
        """Counts a guess, before its password is checked. Raises Locked.

        If the process dies before it knows whether the password is right, the guess counts.
        """
        wait_for_lock(Space.GUESSES, 0)
        Guess.objects.filter(at__lte=timezone.now() - PERIOD).delete()
        if lock := next(self._locks(Guess.objects.all()), None):
            raise Locked(lock.until)
        network = network_of(self.address)
        return Guess.objects.create(who=self.who, network=network, browser=self.browser)

    @transaction.atomic
    def refuse(self, guess: Guess, **what: str) -> None:
        """Notes that the password was wrong; and the lock, if it was the last guess before it.

        `what` goes into the audit: "factor" is the type of a second factor that was wrong.
        """
        wait_for_lock(Space.GUESSES, 0)
        before = [*self._locks(Guess.objects.filter(is_refused=True))]
        Guess.objects.filter(pk=guess.pk).update(is_refused=True)
        self._audit(Action.REFUSE, **what)
        after = [*self._locks(Guess.objects.filter(is_refused=True))]
        if len(after) > len(before):
            self._audit(Action.LOCK, until=after[-1].until)

    def succeed(self, **how: object) -> None:
        """Notes the log-in, and `how`: "factor" is the type of the second factor; "provider" the
        name of the provider; "emergency" that the provider was passed by.
        """
        self._audit(Action.LOGIN, **how)

    def _locks(self, guesses: GuessQuerySet) -> Iterator[Lock]:
        """Yields the locks that these guesses are, for the holder of this key."""
        if self.browser:
            yield from guesses.filter(who=self.who, browser=self.browser).locked("who", OF_A_NAME)
            return
        strangers = guesses.of_strangers()
        yield from strangers.filter(who=self.who).locked("who", OF_A_NAME)
        if network := network_of(self.address):
            yield from strangers.filter(network=network).locked("network", OF_A_NETWORK)

    def _audit(self, action: Action, **new: object) -> None:
        if self.browser:
            new["browser"] = self.browser
        actor = Actor(self.who, self.user, self.address)
        AuditEntry.record(actor, action, self.user or User(username=self.who), new=new)
