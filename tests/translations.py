"""`python -m tests.translations`: every text of the interface is in Russian, and compiled.

Fails when a text of the code is not in the catalogue, when a translation is missing, fuzzy or has
other placeholders than its text, and when the compiled catalogue is not that of the source.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import polib

ROOT = Path(__file__).parent.parent
CATALOGUE = ROOT / "transfer" / "locale" / "ru" / "LC_MESSAGES" / "django.po"
SOURCES = ("transfer", "dtadmin", "templates")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]")

Key = tuple[str | None, str, str]


def key(entry: polib.POEntry) -> Key:
    return entry.msgctxt, entry.msgid, entry.msgid_plural


def extracted() -> set[Key]:
    """The texts of the code, as makemessages finds them in a copy of it."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SOURCES:
            subprocess.run(["cp", "-r", str(ROOT / name), folder], check=True)
        copy = Path(folder) / "transfer" / "locale" / "ru" / "LC_MESSAGES" / "django.po"
        copy.unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, "-m", "django", "makemessages", "--locale=ru", "--verbosity=0"],
            cwd=Path(folder) / "transfer" / "..",
            env={
                **os.environ,
                "PYTHONPATH": folder,
                "DATABASE_URL": "postgresql:///lint",
                "SHOP_ALL_DATABASE_URL": "postgresql:///lint",
                "SECRET_KEY": "lint",
                "DJANGO_SETTINGS_MODULE": "dtadmin.settings",
            },
            check=True,
        )
        return {key(entry) for entry in polib.pofile(str(copy))}


def problems(entry: polib.POEntry) -> list[str]:
    translations = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
    if entry.fuzzy:
        return ["fuzzy"]
    if not all(translations) or (entry.msgid_plural and len(translations) != 3):
        return ["not translated"]
    wanted = set(PLACEHOLDER.findall(entry.msgid_plural or entry.msgid))
    return [
        f"placeholders differ: {text}"
        for text in translations
        if set(PLACEHOLDER.findall(text)) - wanted
        or (not entry.msgid_plural and set(PLACEHOLDER.findall(text)) != wanted)
    ]


def main() -> int:
    catalogue = polib.pofile(str(CATALOGUE))
    known = {key(entry) for entry in catalogue if not entry.obsolete}
    used = extracted()
    complaints = [f"not in the catalogue: {text!r}" for _, text, _ in used - known]
    complaints += [f"no longer used: {text!r}" for _, text, _ in known - used]
    complaints += [
        f"{problem}: {entry.msgid!r}"
        for entry in catalogue
        if not entry.obsolete
        for problem in problems(entry)
    ]
    compiled = polib.mofile(str(CATALOGUE.with_suffix(".mo")))
    if {key(e): (e.msgstr, e.msgstr_plural) for e in compiled} != {
        key(e): (e.msgstr, e.msgstr_plural) for e in catalogue.translated_entries()
    }:
        complaints.append("the compiled catalogue is out of step: run make messages")
    sys.stdout.writelines(f"{complaint}\n" for complaint in sorted(complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
