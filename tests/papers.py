"""The papers, and what a link can name in them."""

import re
from pathlib import Path

from tests.databases import ROOT

FOR_USERS = sorted(ROOT.glob("docs/??/*.md"))
PAPERS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *FOR_USERS,
        ROOT / "reference_bonus_server/README.md",
    ]
)
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def sections(paper: Path) -> set[str]:
    """What a link to the paper can name. Only GitHub has anchors of headings, our pages do not."""
    text = paper.read_text()
    named = set(ANCHOR.findall(text))
    if paper.resolve() in FOR_USERS:
        return named
    headings = (re.sub(r"[^\w -]", "", heading.lower()) for heading in HEADING.findall(text))
    return named | {heading.replace(" ", "-") for heading in headings}
