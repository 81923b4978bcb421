"""The version of the product."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def version() -> str:
    """The version of the Debian package, which has a file VERSION, or of the checkout."""
    packaged = ROOT / "VERSION"
    if packaged.exists():
        return packaged.read_text().strip()
    import tomllib  # here, since each command imports this module and few ask for the version

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])
