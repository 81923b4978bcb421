"""What is installed: the version, and the tables of the file of DTADMIN_TABLES or our own.

The tables of one bonus server: `BonusServer.kinds`.
"""

from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from transfer.engine import mapping_file
from transfer.engine.kind import Kind

ROOT = Path(__file__).resolve().parent.parent


def version() -> str:
    """Return the version of the Debian package, which has a file VERSION, or of the checkout."""
    packaged = ROOT / "VERSION"
    if packaged.exists():
        return packaged.read_text().strip()
    import tomllib  # here, since each command imports this module and few ask for the version

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def file_of_tables() -> str:
    """Return the path of the file of DTADMIN_TABLES; empty without one."""
    return str(settings.DTADMIN_TABLES)


def installed_tables() -> mapping_file.Tables:
    """Return what the file says, read once by each process. Raises ImproperlyConfigured."""
    return _read(file_of_tables())


def installed_kinds() -> dict[str, Kind]:
    """Return name → kind with the tables of shop All. Raises ImproperlyConfigured."""
    return _kinds(file_of_tables())


@lru_cache
def _read(path: str) -> mapping_file.Tables:
    if not path:
        return mapping_file.Tables()
    try:
        return mapping_file.read(path)
    except mapping_file.TablesRefused as refused:
        raise ImproperlyConfigured(refused.translated(_)) from None


@lru_cache
def _kinds(path: str) -> dict[str, Kind]:
    return dict(_read(path).shop_all)
