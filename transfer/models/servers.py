import ssl
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from psycopg2.extensions import make_dsn

from transfer.bonus_admin_client.contract import Endpoint
from transfer.causes.bonus_servers import API_NO_TOKEN, API_SECRET_UNREADABLE
from transfer.engine.mapping_file import Kinds
from transfer.engine.postgres.connection import ANY_LOG_IN
from transfer.errors import TransferError
from transfer.installed import installed_kinds, installed_tables
from transfer.models.addresses import address
from transfer.models.failing import Failing, failure, saved_error
from transfer.models.outage_parts import OutagePart, Part, Seen
from transfer.models.secret import SecretField, WithSecrets
from transfer.models.shared import printable

PORT = [MinValueValidator(1), MaxValueValidator(65535)]
STALE_AFTER = timedelta(minutes=3)  # checked every minute; one check may be missed


def validate_pem(text: str) -> None:
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, TypeError, ValueError) as error:  # TypeError: not ASCII
        raise ValidationError(
            _("This is not a certificate in PEM. It begins with -----BEGIN CERTIFICATE-----"),
            code="pem",
        ) from error


class BonusServerQuerySet(models.QuerySet["BonusServer"]):
    def failing(self) -> Self:
        """Servers with a port that does not answer correctly."""
        fails = Q(state=BonusServer.State.FAILING) | ~Q(service_error_code="")
        return self.filter(fails)


class BonusServer(WithSecrets, Failing):
    """A bonus server: where its ports are, and how to reach its database."""

    class SSLMode(models.TextChoices):
        DISABLE = "disable"
        PREFER = "prefer"
        REQUIRE = "require"
        VERIFY_CA = "verify-ca"
        VERIFY_FULL = "verify-full"

    class State(models.TextChoices):
        UNCHECKED = "unchecked", gettext_lazy("Not checked yet")
        AVAILABLE = "available", gettext_lazy("Available")
        # It has no API token, so its administration port is not asked.
        UNMANAGED = "unmanaged", gettext_lazy("Available, accounts not managed")
        FAILING = "failing", gettext_lazy("Not available")

    # The name that its positions give it: a copy of its database has the same.
    uid = models.UUIDField(default=uuid4, unique=True, editable=False)
    name = models.CharField(
        gettext_lazy("name"), max_length=100, unique=True, validators=[printable]
    )
    host = models.CharField(gettext_lazy("host"), max_length=255)
    admin_port = models.PositiveIntegerField(
        gettext_lazy("administration port"), default=7770, validators=PORT
    )
    work_port = models.PositiveIntegerField(
        gettext_lazy("service port"), default=7771, validators=PORT
    )
    api_token = SecretField(
        gettext_lazy("API token"),
        blank=True,
        null=True,
        validators=[
            RegexValidator(
                r"\A[!-~]*\Z", gettext_lazy("A token has no spaces and no Russian letters.")
            )
        ],
    )
    api_tls = models.BooleanField(gettext_lazy("HTTPS on the administration port"), default=False)
    api_verify = models.BooleanField(gettext_lazy("check the certificate"), default=True)
    api_ca = models.TextField(
        gettext_lazy("certificate of your own authority"), blank=True, validators=[validate_pem]
    )
    db_host = models.CharField(gettext_lazy("database host"), max_length=255, blank=True)
    db_port = models.PositiveIntegerField(
        gettext_lazy("database port"), default=5432, validators=PORT
    )
    db_name = models.CharField(gettext_lazy("database name"), max_length=63)
    db_user = models.CharField(gettext_lazy("database user"), max_length=63, blank=True)
    db_password = SecretField(gettext_lazy("database password"), blank=True, null=True)
    db_sslmode = models.CharField(
        gettext_lazy("database encryption"), max_length=11, choices=SSLMode, default=SSLMode.PREFER
    )
    db_any_auth = models.BooleanField(
        gettext_lazy("weaker log-in to the database allowed"), default=False
    )
    created_at = models.DateTimeField(gettext_lazy("docked at"), auto_now_add=True)

    # The last check of the administration port.
    state = models.CharField(
        gettext_lazy("state"), max_length=10, choices=State, default=State.UNCHECKED, editable=False
    )
    checked_at = models.DateTimeField(gettext_lazy("checked at"), null=True, editable=False)
    # When its accounts were last read: how old the states of its registers are.
    accounts_at = models.DateTimeField(gettext_lazy("accounts read at"), null=True, editable=False)
    latency = models.FloatField(gettext_lazy("answered in"), null=True, editable=False)
    clock_ahead = models.FloatField(
        gettext_lazy("its clock is ahead by"), null=True, editable=False
    )
    version = models.CharField(gettext_lazy("version"), max_length=200, blank=True, editable=False)
    # The last check of the service port, which is only connected to.
    service_checked_at = models.DateTimeField(null=True, editable=False)
    service_error_code = models.CharField(max_length=40, blank=True, editable=False)
    service_error_params = models.JSONField(default=dict, editable=False)

    objects = BonusServerQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]  # by name, 10 would come before 8
        verbose_name = gettext_lazy("bonus server")
        verbose_name_plural = gettext_lazy("bonus servers")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return address("server", self.pk)

    def clean(self) -> None:
        """Refuse a name that leads into other tables, and a database that is docked already."""
        stored = type(self).objects.filter(pk=self.pk).first() if self.pk else None
        if stored is not None:
            self._check_name(stored.name)
        if stored is None or stored.database != self.database:
            self._check_database()

    def _check_name(self, before: str) -> None:
        """Refuse a name with which other tables or columns of the server would be written to.

        The file of DTADMIN_TABLES names a section by the server's name: see `mapping_file`.
        """
        if installed_tables().are_same(before, self.name):
            return
        sentence = _(
            "The file of DTADMIN_TABLES has other tables for the name “%(after)s” than for "
            "“%(before)s”: with the new name, rows would go into other tables or columns. Give "
            "both names the same section [servers.…], restart the services, rename the server, "
            "and then remove the section of the old name."
        )
        raise ValidationError({"name": sentence % {"before": before, "after": self.name}})

    def _check_database(self) -> None:
        """Refuse the database of another docked server: each row would be sent to it twice."""
        others = type(self).objects.exclude(pk=self.pk).filter(db_name=self.db_name)
        other = next((one for one in others if one.database == self.database), None)
        if other is not None:
            words = _(
                "This is the database of %(server)s. A database is docked once: correct it, or "
                "undock %(server)s first."
            )
            raise ValidationError({"db_name": words % {"server": other.name}})

    @property
    def database(self) -> tuple[str, int, str]:
        """Where its database is, as it was entered. One database may have several addresses."""
        return self.db_host.strip().casefold(), self.db_port, self.db_name

    def with_same_ports(self) -> "BonusServer | None":
        """Return another docked server at the same host that has one of the same two ports."""
        ports = {self.admin_port, self.work_port}
        others = type(self).objects.exclude(pk=self.pk).filter(host__iexact=self.host)
        return next((one for one in others if ports & {one.admin_port, one.work_port}), None)

    @property
    def kinds(self) -> Kinds:
        """The kinds of transfers with the tables of this server, by their names."""
        return installed_tables().of(self.name)

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
            require_auth=ANY_LOG_IN if self.db_any_auth else None,
        )

    @property
    def endpoint(self) -> Endpoint:
        """How to reach its administration port. Raises API_SECRET_UNREADABLE."""
        self.check_secrets()
        return Endpoint(
            name=self.name,
            host=self.host,
            port=self.admin_port,
            token=self.api_token or "",
            tls=self.api_tls,
            verify=self.api_verify,
            ca=self.api_ca,
        )

    def check_secrets(self) -> None:
        """Raises API_SECRET_UNREADABLE: with another key a secret stays as it is stored."""
        if not self.is_readable:
            raise TransferError(API_SECRET_UNREADABLE, server=self.name)

    @property
    def is_stale(self) -> bool:
        """Whether the last check is so old that its result says little."""
        return self.checked_at is not None and self.checked_at < timezone.now() - STALE_AFTER

    @property
    def has_old_states(self) -> bool:
        """Whether what is shown of its registers is older than it should be."""
        return self.accounts_at is not None and self.accounts_at < timezone.now() - STALE_AFTER

    def note_answer(self, at: datetime, latency: float, clock_ahead: float, version: str) -> None:
        self._save_found(
            state=self.State.AVAILABLE,
            checked_at=at,
            accounts_at=at,
            latency=latency,
            clock_ahead=clock_ahead,
            version=version,
            **failure(None),
        )
        OutagePart.note_answers([Seen(self.pk, Part.ADMIN, at)])

    def note_failure(self, at: datetime, error: TransferError) -> None:
        """Note why it did not answer. Without a token it is not asked, which is no failure."""
        fails = error.cause is not API_NO_TOKEN
        self._save_found(
            state=self.State.FAILING if fails else self.State.UNMANAGED,
            checked_at=at,
            latency=None,
            **failure(error if fails else None),
        )
        note_part = OutagePart.note_failures if fails else OutagePart.note_answers
        note_part([Seen(self.pk, Part.ADMIN, at)])

    def note_service_port(self, at: datetime, error: TransferError | None) -> None:
        """Notes whether registers can connect, or why they can't."""
        self._save_found(
            service_checked_at=at,
            service_error_code=error.code if error else "",
            service_error_params=error.params if error else {},
        )
        note_part = OutagePart.note_failures if error else OutagePart.note_answers
        note_part([Seen(self.pk, Part.SERVICE, at)])

    @property
    def service_error(self) -> TransferError | None:
        """Why no register can connect, by the last check."""
        if not self.service_error_code:
            return None
        return saved_error(self.service_error_code, self.service_error_params)

    def _save_found(self, **fields: Any) -> None:
        """Saves only these fields, and only if the server is still docked."""
        self.assign(**fields)
        type(self).objects.filter(pk=self.pk).update(**fields)

    @transaction.atomic
    def dock(self) -> None:
        """Saves a new server and creates its tasks, disabled."""
        self.save(force_insert=True)
        self.tasks.bulk_create(
            [self.tasks.model(server=self, kind=name) for name in installed_kinds()]
        )
