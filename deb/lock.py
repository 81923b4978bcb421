"""`make lock`: pins every dependency by its version and the hashes of its files.

Three lists, for each Python and machine in [tool.uv] of pyproject.toml: constraints.txt is what a
developer needs, requirements.txt what the product needs, constraints.build.txt what builds packages
that are published as source. Versions stay as they are where pyproject.toml permits that;
`make lock UPGRADE=1` takes the newest.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from deb import BUILD, CONSTRAINTS, PYTHONS, REQUIREMENTS, ROOT

HEADER = "# Made by `make lock`.\n"
# Removed: pip would apply it to the Python that builds the Debian package, not to the one that the
# package is for. So a package that only some Pythons need is installed for all of them.
MARKER = re.compile(r"(?<=\S) ;[^\\\n]*(?= \\)")
PIN = re.compile(r"^[\w.-]+==[^\s\\]+", re.MULTILINE)
COMPILE = (
    *("pip", "compile", "--quiet", "--universal", "--generate-hashes"),
    *("--python-version", min(PYTHONS.values()), "--no-emit-package", "pip"),
    *("--no-annotate", "--no-header"),
)


def main() -> None:
    upgrade = sys.argv[1:]  # --upgrade or nothing
    lock(CONSTRAINTS, ["--all-extras", "pyproject.toml", *upgrade])
    within = ["--constraint", str(CONSTRAINTS)]
    lock(REQUIREMENTS, ["--extra", "messengers", "pyproject.toml", *within])
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    lock(BUILD, ["-", *upgrade], "\n".join(build))


def lock(file: Path, options: list[str], requirements: str = "") -> None:
    """Writes the file; `requirements` is the standard input of uv."""
    uv = Path(sys.executable).with_name("uv")
    # uv prefers the versions that it finds in the file. It would keep its hashes, too.
    file.write_text("\n".join(PIN.findall(file.read_text())))
    subprocess.run(
        [uv, *COMPILE, "--output-file", file, *options],
        cwd=ROOT,
        input=requirements,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,  # it writes the file, and the same here
    )
    file.write_text(HEADER + MARKER.sub("", file.read_text()))


if __name__ == "__main__":
    main()
