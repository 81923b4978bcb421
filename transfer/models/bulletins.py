"""What people are told, and not asked, until somebody dismisses it."""

from typing import Any, Self

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.models.addresses import address
from transfer.models.audit import Actor, AuditEntry
from transfer.models.servers import BonusServer


class BulletinQuerySet(models.QuerySet["Bulletin"]):
    def open(self) -> Self:
        """Those that nobody has dismissed."""
        return self.filter(dismissed_at=None)


class Bulletin(models.Model):
    """Something that has happened, with the list that it is about.

    The transfer goes on by itself. It may concern what lies outside: a file to load again, or what
    registers wrote on a bonus server. The sentence is made of code and parameters.
    """

    class Code(models.TextChoices):
        SHOP_ALL_RESTORED = "shop_all_restored", gettext_lazy("Shop All was restored")
        SERVER_RESTORED = "server_restored", gettext_lazy("A bonus server was restored")

    code = models.CharField(max_length=20, choices=Code)
    at = models.DateTimeField(default=timezone.now)
    server = models.ForeignKey(BonusServer, on_delete=models.CASCADE, null=True, related_name="+")
    params = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    # The first lines of the list that it is about; what they hold depends on the code.
    lines = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    dismissed_at = models.DateTimeField(null=True)
    dismissed_by = models.CharField(max_length=200, blank=True)  # a name: see `ScheduledTask`

    objects = BulletinQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name = gettext_lazy("bulletin")
        indexes = [
            models.Index(
                fields=["-at"], condition=models.Q(dismissed_at=None), name="open_bulletins"
            )
        ]

    def __str__(self) -> str:
        return str(self.get_code_display())

    def get_absolute_url(self) -> str:
        return address("bulletin", self.pk)

    def audit_params(self) -> dict[str, Any]:
        """Return its name in the audit."""
        return {"code": self.code, **({"server": self.server.name} if self.server else {})}

    def dismiss(self, actor: Actor) -> bool:
        """Take it off the overview; return whether it was there. Audited."""
        open_ones = type(self).objects.open().filter(pk=self.pk)
        changed = open_ones.update(dismissed_at=timezone.now(), dismissed_by=actor.name)
        if changed:
            AuditEntry.record(actor, AuditEntry.Action.CHANGE, self, new={"dismissed": True})
        return bool(changed)
