"""How the installation is run: the log, the mail server, the crontab, the key of statements."""

import os
import shlex
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from dtadmin.environment import BASE_DIR, env, env_flag, env_number
from dtadmin.translation import gettext as _

LOG_FORMAT = env("LOG_FORMAT", "text")
if LOG_FORMAT not in {"text", "json"}:
    raise ImproperlyConfigured(_("LOG_FORMAT must be text or json."))

# cron mails what a command writes, so that as text only what is unusual is logged.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"text": {"()": "transfer.logs.Text"}, "json": {"()": "transfer.logs.Json"}},
    "filters": {
        "about": {"()": "transfer.logs.About"},
        "links": {"()": "transfer.logs.WithoutLinks"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["about", "links"],
        }
    },
    "loggers": {
        "transfer": {"handlers": ["stderr"], "level": "INFO"},
        **{
            name: {"level": "INFO" if LOG_FORMAT == "json" else "ERROR"}
            for name in (
                "transfer.models.run_base",
                "transfer.models.audit",
                "transfer.engine.events",
            )
        },
        # A page that failed; pages that were not found are not logged.
        "django.request": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        # Anybody can send what is answered by 400, and each time it would be a stack trace.
        "django.security": {"level": "CRITICAL"},
        "django.security.csrf": {"level": "WARNING"},
    },
}

# The mail server that sends notifications.
EMAIL_HOST = env("EMAIL_HOST", "localhost")
EMAIL_PORT = env_number("EMAIL_PORT", 25)
EMAIL_HOST_USER = env("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env_flag("EMAIL_USE_TLS")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", "dtadmin@localhost")

# `manage.py crontab add` writes this line into the crontab, and never another one: django-crontab
# knows its lines by a hash, and leaves the crontab half removed when one has changed. cron gives
# no environment, so the line says what the settings can't be found without.
CRONJOBS = [("* * * * *", "django.core.management.call_command", ["run_due_tasks"])]
CRONTAB_COMMENT = f"Data Transfer in {BASE_DIR}"
CRONTAB_DJANGO_MANAGE_PATH = str(BASE_DIR / "manage.py")
CRONTAB_COMMAND_PREFIX = " ".join(
    f"{name}={shlex.quote(str(Path(os.environ[name]).resolve()))}"
    for name in ("DTADMIN_ENV", "DTADMIN_VAR")
    if os.environ.get(name)
)

# A file with the Ed25519 key that signs statements for accountants, PEM. Its text never comes in a
# variable.
STATEMENT_KEY = env("STATEMENT_KEY")
