"""A fresh cluster, made once and copied for each test."""

import fcntl
import os
from functools import cache
from pathlib import Path

from tests.chaos.installation import DATABASES, Installation
from tests.chaos.instance import Instance
from tests.databases import query


@cache
def made() -> Path:
    """Its data directory: an installation and a docked bonus server, in a database each.

    The first worker of the tests that needs it makes it for all.
    """
    home = Path(os.environ["SHARED_BY_WORKERS"]) / "beginning"
    with open(f"{home}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            instance = Instance(home.with_suffix(".part"))  # which nobody copies if this fails
            try:
                instance.create(*DATABASES)
                Installation(*map(instance.dsn, DATABASES)).set_up()
            finally:
                instance.stop()
            instance.home.rename(home)
    return home / "data"


def begin(instance: Instance, *names: str) -> None:
    """Starts the cluster as a copy, with these of the databases."""
    instance.restore(made())
    instance.start()
    for name in DATABASES:
        if name not in names:
            query(instance.dsn(), f"drop database {name}")
