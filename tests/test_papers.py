"""The papers name what there is."""

import re
from argparse import _SubParsersAction
from itertools import chain

import pytest
from django.core.management import get_commands, load_command_class

from tests.databases import ROOT
from tests.papers import FOR_USERS, PAPERS, sections
from tests.tables_of_papers import TABLES, with_tables
from transfer.causes.catalogue import REFUSALS

FOLDERS = ("reference_bonus_server", "dtadmin", "static", "templates", "tests", "transfer")
FILE = re.compile(r"`([\w/]+\.(?:css|html|py|svg))")
LINK = re.compile(r"\]\(([^)#:]+)[^):]*\)")
SECTION = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")
COMMAND = re.compile(r"(?<!=)(?:dtadmin|manage\.py) ([a-z_]+)([^`\n]*)")
SETTING = re.compile(r"[A-Z_]+=")
# Paper → what runs the commands of its sections.
RUN_BY = {
    "PACKAGE": {"deb/trial.inside": ["apt"]},
    "api": {"tests/http_api/test_paper.py": ["load"]},
    "backup": {
        "deb/trial.inside": ["own"],
        "tests/test_backup.py": [
            *("own-restore", "shop-all", "shop-all-dump", "shop-all-files"),
            *("bonus", "bonus-whole", "bonus-tables", "upgrade"),
        ],
    },
    "installation": {
        "deb/trial.machines": ["package", "machines-first", "machines-second"],
        "deb/trial.inside": ["web"],
        "image/trial": ["containers"],
    },
    "new-server": {"tests/test_backup.py": ["dump", "dock", "rows"]},
    "red": {"deb/trial.inside": ["doctor"]},
}
VARIABLE = re.compile(r"`([A-Z][A-Z_]{3,})(?:=[^`]*)?`")


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


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_every_section_that_is_linked_to_is_there(paper):
    links = SECTION.findall(paper.read_text())
    targets = [(paper.parent / (file or paper.name), section) for file, section in links]
    assert [link for link in targets if link[1] not in sections(link[0])] == []


@pytest.mark.parametrize(
    "paper",
    [ROOT / "README.md", ROOT / "docs/OPERATION.md", ROOT / "docs/EXACTLY-ONCE.md", *FOR_USERS],
    ids=lambda paper: str(paper.relative_to(ROOT)),
)
def test_every_command_option_and_variable_that_is_named_is_there(paper):
    text = paper.read_text()
    commands = get_commands()
    for name, rest in COMMAND.findall(text):
        assert name in commands, name
        parser = load_command_class(commands[name], name).create_parser("dtadmin", name)
        if actions := [one for one in parser._actions if isinstance(one, _SubParsersAction)]:
            action, _, rest = rest.strip().partition(" ")
            named = re.split(r"\\?\|", action) if action else []
            assert set(named) <= actions[0].choices.keys(), (name, action)
            parser = actions[0].choices[named[0]] if named else parser
        options = {one for action in parser._actions for one in action.option_strings}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, (name, rest)
    settings = "".join(one.read_text() for one in (ROOT / "dtadmin").glob("**/*.py"))
    known = {*re.findall(r'"([A-Z_]+)"', settings), "COMMAND", "KIND", "SERVER", "TASK", "RUN"}
    known |= {*re.findall(r"\$\{([A-Z_]+)", (ROOT / "image/compose.yaml").read_text())}
    known |= {"HTTPS_PROXY", "REQUESTS_CA_BUNDLE"}  # of the library that Apprise sends with
    variables = {one.removesuffix("_FILE") for one in VARIABLE.findall(text)}
    assert variables <= {*known, "NAME"}  # NAME_FILE: any of them


@pytest.mark.parametrize(
    "paper", [ROOT / "docs/PACKAGE.md", *FOR_USERS], ids=lambda paper: str(paper.relative_to(ROOT))
)
def test_the_commands_of_each_section_are_run_by_a_test_or_a_trial(paper):
    with_commands = set()
    for part in paper.read_text().split('<a id="')[1:]:
        lines = "".join(re.findall(r"^ *```sh\n(.*?)^ *```", part, re.DOTALL | re.MULTILINE))
        if any(not SETTING.match(line) for line in lines.splitlines()):
            with_commands.add(part.partition('"')[0])
    run = RUN_BY.get(paper.stem, {})
    assert with_commands == set(chain.from_iterable(run.values()))
    for file, named in run.items():
        assert [one for one in named if one not in (ROOT / file).read_text()] == []


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_images_trial_runs_the_commands_of_the_paper_on_containers(language):
    text = (ROOT / f"docs/{language}/installation.md").read_text()
    section = text.partition('<a id="containers"></a>')[2].partition("<a id=")[0]
    inline = r"`([^`\n]*(?:docker compose|chown) [^`\n]+)`"
    commands = re.findall(inline + "|^(docker .+)", section, re.MULTILINE)
    run = re.findall(r'by_the_paper "(.+?)"', (ROOT / "image/trial").read_text())
    assert {inline or line for inline, line in commands} == set(run)


@pytest.mark.parametrize("paper", [paper for paper, _name in TABLES], ids=lambda one: one.stem)
def test_the_tables_that_are_made_from_the_code_are_as_it_says(paper):
    """If not: make papers."""
    assert paper.read_text() == with_tables(paper)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_each_refusal_has_a_section_of_what_to_do(language):
    assert REFUSALS - sections(ROOT / f"docs/{language}/red.md") == set()
