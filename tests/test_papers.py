"""The papers name what there is."""

import re

import pytest

from tests.databases import ROOT

PAPERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "bonusserver/README.md"])
FOLDERS = ("bonusserver", "dtadmin", "static", "templates", "tests", "transfer")
FILE = re.compile(r"`([\w/]+\.(?:css|html|py|svg))")
LINK = re.compile(r"\]\(([^)#:]+)[^):]*\)")


def test_every_file_that_the_architecture_names_is_there():
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*"))
    files = [f"/{path}" for path in (*ROOT.glob("*.py"), *inside)]
    named = set(FILE.findall((ROOT / "docs/ARCHITECTURE.md").read_text()))
    assert len(named) > 40
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in files)] == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_every_link_leads_to_a_file(paper):
    links = LINK.findall(paper.read_text())
    assert [link for link in links if not (paper.parent / link).exists()] == []
