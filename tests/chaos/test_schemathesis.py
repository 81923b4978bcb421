"""Calls that schemathesis makes up from the description of the API, against the web server.

It looks for server errors, for answers that the description does not have, for wrong input that is
accepted and right input that is refused. CHAOS_SEED=… repeats a failure.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dtadmin.demo.processes import free_port
from tests.databases import ROOT
from tests.deployment import answers, deployed, running
from tests.http_api.conftest import a_key
from tests.records import a_run
from tests.waiting import wait_until
from transfer.models import ApiCall
from transfer.models.api_keys import MOST_A_MINUTE

PROGRAM = shutil.which("schemathesis", path=Path(sys.executable).parent)
SECONDS = int(os.environ.get("CHAOS_SECONDS", "60"))
SEED = os.environ.get("CHAOS_SEED", "4477")

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(SECONDS + 300),
    pytest.mark.skipif("CHAOS_SECONDS" not in os.environ, reason="takes minutes: see make chaos"),
    pytest.mark.skipif(not PROGRAM, reason="schemathesis is not installed: see make chaos"),
]


def test_no_call_that_the_description_allows_or_forbids_is_answered_wrongly(
    environment, receiver, shop_all
):
    a_run(receiver, "cards", applied=3)
    key = a_key(limit=MOST_A_MINUTE).secret
    port = free_port(0)
    with running(deployed(port), env=environment) as web:
        wait_until(lambda: answers(f"http://localhost:{port}/health/live") == 200, web)
        done = subprocess.run(
            [
                PROGRAM,
                f"--config-file={ROOT}/tests/http_api/schemathesis.toml",
                "run",
                f"http://localhost:{port}/api/v1/openapi.json",
                f"--max-time={SECONDS}",
                f"--seed={SEED}",
                "--no-color",
                "--warnings=off",
            ],
            env={**os.environ, "DTADMIN_API_KEY": key},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ApiCall.objects.count() > 10  # operations; it did reach them
