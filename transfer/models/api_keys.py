"""Keys of the HTTP API: what a program may do with one, until when, and how often.

A key is shown once, when it is made. Only its SHA-256 is stored: the key is random and too long to
be guessed, so the digest needs no key of its own and outlives SECRET_KEY. Keys are revoked, never
deleted: the audit names them.
"""

import hashlib
import secrets
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now, TruncMinute
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.models.audit import Actor, AuditEntry
from transfer.models.settings import amount_limit
from transfer.models.shared import printable
from transfer.models.tasks import KindChoices

PREFIX = "dtk_"  # so that scanners of repositories and mails recognise a key
RANDOM_BYTES = 32
LONGEST = 100  # characters of what is tried as a key
MOST_A_MINUTE = 6000


class Scope(models.TextChoices):
    """What a key allows. None includes another."""

    READ = "read", gettext_lazy("Read tasks, servers, registers, problems, runs and rows")
    RUN = "run", gettext_lazy("Run, pause, resume and switch tasks")
    PROBLEMS = "problems", gettext_lazy("Take and mute problems")
    LOAD_PINCODES = "load_pincodes", gettext_lazy("Load PIN codes")
    LOAD_BALANCES = "load_balances", gettext_lazy("Load balance changes")
    LOAD_CARDS = "load_cards", gettext_lazy("Load card links and statuses")

    @classmethod
    def to_load(cls, kind: str) -> "Scope":
        """The scope for rows of a kind."""
        return cls(f"load_{KindChoices(kind)}")


def key_digest(secret: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Made(NamedTuple):
    """A new key, and its text, which is stored nowhere."""

    key: "ApiKey"
    secret: str


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> Self:
        """Keys that are neither revoked nor expired, by the database's clock."""
        is_current = Q(expires_at=None) | Q(expires_at__gt=Now())
        return self.filter(is_current, revoked_at=None)

    def made_by(self, user: AbstractBaseUser) -> Self:
        """Keys that this user made. A user's name never changes, and no other user gets it."""
        return self.filter(created_by=user.get_username())


class ApiKey(models.Model):
    """A key with which a program calls the API."""

    name = models.CharField(
        gettext_lazy("name"),
        max_length=100,
        unique=True,
        validators=[printable],
        error_messages={
            "unique": gettext_lazy(
                "There is a key with this name already. Revoked keys keep their names, since the "
                "audit uses them: choose another name."
            )
        },
        help_text=gettext_lazy(
            "The program that gets the key, for example 1C. The audit shows this name."
        ),
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=20, choices=Scope), verbose_name=gettext_lazy("may")
    )
    expires_at = models.DateTimeField(
        gettext_lazy("expires"),
        null=True,
        blank=True,
        help_text=gettext_lazy("Leave it empty for a key that never expires."),
    )
    limit = models.PositiveIntegerField(
        gettext_lazy("calls a minute"),
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_A_MINUTE)],
        help_text=gettext_lazy("Further calls within the minute are refused with status 429."),
    )
    row_limit = amount_limit(
        gettext_lazy("largest amount of a row"),
        gettext_lazy(
            "Balance changes above it need a second person. Empty: as the settings say. For a key "
            "without a limit, a number that no load reaches."
        ),
    )
    load_limit = amount_limit(gettext_lazy("largest sum of a load"))
    day_limit = amount_limit(gettext_lazy("largest sum of a day"))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=200, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_address = models.GenericIPAddressField(null=True, editable=False)
    # The minute of the last call, and the calls that were counted in it.
    minute = models.DateTimeField(null=True, editable=False)
    calls = models.PositiveIntegerField(default=0, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = gettext_lazy("API key")

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """One of active, expired, revoked."""
        if self.revoked_at:
            return "revoked"
        is_expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return "expired" if is_expired else "active"

    @property
    def own_limits(self) -> list[str]:
        """The limits of amounts that it has of its own, in words."""
        names = ("row_limit", "load_limit", "day_limit")
        fields: list[Any] = [self._meta.get_field(name) for name in names]
        own = [(field.verbose_name, getattr(self, field.name)) for field in fields]
        return [f"{words} {value}" for words, value in own if value is not None]

    @classmethod
    @transaction.atomic
    def make(
        cls,
        actor: Actor,
        *,
        name: str,
        scopes: list[str],
        expires_at: datetime | None,
        limit: int,
        **limits: int | None,
    ) -> Made:
        """Makes a key and notes it in the audit, without its text.

        `limits`: row_limit, load_limit, day_limit, of amounts without a second person.
        """
        secret = f"{PREFIX}{secrets.token_urlsafe(RANDOM_BYTES)}"
        allowed: dict[str, Any] = {"scopes": scopes, "expires_at": expires_at, "limit": limit}
        allowed |= {name: value for name, value in limits.items() if value is not None}
        key = cls.objects.create(
            name=name, digest=key_digest(secret), created_by=actor.name, **allowed
        )
        AuditEntry.record(actor, AuditEntry.Action.CREATE, key, new=allowed)
        return Made(key, secret)

    @classmethod
    def find(cls, secret: str) -> Self | None:
        """Return the usable key with this text, or None."""
        if not secret.startswith(PREFIX) or len(secret) > LONGEST:
            return None
        return cls.objects.usable().filter(digest=key_digest(secret)).first()

    def count_call(self, address: str | None) -> bool:
        """Counts a call; False if the key has reached its limit for this minute, or was revoked.

        One statement, so that processes that count at the same moment can't exceed the limit. A
        minute is one of the database's clock.
        """
        minute = TruncMinute(Now())
        may_call = Q(minute=None) | ~Q(minute=minute) | Q(calls__lt=F("limit"))
        counted = type(self).objects.usable().filter(may_call, pk=self.pk)
        calls = Case(When(minute=minute, then=F("calls") + 1), default=Value(1))
        return bool(
            counted.update(calls=calls, minute=minute, last_used_at=Now(), last_address=address)
        )

    @transaction.atomic
    def revoke(self, actor: Actor) -> bool:
        """Ends the key: the next call with it is refused. False if that was done before."""
        revoked = type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=Now())
        if revoked:
            AuditEntry.record(actor, AuditEntry.Action.DELETE, self)
        return bool(revoked)

    def actor(self, address: str | None) -> Actor:
        """Who does what is done with this key."""
        return Actor(f"{self.name} (API)", address=address)
