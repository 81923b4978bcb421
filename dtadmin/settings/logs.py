"""What is logged, and how."""

from django.core.exceptions import ImproperlyConfigured

from dtadmin.environment import env
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
