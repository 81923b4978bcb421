"""`python -m deb.next_version FOLDER`: a copy of this tree that is the next version of the product.

Its version number is higher by one, and it has a migration more. The trials upgrade to it.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from deb import ROOT

MODEL = "transfer/models/heartbeat.py"
AFTER = "    at = models.DateTimeField()\n"
FIELD = 'models.CharField(max_length=20, db_default="next")'
MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("transfer", "{last}")]
    operations = [migrations.AddField("heartbeat", "{field}", {definition})]
"""
NUMBER = re.compile(r'^version = "(\d+)\.(\d+)\.(\d+)"$', re.MULTILINE)
AUTHOR = ("-c", "user.name=Trial", "-c", "user.email=trial@example.org")


def make_next_version(folder: Path) -> None:
    """Copies the files that git knows into the folder, and makes the next version of them.

    Commits it there, since a package has its files and its date from git. Raises
    subprocess.CalledProcessError where this tree is no checkout.
    """
    for name in _git(ROOT, "ls-files", "-z").split("\0"):
        if name and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    project = folder / "pyproject.toml"
    project.write_text(NUMBER.sub(_raised, project.read_text(), count=1))
    _add_migration(folder)
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all", "--force")
    _git(folder, *AUTHOR, "commit", "--quiet", "--message=the next version")


def _raised(version: re.Match[str]) -> str:
    major, minor, patch = version.groups()
    return f'version = "{major}.{minor}.{int(patch) + 1}"'


def _add_migration(folder: Path) -> None:
    """Adds a column to our tables, as docs/ARCHITECTURE.md wants it: workers of this version, which
    do not know it, run beside those of the next one.
    """
    migrations = folder / "transfer/migrations"
    last = max(migrations.glob("0*.py")).stem
    number = int(last[:4]) + 1
    field = f"of_migration_{number}"
    made = MIGRATION.format(last=last, field=field, definition=FIELD)
    (migrations / f"{number:04}_{field}.py").write_text(made.lstrip())
    model = folder / MODEL
    before, after, rest = model.read_text().partition(AFTER)
    if not after:
        raise ValueError(f"{MODEL} has no line {AFTER.strip()!r}")
    model.write_text(f"{before}{after}    {field} = {FIELD}\n{rest}")


def _git(folder: Path, *arguments: str) -> str:
    """Also of a checkout that somebody else owns."""
    command = ["git", "-c", f"safe.directory={folder}", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    make_next_version(Path(sys.argv[1]))
