"""The lines of the paper about the API, run as they are against the web server."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dtadmin.demo.processes import free_port
from tests.certificates import certificate
from tests.databases import ROOT
from tests.deployment import deployed, running
from tests.http_api.conftest import a_key
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed"),
]


HOSTS = {"en": "dt.example.com", "ru": "dt.example.ru"}


@pytest.fixture(params=["en", pytest.param("ru", marks=pytest.mark.long)])
def language(request):
    return request.param


@pytest.fixture
def secured(tmp_path, environment, language):
    """The web server over TLS, under the name that the paper has; its port, and its process."""
    authority, _context = certificate(tmp_path, host=HOSTS[language])
    (tmp_path / "authority.pem").write_text(authority)
    port = free_port(0)
    command = [
        *deployed(port),
        f"--certfile={tmp_path}/c.pem",
        f"--keyfile={tmp_path}/c.key",
    ]
    with running(command, env=environment | {"ALLOWED_HOSTS": HOSTS[language]}) as web:
        yield port, web


@pytest.fixture
def curl(tmp_path, secured, language):
    """Runs lines of a shell; curl finds the server that the paper names on this machine."""
    port, web = secured
    settings = [
        f"connect-to = {HOSTS[language]}:443:127.0.0.1:{port}",
        f'cacert = "{tmp_path}/authority.pem"',
        "silent",
    ]
    (tmp_path / ".curlrc").write_text("\n".join(settings))

    def curl(lines: str, key: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", lines],
            env={**os.environ, "CURL_HOME": str(tmp_path), "KEY": key},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    ready = f"curl https://{HOSTS[language]}/health/live || true"
    wait_until(lambda: "ok" in curl(ready, ""), web)
    return curl


def lines_of(paper: Path) -> list[str]:
    return re.findall(r"```sh\n(.*?curl .*?)```", paper.read_text(), re.DOTALL)


def test_the_lines_of_the_paper_load_a_row(curl, shop_all, staged, language):
    (lines,) = lines_of(ROOT / f"docs/{language}/api.md")
    key = a_key("load_balances", "read").secret
    answer = json.loads(curl(lines, key))
    assert (answer["kind"], answer["rows"]) == ("balances", 1)
    ((account, amount, *_rest),) = staged("balances")
    assert (account, str(amount)) == ("4100000011", "250.00")
    address = f"https://{HOSTS[language]}/api/v1/loads/{answer['id']}"
    asked = f'curl -H "Authorization: Bearer $KEY" {address}'
    assert json.loads(curl(asked, key))["state"] == "loaded"
