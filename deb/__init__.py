"""The Debian package: `make deb` builds one for each distribution that is named here."""

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
# Pins with hashes: see deb.lock.
REQUIREMENTS = HERE / "requirements.txt"
CONSTRAINTS = ROOT / "constraints.txt"
BUILD = ROOT / "constraints.build.txt"

# Its python3. Ubuntu 22.04 has 3.10: it would need a newer one from elsewhere.
PYTHONS = {"bookworm": "3.11", "noble": "3.12", "trixie": "3.13", "resolute": "3.14"}
# What Debian calls it, and what wheels do.
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC = (17, 28, 34, 35, 36)  # the oldest, that of bookworm, is 2.36


def for_python(version: str, machine: str) -> list[str]:
    """pip's options that choose the wheels of another Python than its own, on such a machine."""
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC]
    return ["--python-version", version, *platforms, f"--platform=manylinux2014_{machine}"]
