"""Loaded before the settings: the tests' embedded PostgreSQL is not the demo's."""

import os
from pathlib import Path

os.environ.setdefault("DTADMIN_VAR", str(Path(__file__).parent.parent / "var" / "test"))
