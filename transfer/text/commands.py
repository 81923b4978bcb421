"""Commands as an administrator types them here: in a checkout, with the package, or the image."""

import re

from django.conf import settings

SERVICES = {
    r"\bgunicorn\b": "sudo systemctl enable --now dtadmin-web.socket",
    r"manage\.py db_worker": "sudo systemctl enable --now dtadmin-worker@1",
    r"manage\.py run_scheduler": "sudo systemctl enable --now dtadmin-tick.timer",
}
IN_PACKAGE = {r"manage\.py (?=[a-z])": "sudo dtadmin "}
# The services of image/compose.yaml.
IN_CONTAINERS = {
    r"\bgunicorn\b": "docker compose up -d web",
    r"manage\.py db_worker": "docker compose up -d worker",
    r"manage\.py run_scheduler": "docker compose up -d scheduler",
    r"manage\.py (?=[a-z])": "docker compose exec web dtadmin ",
}


def as_typed_here(text: str) -> str:
    """Replaces `manage.py …` and `gunicorn` in a sentence by what this installation has instead."""
    for pattern, command in replacements().items():
        text = re.sub(pattern, command, text)
    return text


def replacements() -> dict[str, str]:
    if settings.IN_CONTAINER:
        return IN_CONTAINERS
    if settings.PACKAGED:
        return (SERVICES if settings.SYSTEMD else {}) | IN_PACKAGE
    return {}
