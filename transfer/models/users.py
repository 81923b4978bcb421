"""Who may log in, and as what. Users are closed, never deleted: the history names them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from allauth.account.internal.stagekit import LOGIN_SESSION_KEY
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group, User as AuthUser, UserManager
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Case, Max, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.access import Role, forget_role, role_of
from transfer.models.audit import Actor, AuditEntry
from transfer.models.shared import alphabets


class UserQuerySet(models.QuerySet["User"]):
    def active(self) -> Self:
        return self.filter(is_active=True)

    def with_level(self) -> Self:
        """Gives each user `level`, the value of the role that it has; 0 is none."""
        of_groups = Max(
            Case(*(When(groups__name=one.group, then=Value(one.value)) for one in Role), default=0)
        )
        superuser = When(is_superuser=True, then=Value(Role.ADMINISTRATOR.value))
        return self.annotate(level=Case(superuser, default=of_groups))

    def administrators(self) -> Self:
        return self.with_level().filter(level=Role.ADMINISTRATOR)


class Users(UserManager.from_queryset(UserQuerySet)):  # type: ignore[misc]
    use_in_migrations = False

    @transaction.atomic
    def create_superuser(self, username: str, *args: Any, **fields: Any) -> Any:
        """Add an administrator at the command line (`createsuperuser`).

        Raises ValidationError: see `check_new_login`.
        """
        User.check_new_login(User.normalize_username(username))
        user = super().create_superuser(username, *args, **fields)
        actor = Actor.at_command_line()
        AuditEntry.record(actor, AuditEntry.Action.CREATE, user, new=user.audit_values())
        return user


class User(AuthUser):
    """Django's user, with our rules: each change is checked and noted in the audit."""

    objects = Users()  # type: ignore[misc]

    class Meta:
        proxy = True
        verbose_name = gettext_lazy("user")

    @property
    def role(self) -> Role | None:
        return role_of(self)

    @property
    def shown_role(self) -> Role | None:
        """The role in a list, which asks for all roles at once: see `with_level`."""
        return Role(self.level) if self.level else None  # type: ignore[attr-defined]

    @classmethod
    def check_new_login(cls, username: str) -> None:
        """Raises ValidationError when somebody has that login, in capitals or not, or when it mixes
        alphabets."""
        if len(alphabets(username)) > 1:
            message = _(
                "The letters of “%(login)s” are of several alphabets, so it could imitate another "
                "name. Use one alphabet."
            )
            raise ValidationError(message, code="scripts", params={"login": username})
        taken = cls.objects.filter(username__iexact=username).first()
        if taken is not None:
            message = _("There is a user “%(login)s” already.")
            if not taken.is_active:
                message = _("There is a user “%(login)s” already, closed. Reopen that one.")
            raise ValidationError(message, code="taken", params={"login": taken.username})

    @classmethod
    @transaction.atomic
    def add(cls, actor: Actor, *, role: Role, password: str, **fields: Any) -> Self:
        """Makes a user. Raises ValidationError: see `check_new_login`."""
        one_at_a_time()
        fields["username"] = cls.normalize_username(fields["username"])
        cls.check_new_login(fields["username"])
        user = cls(**fields)
        user.set_password(password)
        user.save()
        user._take(role)
        StartPassword.objects.create(user=user)
        AuditEntry.record(actor, AuditEntry.Action.CREATE, user, new=user.audit_values())
        return user

    def edit(self, actor: Actor, *, role: Role | None = None, **names: str) -> None:
        """Gives another role or another name. Raises ValidationError: see `_check`."""
        with self._changing(actor):
            for name, value in names.items():
                setattr(self, name, value)
            if role is not None:
                self._take(role)

    @classmethod
    @transaction.atomic
    def enter(cls, actor: Actor, username: str, *, role: Role, **names: str) -> Self:
        """The user of this name whom the provider (`actor`) has let in, with the role it gives.

        A user who is new is made. One who had a password here loses it, with the second factors:
        the provider asks for its own. Raises ValidationError for a closed user, for a name that
        can't be one, and for an emergency user, who does not depend on the provider.
        """
        one_at_a_time()
        username = cls.normalize_username(username)
        user = cls.objects.filter(username__iexact=username).first()
        if user is None:
            cls.check_new_login(username)
            user = cls(username=username, **names)
            user.set_unusable_password()
            user.clean_fields(exclude=["password"])
            user.save()
            user._take(role)
            AuditEntry.record(actor, AuditEntry.Action.CREATE, user, new=user.audit_values())
            return user
        if not user.is_active:
            raise ValidationError("", code="closed")
        if user.is_for_emergencies:
            raise ValidationError("", code="emergency")
        if user.has_usable_password():
            user.set_unusable_password()
            user.save(update_fields=["password"])
            Authenticator.objects.filter(user_id=user.pk).delete()
            StartPassword.objects.filter(user=user).delete()
            AuditEntry.record(actor, AuditEntry.Action.CHANGE, user, new={"log_in": "provider"})
        user.follow(actor, role=role)
        return user

    def follow(self, actor: Actor, *, role: Role | None) -> None:
        """Takes the role that the provider gives, or loses it, even as the last administrator."""
        with self._changing(actor, is_checked=False):
            self._take(role)

    @property
    def may_imitate(self) -> bool:
        """Whether the name looks like one that it is not. New users can't have such a name."""
        username = self.get_username()
        return self.normalize_username(username) != username or len(alphabets(username)) > 1

    @property
    def is_for_emergencies(self) -> bool:
        """Whether the settings name this user for log-ins by password beside the provider."""
        return self.username in settings.EMERGENCY_USERS

    def close(self, actor: Actor) -> None:
        """Closes the log-in and all sessions. Raises ValidationError: see `_check`."""
        with self._changing(actor):
            self.is_active = False
            self._end_sessions()

    def reopen(self, actor: Actor) -> None:
        with self._changing(actor):
            self.is_active = True

    @transaction.atomic
    def replace_password(self, actor: Actor, password: str) -> None:
        """Logs out who is logged in with the old one. The user then chooses another."""
        self.set_password(password)
        self.save(update_fields=["password"])
        StartPassword.objects.get_or_create(user=self)
        AuditEntry.record(actor, AuditEntry.Action.PASSWORD, self)

    @transaction.atomic
    def reset_second_factor(self, actor: Actor) -> None:
        """Removes all second factors, whose owner may have lost them, and ends all sessions.

        Raises ValidationError if there is none.
        """
        held = Authenticator.objects.select_for_update().filter(user_id=self.pk)
        if not (types := sorted(held.values_list("type", flat=True))):
            raise ValidationError(
                _("%(login)s has no second factor.") % {"login": self.username}, code="none"
            )
        held.delete()
        self._end_sessions()
        AuditEntry.record(actor, AuditEntry.Action.FACTOR, self, new={"reset": types})

    @property
    def state(self) -> str:
        return "active" if self.is_active else "closed"

    def audit_values(self) -> dict[str, str]:
        """What the audit says of a user."""
        return {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "role": self.role.group if self.role else "",
            "state": self.state,
        }

    @contextmanager
    def _changing(self, actor: Actor, *, is_checked: bool = True) -> Iterator[None]:
        """What is different afterwards is checked, saved and noted; or nothing is."""
        with transaction.atomic():
            one_at_a_time()
            self.refresh_from_db()
            forget_role(self)
            before = self.audit_values()
            yield
            self.save(
                update_fields=["first_name", "last_name", "is_active", "is_staff", "is_superuser"]
            )
            after = self.audit_values()
            if is_checked:
                self._check(actor, before, after)
            AuditEntry.record_change(actor, self, before, after)

    def _take(self, role: Role | None) -> None:
        """Gives that role alone, or none. A superuser is an administrator; who is none can't be."""
        others = [one.group for one in Role if one != role]
        self.groups.remove(*Group.objects.filter(name__in=others))
        if role:
            self.groups.add(Group.objects.get(name=role.group))
        if role != Role.ADMINISTRATOR:
            self.is_superuser = self.is_staff = False
        forget_role(self)

    def _check(self, actor: Actor, before: dict[str, str], after: dict[str, str]) -> None:
        """Raises ValidationError when nobody could administer any more, or the actor could not."""
        administers = {"role": Role.ADMINISTRATOR.group, "state": "active"}
        if not (administers.items() <= before.items()) or administers.items() <= after.items():
            return
        if actor.user is not None and actor.user.pk == self.pk:
            message = _(
                "You can't close yourself or take the administrator's role from yourself. "
                "Another administrator can."
            )
        elif not User.objects.active().administrators().exists():
            message = _(
                "%(login)s is the last administrator who may log in. Make another one first."
            )
        else:
            return
        raise ValidationError({"role": ValidationError(message, params={"login": self.username})})

    def _end_sessions(self) -> None:
        """Ends all sessions: one in a browser would be good again once the user is reopened.

        Also those in which a log-in waits for its second factor.
        """
        waits = user_pk_to_url_str(self)
        for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
            kept = session.get_decoded()
            waiting = (kept.get(LOGIN_SESSION_KEY) or {}).get("user_pk")
            if kept.get(SESSION_KEY) == str(self.pk) or waiting == waits:
                session.delete()


class StartPassword(models.Model):
    """The user has a password that somebody else knows, and changes it at the first log-in."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )

    def __str__(self) -> str:
        return str(self.user)


def one_at_a_time() -> None:
    """Keeps others from changing users until the transaction ends: two administrators who take each
    other's role at once must not both succeed."""
    Group.objects.select_for_update().get(name=Role.ADMINISTRATOR.group)
