"""Settings of the reference bonus server, from its own environment variables."""

import os

from django.core.exceptions import ImproperlyConfigured
from psycopg2.extensions import parse_dsn

DATABASE_URL = os.environ.get("BONUSSERVER_DATABASE_URL", "")
if not DATABASE_URL:
    raise ImproperlyConfigured(
        "BONUSSERVER_DATABASE_URL is not set, for example postgresql://user:password@host/bonus"
    )
# Requests are short. After these waits it is better that the register tries again.
TIMEOUTS = "-c lock_timeout=5s -c statement_timeout=15s"

parts = parse_dsn(DATABASE_URL)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", ""),
        **{name.upper(): parts.pop(name, "") for name in ("user", "password", "host", "port")},
        "OPTIONS": {
            "application_name": "reference_bonus_server",
            "connect_timeout": "5",
            **parts,
            "options": f"{TIMEOUTS} {parts.get('options', '')}",
        },
    }
}

# Five wrong PIN codes in a row lock the account for this long.
PIN_LOCK_SECONDS = float(os.environ.get("BONUSSERVER_PIN_LOCK_SECONDS", "900"))

INSTALLED_APPS = ["reference_bonus_server"]
MIDDLEWARE = ["reference_bonus_server.middleware.PortMiddleware"]
ROOT_URLCONF = "reference_bonus_server.admin_port"  # The middleware replaces it on the work port.
ALLOWED_HOSTS = ["*"]
SECRET_KEY = os.environ.get("BONUSSERVER_SECRET_KEY", "nothing is signed with it")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "reference_bonus_server": {"handlers": ["stderr"], "level": "INFO"},
        # It would log paths, and a path may hold a secret that was meant for the body.
        "django.request": {"handlers": ["stderr"], "level": "CRITICAL", "propagate": False},
    },
}
