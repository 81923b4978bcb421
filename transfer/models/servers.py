from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from encrypted_fields.fields import EncryptedTextField
from psycopg2.extensions import make_dsn

from transfer.kinds import KINDS

PORT = [MinValueValidator(1), MaxValueValidator(65535)]


class BonusServer(models.Model):
    """A bonus server: where its ports are, and how to reach its database."""

    class SSLMode(models.TextChoices):
        DISABLE = "disable"
        PREFER = "prefer"
        REQUIRE = "require"
        VERIFY_CA = "verify-ca"
        VERIFY_FULL = "verify-full"

    name = models.CharField(_("name"), max_length=100, unique=True)
    host = models.CharField(_("host"), max_length=255)
    admin_port = models.PositiveIntegerField(
        _("administration port"), default=7770, validators=PORT
    )
    work_port = models.PositiveIntegerField(_("port for work"), default=7771, validators=PORT)
    db_host = models.CharField(_("database host"), max_length=255, blank=True)
    db_port = models.PositiveIntegerField(_("database port"), default=5432, validators=PORT)
    db_name = models.CharField(_("database name"), max_length=63)
    db_user = models.CharField(_("database user"), max_length=63, blank=True)
    db_password = EncryptedTextField(_("database password"), blank=True, null=True)
    db_sslmode = models.CharField(
        _("database encryption"), max_length=11, choices=SSLMode, default=SSLMode.PREFER
    )
    created_at = models.DateTimeField(_("docked at"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("bonus server")
        verbose_name_plural = _("bonus servers")

    def __str__(self) -> str:
        return self.name

    @property
    def dsn(self) -> str:
        """How to connect to its database. Holds the password: never show it."""
        return make_dsn(
            host=self.db_host or None,
            port=self.db_port,
            dbname=self.db_name,
            user=self.db_user or None,
            password=self.db_password or None,
            sslmode=self.db_sslmode,
        )

    @transaction.atomic
    def dock(self) -> None:
        """Saves a new server and creates its three tasks, disabled."""
        self.save(force_insert=True)
        self.tasks.bulk_create([self.tasks.model(server=self, kind=name) for name in KINDS])
