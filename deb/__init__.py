"""The Debian package: `make deb` builds one for each distribution that is named here."""

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
REQUIREMENTS = HERE / "requirements.txt"

# Its python3. Ubuntu 22.04 has 3.10: it would need a newer one from elsewhere.
PYTHONS = {"bookworm": "3.11", "noble": "3.12", "trixie": "3.13"}
GLIBC = (17, 28, 34, 35, 36)  # the oldest, that of bookworm, is 2.36


def for_python(version: str) -> list[str]:
    """pip's options that choose the wheels of another Python than its own."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC]
    return ["--python-version", version, *platforms, "--platform=manylinux2014_x86_64"]
