"""Who may approve what others enter, and which account and card numbers are a user's own."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext as _, gettext_lazy

from transfer.access import Role, has_role, role_of
from transfer.models.api_keys import ApiKey, Scope
from transfer.models.audit import Actor, AuditEntry
from transfer.models.users import User, one_at_a_time

OF_KEYS = " (API)"  # behind the name of a key: see `ApiKey.actor`
MOST_NUMBERS, LONGEST_NUMBER = 20, 100


class Approver(models.Model):
    """The user may approve what others enter: a switch of the user."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )

    class Meta:
        verbose_name = gettext_lazy("approver")

    def __str__(self) -> str:
        return str(self.user)


class OwnNumber(models.Model):
    """The number of an account or card that belongs to a user."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    number = models.CharField(max_length=LONGEST_NUMBER)

    class Meta:
        ordering = ["number"]
        verbose_name = gettext_lazy("own number")
        constraints = [models.UniqueConstraint("user", "number", name="own_number_once")]

    def __str__(self) -> str:
        return self.number


def is_approver(user: Any) -> bool:
    """Return whether this user has the right now: the switch, a role, and not closed."""
    pk = getattr(user, "pk", None)
    if pk is None or not Approver.objects.filter(user_id=pk, user__is_active=True).exists():
        return False
    return role_of(User.objects.get(pk=pk)) is not None


def oversees(user: Any) -> bool:
    """Return whether the user may see who has entered what: administrators, and approvers."""
    return has_role(user, Role.ADMINISTRATOR) or is_approver(user)


def approvers() -> list[User]:
    """Return the users who may approve now."""
    marked = User.objects.active().filter(pk__in=Approver.objects.values("user_id"))
    return [user for user in marked if role_of(user) is not None]


def numbers_of(user: User) -> list[str]:
    return [*OwnNumber.objects.filter(user_id=user.pk).values_list("number", flat=True)]


def all_own_numbers() -> list[str]:
    """Return the numbers of all users, closed ones too: their cards still take points."""
    return [*OwnNumber.objects.order_by().values_list("number", flat=True).distinct()]


def read_numbers(text: str) -> list[str]:
    """Return the numbers in a text, one a line or separated by commas. Raises ValidationError."""
    numbers = sorted({one.strip() for one in text.replace(",", "\n").splitlines()} - {""})
    if len(numbers) > MOST_NUMBERS or any(len(one) > LONGEST_NUMBER for one in numbers):
        raise ValidationError(
            _("At most %(most)s numbers, each of at most %(longest)s characters.")
            % {"most": MOST_NUMBERS, "longest": LONGEST_NUMBER}
        )
    return numbers


@transaction.atomic
def mark(user: User, actor: Actor, *, approves: bool, numbers: Iterable[str]) -> None:
    """Set the switch and the own numbers of a user. Audited.

    Raises ValidationError where the actor changes own numbers: who owns a card would else unmark
    it, and then credit it.
    """
    one_at_a_time()
    held, wanted = numbers_of(user), sorted(numbers)
    approved = Approver.objects.filter(user_id=user.pk).exists()
    before: dict[str, Any] = {"approves": approved, "own_numbers": held}
    after: dict[str, Any] = {"approves": approves, "own_numbers": wanted}
    if before == after:
        return
    if actor.user is not None and actor.user.pk == user.pk:
        raise ValidationError(
            _("Your own right to approve, and your own numbers, are set by another administrator.")
        )
    if approves:
        Approver.objects.get_or_create(user_id=user.pk)
    else:
        Approver.objects.filter(user_id=user.pk).delete()
    OwnNumber.objects.filter(user_id=user.pk).exclude(number__in=wanted).delete()
    for number in sorted({*wanted} - {*held}):
        OwnNumber.objects.create(user_id=user.pk, number=number)
    AuditEntry.record_change(actor, user, before, after)


class Person(NamedTuple):
    """Who enters rows: a user or a key of the API, by the name that the audit has.

    Neither: the command line without `--by`, whose name is that of the operating system's user.
    """

    name: str
    user: User | None = None
    key: ApiKey | None = None

    @classmethod
    def named(cls, name: str) -> Self:
        """Return who has this name. No login can look like a key: logins have no spaces."""
        if name.endswith(OF_KEYS):
            return cls(name, key=ApiKey.objects.filter(name=name.removesuffix(OF_KEYS)).first())
        return cls(name, user=User.objects.filter(username=name).first())

    @property
    def is_known(self) -> bool:
        return self.user is not None or self.key is not None

    def may_load(self, kind: str) -> bool:
        """Return whether the person may load rows of this kind now."""
        if self.key is not None:
            usable = ApiKey.objects.usable().filter(pk=self.key.pk).exists()
            return usable and Scope.to_load(kind) in self.key.scopes
        if self.user is None:
            return False
        return self.user.is_active and has_role(self.user, Role.OPERATOR)
