"""The chain's shops and cash registers."""

from typing import Any, Self

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Exists, FilteredRelation, OuterRef, Q
from django.utils.translation import gettext_lazy

from transfer.models.addresses import address
from transfer.models.servers import BonusServer
from transfer.models.shared import printable

in_a_path = RegexValidator(
    r"\A(?!\.{1,2}\Z)[^/]*\Z", gettext_lazy("It may not contain “/”, and not be “.” or “..”.")
)


class Shop(models.Model):
    code = models.CharField(
        gettext_lazy("code"), max_length=100, unique=True, validators=[printable]
    )
    name = models.CharField(
        gettext_lazy("name"), max_length=100, blank=True, validators=[printable]
    )

    class Meta:
        ordering = ["code"]
        verbose_name = gettext_lazy("shop")

    def __str__(self) -> str:
        return self.name or self.code


class CashRegisterQuerySet(models.QuerySet["CashRegister"]):
    def in_use(self) -> Self:
        return self.filter(mothballed=False)

    def beside(self, server: BonusServer) -> Self:
        """Gives each register `account`: its account on that server, or None. One query."""
        own = FilteredRelation("accounts", condition=Q(accounts__server=server))
        return self.annotate(account=own).select_related("account", "shop")

    def unsettled(self, server: BonusServer) -> Self:
        """Registers without an account on the server, made or being made."""
        accounts: Any = self.model._meta.get_field("accounts").related_model
        there = accounts.objects.settled().filter(register=OuterRef("pk"), server=server)
        return self.filter(~Exists(there))


class CashRegister(models.Model):
    """A cash register. `code` names it on every bonus server."""

    account: Any = None  # of `beside`
    states: dict[int, tuple[Any, Any]]  # of `attach_states`

    code = models.CharField(
        gettext_lazy("code"),
        max_length=100,
        unique=True,
        validators=[printable, in_a_path],
        help_text=gettext_lazy("Unique in the chain; the bonus servers know the register by it."),
    )
    name = models.CharField(gettext_lazy("register’s name"), max_length=100, validators=[printable])
    shop = models.ForeignKey(
        Shop, on_delete=models.PROTECT, related_name="registers", verbose_name=gettext_lazy("shop")
    )
    mothballed = models.BooleanField(
        gettext_lazy("out of service"),
        default=False,
        help_text=gettext_lazy("Out of use for now: it counts as no problem and raises no alert."),
    )

    objects = CashRegisterQuerySet.as_manager()

    class Meta:
        ordering = ["name", "code"]
        verbose_name = gettext_lazy("cash register")
        indexes = [models.Index(fields=["name", "code"], name="registers_by_name")]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.name = self.name or self.code
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return address("register", self.pk)
