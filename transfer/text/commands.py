"""Commands as an administrator types them here: the Debian package has `dtadmin` and systemd."""

import re

from django.conf import settings

IN_PACKAGE = {
    r"manage\.py db_worker": "sudo systemctl enable --now dtadmin-worker@1",
    r"manage\.py run_scheduler": "sudo systemctl enable --now dtadmin-tick.timer",
    r"manage\.py (?=[a-z])": "sudo dtadmin ",
}


def as_typed_here(text: str) -> str:
    """Replaces `manage.py …` in a sentence by what the package has instead."""
    if settings.PACKAGED:
        for pattern, command in IN_PACKAGE.items():
            text = re.sub(pattern, command, text)
    return text
