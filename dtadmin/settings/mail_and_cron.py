"""The mail server that sends notifications, and the line in the crontab."""

import os
import shlex
from pathlib import Path

from dtadmin.environment import BASE_DIR, env, env_flag, env_number

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
