"""Who did what. Entries are only ever added: the database refuses anything else."""

import getpass
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.engine.kind import MASK
from transfer.models.secret import secret_names

GUARD = """
create or replace function transfer_append_only() returns trigger language plpgsql as $$
begin
    -- Retention alone, which says so in its transaction: see `AuditEntry.forget`.
    if tg_op = 'DELETE' and current_setting('transfer.retention', true) = 'on' then
        return old;
    end if;
    raise exception 'entries of % are only ever added', tg_table_name;
end $$;
create trigger {name} before update or delete on {table}
    for each row execute function transfer_append_only();
"""
# TRUNCATE fires no trigger of rows. Also `manage.py flush` empties tables by it.
TRUNCATE_GUARD = """
create or replace trigger {name} before truncate on {table}
    for each statement execute function transfer_append_only();
"""


class AppendOnly(models.BaseConstraint):
    """Triggers of the table that refuse to change or remove a row, and to empty the table."""

    def constraint_sql(self, model: Any, schema_editor: Any) -> None:  # type: ignore[override]
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))

    def create_sql(self, model: Any, schema_editor: Any) -> str:
        quoted = schema_editor.quote_name
        table = quoted(model._meta.db_table)
        of_rows = GUARD.format(name=quoted(self.name), table=table)
        return of_rows + TRUNCATE_GUARD.format(name=quoted(f"{self.name}_truncate"), table=table)

    def remove_sql(self, model: Any, schema_editor: Any) -> str:
        table = schema_editor.quote_name(model._meta.db_table)
        names = map(schema_editor.quote_name, (self.name, f"{self.name}_truncate"))
        return "; ".join(f"drop trigger {name} on {table}" for name in names)

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: nothing about a new row can be wrong."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AppendOnly) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


COMMANDS = "manage.py"  # in the name of who uses the command line
LINK = "link"  # in the name of who has used the link of a message


@dataclass(frozen=True)
class Actor:
    """Who does something, and from where."""

    name: str
    user: AbstractBaseUser | None = None
    address: str | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        return cls.user_at(request.user, cls.address_of(request))

    @staticmethod
    def address_of(request: HttpRequest) -> str | None:
        return request.META.get("REMOTE_ADDR") or None

    @classmethod
    def user_at(
        cls, user: AbstractBaseUser | AnonymousUser | None, address: str | None = None
    ) -> Self:
        if user is None or not user.is_authenticated:
            return cls("", None, address)
        return cls(user.get_username(), user, address)

    @classmethod
    def by_link(cls, recipient: str, address: str | None = None) -> Self:
        """Whoever has the link of a message that was sent to the recipient: nobody logs in."""
        return cls(f"{recipient} ({LINK})", None, address)

    @property
    def is_by_link(self) -> bool:
        return is_of_link(self.name)

    @classmethod
    def at_command_line(cls) -> Self:
        """The user of the operating system."""
        try:
            return cls(f"{getpass.getuser()} ({COMMANDS})")
        except (KeyError, OSError):  # a container's number without a name
            return cls(COMMANDS)


def is_of_link(name: str) -> bool:
    """Whether the name is that of who used a link: no name of a user has a space or brackets."""
    return name.endswith(f" ({LINK})")


def without_link(name: str) -> str:
    """Return the name of the recipient that the link was sent to."""
    return name.removesuffix(f" ({LINK})")


logger = logging.getLogger(__name__)

# The words of an entry, as they are: a name is not to be declined, nor a number.
WORDS = SearchVector("who", "address", "subject_params", "old", "new", "reason", config="simple")


class _IsAmong(models.Func):
    """A value is in an array."""

    template, arg_joiner = "%(expressions)s)", " = any("
    output_field = models.BooleanField()


# The name of each person, found from one to the next in the index of names: the audit has a few
# people, and many entries of each.
PEOPLE = """
    with recursive people as (
        (select who from transfer_auditentry
          where not (who = '') and not (who like %(mask)s)
          order by who limit 1)
        union all
        select (select who from transfer_auditentry
                 where not (who = '') and not (who like %(mask)s) and who > people.who
                 order by who limit 1)
          from people where people.who is not null
    )
    select who from people where who is not null
"""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def about(self, subject: models.Model) -> Self:
        return self.filter(subject_type=subject._meta.model_name, subject_id=subject.pk)

    def people(self) -> list[str]:
        """The names of all who have done something, sorted, without names that no user has."""
        with connection.cursor() as cursor:
            cursor.execute(PEOPLE, {"mask": f"{MASK}%"})
            return [name for (name,) in cursor.fetchall()]

    def changes(self) -> Self:
        """Entries without log-ins and calls of the API, which change nothing."""
        Action = AuditEntry.Action
        return self.exclude(action__in=[Action.LOGIN, Action.REFUSE, Action.CALLS])

    def last_backup_at(self) -> datetime | None:
        """When the last backup was completed. One that failed, or was killed, has no size."""
        done = self.filter(action=AuditEntry.Action.BACKUP, new__has_key="bytes").first()
        return done.at if done else None

    def search(self, text: str) -> Self:
        """Entries that have all these words, or words that begin so."""
        words = [word.replace("\\", "").replace("'", "''") for word in text.split()]
        wanted = " & ".join(f"'{word}':*" for word in words if word)
        if not wanted:
            return self
        query = SearchQuery(wanted, config="simple", search_type="raw")
        matching = self.model.objects.alias(words=WORDS).filter(words=query).order_by().values("pk")
        # As an array, which comes from the index of words: the planner, who can't know how many
        # entries have a word, would rather read their words from the last entry on, to the first.
        return self.filter(_IsAmong("pk", ArraySubquery(matching)))


class AuditEntry(models.Model):
    class Action(models.TextChoices):
        SWITCH = "switch", gettext_lazy("Switched on or off")
        UNDO = "undo", gettext_lazy("Switch undone")
        PAUSE = "pause", gettext_lazy("Paused")
        RESUME = "resume", gettext_lazy("Resumed")
        SCHEDULE = "schedule", gettext_lazy("Schedule changed")
        SETTINGS = "settings", gettext_lazy("Settings changed")
        RUN = "run", gettext_lazy("Started by hand")
        CANCEL = "cancel", gettext_lazy("Run cancelled")
        CREATE = "create", gettext_lazy("Created")
        CHANGE = "change", gettext_lazy("Changed")
        DELETE = "delete", gettext_lazy("Deleted")
        LOAD = "load", gettext_lazy("Rows loaded")
        RESEND = "resend", gettext_lazy("Rejected rows sent again")
        DISCARD = "discard", gettext_lazy("Rejected rows discarded")
        CHANGED = "changed", gettext_lazy("Changed rows decided on")
        PASSWORD = "password", gettext_lazy("Password set")
        FACTOR = "factor", gettext_lazy("Second factor changed")
        TEST = "test", gettext_lazy("Connection tested")
        LOGIN = "login", gettext_lazy("Logged in")
        REFUSE = "refuse", gettext_lazy("Log-in refused")
        LOCK = "lock", gettext_lazy("Log-in locked")
        UNLOCK = "unlock", gettext_lazy("Locks lifted")
        POSITION = "position", gettext_lazy("Position set")
        CONFIRM = "confirm", gettext_lazy("Restored shop All confirmed")
        FORGET = "forget", gettext_lazy("Rows deleted by hand given up")
        BACKUP = "backup", gettext_lazy("Backup made")
        RESTORE = "restore", gettext_lazy("Backup restored")
        CALLS = "calls", gettext_lazy("API called")
        SECRETS = "secrets", gettext_lazy("Secrets encrypted again")
        STAGING = "staging", gettext_lazy("Staging tables set up")
        APPROVAL = "approval", gettext_lazy("Second person")
        STATEMENT = "statement", gettext_lazy("Statement made")
        TAKE = "take", gettext_lazy("Problem taken")
        GIVE_BACK = "give_back", gettext_lazy("Problem given back")
        MUTE = "mute", gettext_lazy("Problem muted")
        UNMUTE = "unmute", gettext_lazy("Problem no longer muted")

    at = models.DateTimeField(gettext_lazy("when"), default=timezone.now)
    who = models.CharField(gettext_lazy("who"), max_length=200)
    # No foreign key: an entry outlives its user, and can't be changed when the user goes.
    user_id = models.BigIntegerField(null=True)
    address = models.GenericIPAddressField(gettext_lazy("from where"), null=True)
    action = models.CharField(gettext_lazy("what"), max_length=10, choices=Action)
    subject_type = models.CharField(max_length=30)
    subject_id = models.BigIntegerField(null=True)
    subject_params = models.JSONField(default=dict)
    old = models.JSONField(gettext_lazy("before"), default=dict, encoder=DjangoJSONEncoder)
    new = models.JSONField(gettext_lazy("after"), default=dict, encoder=DjangoJSONEncoder)
    reason = models.CharField(gettext_lazy("reason"), max_length=500, blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("audit entry")
        verbose_name_plural = gettext_lazy("audit")
        constraints = [AppendOnly(name="audit_append_only")]
        indexes = [
            models.Index(fields=["subject_type", "subject_id", "-id"], name="audit_of_a_subject"),
            # The page, by any filter; retention.
            models.Index(fields=["at", "id", "who", "action"], name="audit_by_time"),
            GinIndex(WORDS, name="audit_by_words"),  # `search`
            models.Index(
                fields=["who"],
                condition=~models.Q(who="") & ~models.Q(who__startswith=MASK),
                name="audit_by_person",  # `people`
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.who}: {self.get_action_display()}"

    @property
    def is_of_command_line(self) -> bool:
        """Whether a command did it: no name of a user has a space or brackets."""
        return self.who == COMMANDS or self.who.endswith(f" ({COMMANDS})")

    @classmethod
    def record(
        cls,
        actor: Actor,
        action: Action,
        subject: models.Model,
        *,
        old: dict[str, Any] | None = None,
        new: dict[str, Any] | None = None,
        reason: str = "",
    ) -> Self:
        """Notes a change: `old` and `new` map the names of fields to values; secrets are masked.

        The subject is called by its `audit_params()` ("kind", "server", "name"), or by `str`.
        """
        params = getattr(subject, "audit_params", lambda: {"name": str(subject)})()
        entry = cls.objects.create(
            who=actor.name,
            user_id=actor.user.pk if actor.user else None,
            address=actor.address,
            action=action,
            subject_type=subject._meta.model_name,
            subject_id=subject.pk,
            subject_params=params,
            old=_without_secrets(subject, old or {}),
            new=_without_secrets(subject, new or {}),
            reason=reason,
        )
        transaction.on_commit(entry._log)
        return entry

    @classmethod
    def record_change(
        cls,
        actor: Actor,
        subject: models.Model,
        before: dict[str, Any],
        after: dict[str, Any],
    ) -> None:
        """Notes what differs between two states of the subject, if anything does."""
        changed = [name for name in after if after[name] != before[name]]
        if changed:
            old, new = ({name: values[name] for name in changed} for values in (before, after))
            cls.record(actor, cls.Action.CHANGE, subject, old=old, new=new)

    def _log(self) -> None:
        """Writes the entry as a line of the log, if that is for machines (LOG_FORMAT)."""
        names = (
            *("who", "address", "action", "subject_type", "subject_id", "subject_params"),
            *("old", "new", "reason"),
        )
        logger.info(
            "audit", extra={"entry": self.pk} | {name: getattr(self, name) for name in names}
        )

    @classmethod
    def forget(cls, before: datetime) -> int:
        """Removes entries that are older; returns how many. Nothing else may remove any."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("select set_config('transfer.retention', 'on', true)")
            removed, _each = cls.objects.filter(at__lt=before).delete()
            cursor.execute("select set_config('transfer.retention', 'off', true)")
        return removed


def _without_secrets(subject: models.Model, values: dict[str, Any]) -> dict[str, Any]:
    secret = secret_names(subject)
    return {name: MASK if name in secret and value else value for name, value in values.items()}
