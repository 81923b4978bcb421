"""Writes the lists of papers that are generated from the code: `make papers`."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import django

from tests.databases import ROOT
from transfer.causes.catalogue import CATALOGUE

BLOCK = "<!-- {name}: made by `make papers` -->\n{table}<!-- end of {name} -->\n"


def refusals() -> Iterator[str]:
    """Yield the lines of the list of refusals, those with the same remedy as one."""
    remedies: dict[str, list[str]] = {}
    for code, cause in CATALOGUE.items():
        if cause.is_refusal:
            remedies.setdefault(cause.remedy, []).append(f"`{code}`")
    for remedy, codes in remedies.items():
        yield f"- {', '.join(codes)}: {remedy}"


def problems() -> Iterator[str]:
    """Yield the lines of the lists of problems, one for each severity, the worst first."""
    from transfer.problems.kinds import KINDS

    for severity in sorted({kind.severity for kind in KINDS.values()}):
        yield f"With the `severity` `{severity}`:"
        yield ""
        for code, kind in KINDS.items():
            if kind.severity == severity and kind.means:
                ends = f" It ends when {kind.ends_when}." if kind.ends_when else ""
                yield f"- `{code}`: {kind.means}{ends}"
        yield ""


TABLES: dict[tuple[Path, str], Callable[[], Iterator[str]]] = {
    (ROOT / "docs/EXACTLY-ONCE.md", "refusals"): refusals,
    (ROOT / "docs/WATCHING.md", "problems"): problems,
}


def with_tables(paper: Path) -> str:
    """Return the text of a paper with its tables as they should be."""
    text = paper.read_text()
    for (of, name), lines in TABLES.items():
        if of == paper:
            block = BLOCK.format(name=name, table="".join(f"{line}\n" for line in lines()))
            parts = re.split(rf"<!-- {name}: .*?<!-- end of {name} -->\n", text, flags=re.DOTALL)
            before, after = parts
            text = f"{before}{block}{after}"
    return text


if __name__ == "__main__":
    django.setup()
    for paper, _name in TABLES:
        paper.write_text(with_tables(paper))
