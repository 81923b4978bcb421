"""The line in the crontab that `manage.py crontab add` writes."""

import os
import shlex
from pathlib import Path

from dtadmin.environment import BASE_DIR

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
