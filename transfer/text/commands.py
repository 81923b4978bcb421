"""Commands as an administrator types them here: in a checkout, with the package, or the image."""

import re

from django.conf import settings

# The units of the package where its pages listen: at a port, or for a proxy of this machine.
PORT, SOCKET = "dtadmin-web.socket", "dtadmin-proxy.socket"
SERVICES = {
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
    replacements: dict[str, str] = {}
    if settings.IN_CONTAINER:
        replacements = IN_CONTAINERS
    elif settings.PACKAGED and settings.SYSTEMD:
        pages = f"sudo systemctl enable --now {unit_of_pages(settings.BEHIND_PROXY)}"
        replacements = {r"\bgunicorn\b": pages, **SERVICES, **IN_PACKAGE}
    elif settings.PACKAGED:
        replacements = IN_PACKAGE
    for pattern, command in replacements.items():
        text = re.sub(pattern, command, text)
    return text


def unit_of_pages(behind_proxy: object) -> str:
    """The unit for such a BEHIND_PROXY, in the settings or as the env file has it."""
    return SOCKET if behind_proxy == settings.UNIX else PORT
