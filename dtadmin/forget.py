"""`make forget`: removes what the embedded PostgreSQL left on this machine.

Refuses while a process uses the cluster. Removes `var/`, the folder outside the clone, and the
system user once no other clone needs it. Uses the standard library only.
"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from dtadmin.embedded_as_root import CLONE, NAME, PARENTS, USER, outside
from dtadmin.translation import gettext as _

STOP_SECONDS = 20


def main() -> None:
    home = Path(os.environ.get("DTADMIN_VAR") or CLONE / "var")
    folders = [folder for folder in (home, outside(home)) if folder and folder.exists()]
    for folder in folders:
        if pids := [pid for pid in users(folder / "pg") if is_python(pid)]:
            text = _("The demo or another command is running (process %(pids)s). Stop it first.")
            sys.exit(text % {"pids": ", ".join(map(str, pids))})
    for folder in folders:
        stop(folder / "pg")
    removed = [str(folder) for folder in folders if remove(folder)]
    if os.geteuid() == 0 and remove_user():
        removed.append(_("the user %(user)s") % {"user": USER})
    if removed:
        say(_("Removed: %(what)s.") % {"what": ", ".join(removed)})
    else:
        say(_("There is nothing to remove."))


def say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201


def users(cluster: Path) -> list[int]:
    """The processes that the wheel has noted in the cluster."""
    try:
        return list(json.loads((cluster / ".handle_pids.json").read_text()))
    except (OSError, ValueError):
        return []


def is_python(pid: int) -> bool:
    try:
        return b"python" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def stop(cluster: Path) -> None:
    """Stops a server that killed processes have left running."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except (OSError, ValueError, IndexError):
        return
    if "postgres" not in command:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def remove(folder: Path) -> bool:
    try:
        shutil.rmtree(folder)
    except PermissionError as error:
        text = _("%(path)s belongs to another user. Run: sudo make forget")
        sys.exit(text % {"path": error.filename})
    with suppress(OSError):  # other clones have folders in it
        if folder.parent.name == NAME:
            folder.parent.rmdir()
    return True


def remove_user() -> bool:
    """Removes the system user unless it still has a cluster or a process; returns whether."""
    try:
        uid = pwd.getpwnam(USER).pw_uid
    except KeyError:
        return False
    if any((parent / NAME).exists() for parent in PARENTS) or has_process(uid):
        return False
    done = subprocess.run(["userdel", USER], capture_output=True, check=False)  # noqa: S603, S607
    return done.returncode == 0


def has_process(uid: int) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == uid:
                return True
    return False


if __name__ == "__main__":
    main()
