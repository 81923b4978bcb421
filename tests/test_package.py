"""The Debian package holds what the product needs. `make deb-trial` installs it."""

import re
import tomllib
from configparser import ConfigParser

import pytest

from tests.databases import ROOT
from transfer.loading import spreadsheet

LINE = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


def pinned(path):
    return {
        name.lower().replace("_", "-"): version
        for name, version in LINE.findall((ROOT / path).read_text())
    }


def test_its_wheels_are_those_of_the_constraints_and_none_is_missing():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["messengers"]]
    names = {re.match(r"[\w.-]+", one)[0].lower() for one in needed}
    wheels = pinned("deb/requirements.txt")
    assert names - wheels.keys() == set()
    assert wheels.items() - pinned("constraints.txt").items() == set()


@pytest.mark.parametrize("service", ["web", "worker@"])
def test_a_service_may_take_more_memory_than_the_process_that_reads_a_workbook(service):
    """Else the kernel could end the service itself, where that process would have ended."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / f"deb/systemd/dtadmin-{service}.service")
    gigabytes = int(unit["Service"]["MemoryMax"].removesuffix("G"))
    assert gigabytes << 30 > spreadsheet.MEMORY
