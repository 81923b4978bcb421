"""The commands of the README, as they are written there but for addresses, ports and secrets."""

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.databases import ROOT
from tests.reference_bonus_server.conftest import account

BLOCK = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
ADDRESS = "10.0.0.8"  # of the bonus server in the README


def block(beginning):
    """The lines of the block that begins so, for a server on this machine."""
    blocks = BLOCK.findall((ROOT / "reference_bonus_server/README.md").read_text())
    (found,) = [one for one in blocks if one.startswith(beginning)]
    return found.replace(ADDRESS, "127.0.0.1")


@contextmanager
def shell(lines, folder, **variables):
    """Runs them until the block ends; gives what they print, line by line."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-euc", lines],
        cwd=folder,
        env={"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process.stdout
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_the_lines_start_a_server_over_tls_and_a_register_that_trusts_its_authority(
    database_url, db, tmp_path
):
    db.card("1001", "41", 0)
    start = block("export BONUSSERVER_DATABASE_URL").replace(
        "postgresql://user:password@host/bonus", f"'{database_url}'"
    )
    *prepare, serve = start.splitlines()
    secured = block("openssl req")
    assert secured.splitlines()[-1] == serve
    secured = secured.replace(" serve ", " serve --admin-port 0 --work-port 0 ")
    lines = "\n".join([*prepare, 'echo "token $BONUSSERVER_TOKEN"', secured])
    with shell(lines, tmp_path) as said:
        found = {}
        while "work" not in found:
            name, _, found[name] = next(said).strip().partition(" ")
        admin_port, port = (urlsplit(found[name]).port for name in ("admin", "work"))
        with httpx2.Client(
            base_url=f"https://127.0.0.1:{admin_port}",
            headers={"Authorization": f"Bearer {found['token']}"},
            verify=ssl.create_default_context(cafile=tmp_path / "ca.pem"),
            trust_env=False,
        ) as admin:
            made = account(admin)
        visits = block("BONUSSERVER_REGISTER_SECRET=").replace(":7771", f":{port}")
        visits = visits.replace("…", made["secret"]).replace("rk7m2wq9h4tx", made["login"])
        with shell(visits, tmp_path) as visited:
            assert "card 1001: EARN_ONLY, balance 0.00; accrue 5.00" in visited.readline()
    assert db.run("select account, amount from asset") == [("41", Decimal(5))]
