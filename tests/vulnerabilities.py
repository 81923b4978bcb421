"""Part of `make lint`: the packages of constraints.txt of which a weakness is known.

Where nobody can be asked, that is said, and is no failure.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

ASK = (
    *("-m", "pip_audit", "--requirement", "constraints.txt", "--no-deps", "--disable-pip"),
    *("--format", "json", "--progress-spinner", "off", "--timeout", "10"),
)


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")


def main() -> int:
    asked = subprocess.run(
        [sys.executable, *ASK], cwd=ROOT, capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        say("pip-audit: nobody could be asked:", asked.stderr.strip().splitlines()[-1])
        return 0
    known = [package for package in packages if "vulns" in package]
    if len(known) < len(packages):
        say(f"pip-audit: {len(packages) - len(known)} of {len(packages)} could not be asked for")
    for package in known:
        for weakness in package["vulns"]:
            fixed = ", ".join(weakness["fix_versions"]) or "nowhere yet"
            say(f"{package['name']} {package['version']}: {weakness['id']}, mended in {fixed}")
    return int(any(package["vulns"] for package in known))


if __name__ == "__main__":
    sys.exit(main())
