"""What is measured runs on the server that `bench.ground.server` starts, and on no other."""

import os
import subprocess
import sys
from pathlib import Path

from tests.databases import ROOT

PROGRAM = """
import os, pkgutil
from importlib import import_module
import bench
for module in pkgutil.iter_modules(bench.__path__):
    import_module(f"bench.{module.name}")
print(os.environ.get("DATABASE_URL"))
"""
OF_TESTS = ("DATABASE_URL", "SHOP_ALL_DATABASE_URL", "SHARED_BY_WORKERS", "OF_TESTS_ALONE")


def test_to_import_the_bench_starts_no_server(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if name not in OF_TESTS}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**environment, "DTADMIN_VAR": str(tmp_path / "var")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None\n"
    assert list(tmp_path.iterdir()) == []
