"""Commands as an administrator types them here: the Debian package has `dtadmin` and systemd."""

import re

from django.conf import settings

SERVICES = {
    r"\bgunicorn\b": "sudo systemctl enable --now dtadmin-web.socket",
    r"manage\.py db_worker": "sudo systemctl enable --now dtadmin-worker@1",
    r"manage\.py run_scheduler": "sudo systemctl enable --now dtadmin-tick.timer",
}
IN_PACKAGE = {r"manage\.py (?=[a-z])": "sudo dtadmin "}


def as_typed_here(text: str) -> str:
    """Replaces `manage.py …` and `gunicorn` in a sentence by what the package has instead."""
    if settings.PACKAGED:
        for pattern, command in ((SERVICES if settings.SYSTEMD else {}) | IN_PACKAGE).items():
            text = re.sub(pattern, command, text)
    return text
