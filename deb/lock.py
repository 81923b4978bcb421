"""`python -m deb.lock`: writes requirements.txt, every package of the .deb with its hashes.

Resolved within constraints.txt for the Python of each distribution and for each kind of machine;
to be run again when that file changes.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path

from deb import HERE, MACHINES, PYTHONS, REQUIREMENTS, ROOT, for_python

# Published as source alone, so that no wheel of it can be asked for.
SOURCE_ONLY = "django-crontab"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["messengers"]]
    wheels = [one for one in wanted if not one.startswith(SOURCE_ONLY)]
    hashes: dict[str, set[str]] = defaultdict(set)
    versions: dict[str, set[str]] = defaultdict(set)
    reports = [reported([SOURCE_ONLY, "--no-deps"])]
    reports += [
        reported([*wheels, "--only-binary=:all:", *for_python(python, machine)])
        for python in PYTHONS.values()
        for machine in MACHINES.values()
    ]
    for package in (one for report in reports for one in report):
        metadata = package["metadata"]
        name = f"{metadata['name'].lower()}=={metadata['version']}"
        versions[metadata["name"].lower()].add(metadata["version"])
        hashes[name].add(package["download_info"]["archive_info"]["hashes"]["sha256"])
    if several := [name for name, found in versions.items() if len(found) > 1]:
        sys.exit(f"Not one version for every Python: {', '.join(several)}. Is it in constraints?")
    lines = [
        " \\\n    ".join([name, *(f"--hash=sha256:{one}" for one in sorted(hashes[name]))])
        for name in sorted(hashes)
    ]
    REQUIREMENTS.write_text("\n".join([f"# By python -m {HERE.name}.lock", *lines, ""]))


def reported(requirements: list[str]) -> list[dict]:
    """What pip would install, as its report says it."""
    with tempfile.TemporaryDirectory() as nowhere:
        report = Path(nowhere) / "report.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
                *("--ignore-installed", "--target", nowhere, "--report", str(report)),
                *("--constraint", str(ROOT / "constraints.txt"), *requirements),
            ],
            check=True,
        )
        return json.loads(report.read_text())["install"]


if __name__ == "__main__":
    main()
