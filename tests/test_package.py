"""The Debian package holds what the product needs. `make deb-trial` installs it."""

import gzip
import json
import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from datetime import UTC, datetime
from importlib.metadata import metadata, version
from ipaddress import ip_address, ip_network

import pytest
import yaml
from django.core.management import get_commands
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deb import sbom
from tests.databases import ROOT
from transfer.loading import spreadsheet

PIN = re.compile(r"^([\w.-]+)==(\S+)(.*)", re.MULTILINE)
HASHES = re.compile(r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned(path):
    """Name → version."""
    return {
        canonicalize_name(name): version
        for name, version, _rest in PIN.findall((ROOT / path).read_text())
    }


def requirements(*extras):
    project = PROJECT["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(one for extra in extras for one in optional[extra])]


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("constraints.txt", requirements(*PROJECT["project"]["optional-dependencies"])),
        ("constraints.build.txt", PROJECT["build-system"]["requires"]),
        ("deb/requirements.txt", requirements("messengers")),
    ],
)
def test_every_package_is_pinned_by_version_and_hashes_and_to_no_index(path, needed):
    text = (ROOT / path).read_text()
    assert "/" not in text  # neither an address nor a folder
    pins = pinned(path)
    for one in map(Requirement, needed):
        assert pins[canonicalize_name(one.name)] in one.specifier
    comment, *lines = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert comment.startswith("#")
    assert [one for one in lines if not HASHES.fullmatch(PIN.sub(r"\3", one))] == []
    assert len(lines) == len(pins)


def test_its_wheels_are_those_that_developers_have():
    assert pinned("deb/requirements.txt").items() <= pinned("constraints.txt").items()


def test_each_installation_of_packages_requires_hashes_but_for_our_own_folder():
    goals = ["install", "bench", "chaos", "deb", "lock"]
    made = subprocess.run(
        ["make", "--dry-run", "--always-make", *goals],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = made.stdout.replace("\\\n", " ").splitlines()
    installs = [line.split(" pip install ")[1].split() for line in lines if " pip install " in line]
    *packages, ours = installs
    assert len(packages) == 2
    for words in packages:
        assert "--require-hashes" in words
    assert {"--no-deps", "--no-build-isolation", "."} <= {*ours}  # nothing else is fetched


@pytest.mark.parametrize("service", ["web", "worker@"])
def test_a_service_may_take_more_memory_than_the_process_that_reads_a_workbook(service):
    """Else the kernel could end the service itself, where that process would have ended."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / f"deb/systemd/dtadmin-{service}.service")
    gigabytes = int(unit["Service"]["MemoryMax"].removesuffix("G"))
    assert gigabytes << 30 > spreadsheet.MEMORY


def test_the_bill_of_an_image_has_the_wheels_of_the_package_and_the_packages_of_debian():
    made = datetime(2026, 1, 2, tzinfo=UTC)
    wheels = [a_wheel("pytest"), a_wheel("Django")]
    lines = ["libssl3t64\t3.5.4-1\tamd64\topenssl"]
    package = sbom.written("1.0", sbom.ComponentType.APPLICATION, wheels, made)
    image = sbom.of_image(package, lines, "debian-13")
    assert sbom.of_image(package, lines, "debian-13") == image
    bill = json.loads(image)
    assert (bill["metadata"]["component"]["type"], bill["bomFormat"]) == ("container", "CycloneDX")
    found = {one["purl"]: one for one in bill["components"]}
    assert found.keys() == {
        f"pkg:pypi/django@{version('django')}",
        f"pkg:pypi/pytest@{version('pytest')}",
        "pkg:deb/debian/libssl3t64@3.5.4-1?arch=amd64&distro=debian-13&upstream=openssl",
    }
    django = found[f"pkg:pypi/django@{version('django')}"]
    assert django["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    assert django["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]


def a_wheel(name):
    """As pip's report has it; what it says of itself is that of the one which is installed."""
    installed = {"download_info": {"archive_info": {"hashes": {"sha256": "0" * 64}}}}
    return sbom.wheel(installed, metadata(name))


def test_the_bill_names_openssl_in_a_wheel_which_debian_does_not_update(tmp_path):
    (tmp_path / "libcrypto-fb8d5b21.so.3").write_bytes(b"\0OpenSSL 3.5.4 30 Sep 2025\0")
    (tmp_path / "libother.so").write_bytes(b"\0no such text\0")
    (found,) = sbom.bundled(tmp_path)
    assert (found.name, found.version) == ("openssl", "3.5.4")


def compose():
    """The compose file, with the values that it has where .env says nothing."""
    text = (ROOT / "image/compose.yaml").read_text()
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))


@pytest.mark.parametrize("service", ["init", "web", "scheduler", "worker"])
def test_a_container_is_of_an_image_by_digest_and_has_a_tmp_with_a_size(service):
    made = compose()["services"][service]
    assert re.fullmatch(r"\$\{DTADMIN_IMAGE:\?[^}]+\}", made["image"])  # no tag stands in for it
    (tmp,) = made["tmpfs"]
    assert re.fullmatch(r"/tmp:size=\d+[mg](,\w+=\w+)*", tmp)
    base = re.search(r"^ARG BASE=(.+)$", (ROOT / "image/Containerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"[\w./-]+:[\w-]+@sha256:[0-9a-f]{64}", base[1])


@pytest.mark.parametrize("service", ["init", "web", "scheduler", "worker"])
def test_a_container_gets_its_secrets_as_files(service):
    file = compose()
    made = file["services"][service]
    given = {name: text for name, text in made["environment"].items() if name.endswith("_FILE")}
    assert given == {
        f"{name.upper()}_FILE": f"/run/secrets/{name}"
        for name in ("secret_key", "database_url", "shop_all_database_url")
    }
    assert {path.rpartition("/")[2] for path in given.values()} == {*made["secrets"]}
    assert made["secrets"] == [*file["secrets"]]
    example = (ROOT / "image/dtadmin.env.example").read_text()
    assert re.findall(r"^(?:SECRET_KEY|DATABASE_URL|SHOP_ALL_DATABASE_URL)=", example, re.M) == []


def test_containers_believe_the_gateway_of_their_own_network_alone():
    file = compose()
    (network,) = file["networks"]["default"]["ipam"]["config"]
    gateway = ip_address(network["gateway"])
    assert gateway in ip_network(network["subnet"])
    web = file["services"]["web"]
    assert web["environment"]["BEHIND_PROXY"] == str(gateway)
    assert all(port.startswith("127.0.0.1:") for port in web["ports"])
    assert "BEHIND_PROXY" not in (ROOT / "image/dtadmin.env.example").read_text()


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    """The folder with the manual pages and the completion."""
    folder = tmp_path_factory.mktemp("manual")
    subprocess.run([sys.executable, "-m", "deb.manual", folder], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_manual_page_has_each_command_and_its_options(manual, language):
    page = gzip.decompress((manual / f"dtadmin.{language}.1.gz").read_bytes()).decode()
    sections = re.findall(r"^\.SS dtadmin (\w+)", page, re.MULTILINE)
    ours = {name for name, app in get_commands().items() if app == "transfer"}
    assert set(sections) == ours
    assert r"\-\-existing\-rows" in page
    assert "manage.py" not in page


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dtadmin rec", ["reconcile"]),
        ("dtadmin task p", ["pause"]),
        ("dtadmin task pause pin", ["pincodes"]),
        ("dtadmin transfer balances --d", ["--dry-run"]),
        ("dtadmin restore /var/ba", []),  # then bash offers files
    ],
)
def test_tab_completes_commands_and_options(manual, typed, offered):
    script = f"""
        . {manual}/dtadmin.bash
        COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _dtadmin; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered
