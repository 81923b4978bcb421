"""The Debian package holds what the product needs. `make deb-trial` installs it."""

import re
import tomllib

from tests.databases import ROOT

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
