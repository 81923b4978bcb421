"""Reads the environment and the env file; where this installation is, and what kind it is."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv

from dtadmin.translation import gettext as _

BASE_DIR = Path(__file__).resolve().parent.parent
PACKAGED = str(BASE_DIR) == "/opt/dtadmin"  # installed by the Debian package
SYSTEMD = PACKAGED and Path("/run/systemd/system").is_dir()  # it runs the package's services

if env_file := os.environ.get("DTADMIN_ENV"):
    try:
        load_dotenv(env_file)
    except PermissionError:
        raise ImproperlyConfigured(_("%(file)s can't be read.") % {"file": env_file}) from None
    except UnicodeDecodeError:
        text = _("%(file)s is not written in UTF-8.")
        raise ImproperlyConfigured(text % {"file": env_file}) from None
    if not Path(env_file).is_file():
        text = _("DTADMIN_ENV names %(file)s, and there is no such file.")
        raise ImproperlyConfigured(text % {"file": env_file})


def env(name: str, default: str = "") -> str:
    """The variable, or the text of the file that NAME_FILE names: so containers get secrets.

    Raises ImproperlyConfigured.
    """
    file = os.environ.get(f"{name}_FILE", "").strip()
    if not file:
        return os.environ.get(name, default).strip()
    if os.environ.get(name, "").strip():
        text = _("Set either %(name)s or %(name)s_FILE, not both.")
        raise ImproperlyConfigured(text % {"name": name})
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError:
        raise ImproperlyConfigured(_("%(file)s can't be read.") % {"file": file}) from None
    except UnicodeDecodeError:
        text = _("%(file)s is not written in UTF-8.")
        raise ImproperlyConfigured(text % {"file": file}) from None


def env_flag(name: str) -> bool:
    value = env(name, "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no"}:
        raise ImproperlyConfigured(_("%(name)s must be 1 or 0.") % {"name": name})
    return value in {"1", "true", "yes"}


def env_number(name: str, default: int) -> int:
    value = env(name, str(default))
    if not value.isdecimal() or not int(value):
        raise ImproperlyConfigured(_("%(name)s must be a whole number above 0.") % {"name": name})
    return int(value)


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


VAR = Path(env("DTADMIN_VAR", str(BASE_DIR / "var")))
IN_CONTAINER = env_flag("DTADMIN_IN_CONTAINER")  # image/Containerfile sets it
DEBUG = env_flag("DEBUG")
