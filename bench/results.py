"""`bench/RESULTS.md`: a section for each part, replaced when the part is run again."""

import re
from pathlib import Path

FILE = Path(__file__).parent / "RESULTS.md"
HEAD = "# Results of `make bench`\n\n[README.md](README.md) explains each table.\n"


def with_section(text: str, title: str, body: str, order: list[str]) -> str:
    """`text` with the section `title` added or replaced; sections keep this order."""
    sections = dict(re.findall(r"^## (.+)\n\n((?:(?!^## ).*\n?)*)", text, re.MULTILINE))
    sections[title] = body
    places = {name: number for number, name in enumerate(order)}
    known = sorted(places.keys() & sections.keys(), key=lambda name: places[name])
    return HEAD + "".join(f"\n## {name}\n\n{sections[name].strip()}\n" for name in known)


def save(title: str, body: str, order: list[str]) -> None:
    before = FILE.read_text() if FILE.exists() else ""
    FILE.write_text(with_section(before, title, body, order))
