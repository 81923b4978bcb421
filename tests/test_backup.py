"""The steps of the pages "Backup, restore, upgrade" and "A new bonus server", as they are written
there, on real clusters.
"""

import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import pytest
from psycopg2.extensions import make_dsn

from tests.chaos.beginning import begin
from tests.chaos.installation import Installation
from tests.chaos.instance import BINARIES, Instance
from tests.chaos.warm import Warm
from tests.databases import ROOT, as_url, query, stage

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
DATABASES = {"own": "dtadmin", "shop_all": "shop_all", "bonus": "bonus_8"}
FOLDER = "/var/backups/dtadmin"
ADDRESS_OF_NINE = "postgresql://dtadmin@bonus-9/bonus_9"
ENABLED = """
    select count(*) from transfer_transfertask as task
      join transfer_bonusserver as server on server.id = server_id
     where enabled and name = 'Bonus server 9'
"""


def steps(section: str, paper: str = "backup.md") -> list[str]:
    """The command lines under a heading, which are the same in both languages."""
    of_languages = []
    for language in ("en", "ru"):
        text = (ROOT / "docs" / language / paper).read_text()
        part = text.split(f'<a id="{section}"></a>')[1].split("<a id=")[0]
        blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", part, re.DOTALL | re.MULTILINE)
        of_languages.append([line.strip() for _, block in blocks for line in block.splitlines()])
    assert of_languages[0] == of_languages[1] != []
    return of_languages[0]


class House:
    """An installation whose three databases lie in clusters of their own."""

    def __init__(self, home: Path) -> None:
        home.chmod(0o755)  # PostgreSQL does not run as root
        self.home = home
        self.instances = {name: Instance(home / name) for name in DATABASES}
        for name, instance in self.instances.items():
            begin(instance, name)
            if name != DATABASES[name]:
                query(instance.dsn(), f"alter database {name} rename to {DATABASES[name]}")
            query(instance.dsn(), "create database postgres")
        dsns = [self.instances[name].dsn(database) for name, database in DATABASES.items()]
        self.installation = Installation(*dsns)
        self.environment = self.installation.environment
        self.installation.move_in()
        query(self.dsn("own"), "create role dtadmin login")
        self.nightly = home / "nightly"
        self.nightly.mkdir()
        self.environment["BACKUP_FOLDER"] = str(self.nightly)
        self.environment["PATH"] = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
        for name, instance in self.instances.items():
            instance.stop()
            instance.copy_to(home / f"{name}.begin")
        self.product = Warm(self.environment, ROOT)

    def begin(self) -> None:
        for name, instance in self.instances.items():
            instance.restore(self.home / f"{name}.begin")
            instance.start()

    def crash(self) -> None:
        for instance in self.instances.values():
            instance.crash()

    @contextmanager
    def on_the_restored(self) -> Iterator[None]:
        """With the new database of our own in the env file, as a user who owns nothing else."""
        restored = make_dsn(self.instances["own"].dsn("dtadmin_restored"), user="dtadmin")
        before = self.product
        self.product = Warm({**self.environment, "DATABASE_URL": as_url(restored)}, ROOT)
        try:
            yield
        finally:
            self.product.close()
            self.product = before

    def dsn(self, name: str) -> str:
        return self.instances[name].dsn(DATABASES[name])

    def take(self, line: str, machine: str, *, may_fail: bool = False) -> str:
        """A step on the machine of one of the databases; returns what it printed."""
        for folder in (FOLDER, "/var/backups"):
            line = line.replace(folder, str(self.home))
        if line.startswith("dtadmin "):
            return self.command(*shlex.split(line)[1:], may_fail=may_fail)
        host = str(self.instances[machine].home)
        done = subprocess.run(
            ["bash", "-ec", line],
            env={**self.environment, "PGHOST": host, "PGUSER": "postgres"},
            cwd=ROOT,
            text=True,
            capture_output=True,
        )
        assert may_fail or done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def command(self, *arguments: str, may_fail: bool = False) -> str:
        done = self.product.do("command", arguments=arguments)
        assert done.result is not None, done.stderr
        said: str = done.result["said"] + done.result["cried"] + done.stderr
        assert may_fail or done.result["code"] == 0, f"{arguments}\n{said}"
        return said

    def copy_files(self, name: str) -> None:
        query(self.instances[name].dsn(), "checkpoint")
        rmtree(self.home / "copy", ignore_errors=True)
        self.instances[name].copy_to(self.home / "copy")

    def put_back_files(self, name: str) -> None:
        self.instances[name].restore(self.home / "copy")
        self.instances[name].start()

    def stage(self, *numbers: int, amount: int = 100) -> None:
        rows = [(f"41000{number:05}", amount, None, None, str(number)) for number in numbers]
        stage(self.dsn("shop_all"), "balances", rows)

    def transfer(self) -> None:
        self.take("dtadmin transfer all", "own")

    def arrived(self) -> Counter[str]:
        return Counter(
            comment for (comment,) in query(self.dsn("bonus"), "select comment from asset")
        )


@pytest.fixture(scope="module")
def built() -> Iterator[House]:
    with TemporaryDirectory(prefix="dt") as home:
        house = House(Path(home))
        yield house
        house.product.close()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    built.begin()
    yield built
    built.crash()


def once(*numbers: int) -> Counter[str]:
    return Counter(map(str, numbers))


def test_our_own_database_goes_back_and_every_row_is_there_once(house: House):
    house.stage(1, 2)
    house.stage(3, amount=0)
    house.transfer()
    house.take("dtadmin task on balances", "own")
    house.take("dtadmin task run cards", "own")
    *_of_the_package, backup = steps("own")  # what comes before it the package's trial does
    house.take(backup, "own")
    (made,) = house.nightly.iterdir()
    made.rename(house.home / "own.dump")

    house.stage(4)
    house.stage(5, amount=0)
    house.transfer()
    house.take("dtadmin task off balances", "own")
    corrected = {"kind": "balances", "number": "account", "values": {"amount": "7"}}
    resent = house.product.do("send_one_again", **corrected)
    assert resent.result is not None, resent.stderr
    (house.home / "file.csv").write_text("Счёт;Сумма;Комментарий\n4100000006;1,5;6\n")
    house.take(f"dtadmin load_staging balances {house.home}/file.csv", "own")
    house.transfer()
    house.stage(7)
    everything = once(1, 2, 3, 4, 6)
    assert house.arrived() == everything

    create, restore, *rest = steps("own-restore")
    house.take(create, "own")
    own = house.instances["own"].dsn("dtadmin_restored")
    queued = "select count(*) from transfer_transferrun where state = 'queued'"
    with house.on_the_restored():
        assert "1 files and single changes with 1 rows" in house.take(restore, "own")
        assert query(own, queued) == [(0,)]
        house.take("dtadmin run_due_tasks", "own")
        assert house.arrived() == everything  # nothing started by itself
        for line in rest:
            house.take(line, "own", may_fail=line == "dtadmin doctor")
    assert house.arrived() == everything + once(7)
    rejects = query(own, "select payload ->> 'comment', state from transfer_rejectedrow")
    assert sorted(rejects) == [("3", "resent"), ("5", "open")]
    assert query(own, "select count(*) from transfer_auditentry where action = 'restore'") == [(1,)]


def test_shop_all_is_restored_from_a_dump(house: House):
    house.stage(1, 2)
    house.transfer()
    house.stage(3)
    for line in steps("shop-all"):
        house.take(line, "shop_all")
    house.stage(4)
    house.transfer()
    house.stage(5)
    for line in steps("shop-all-dump"):
        house.take(line, "shop_all")
    house.stage(6)  # the fifth row is gone: no server had received it
    house.transfer()
    assert house.arrived() == once(1, 2, 3, 4, 6)
    house.take("dtadmin reconcile", "own")


def test_the_files_of_shop_all_are_restored(house: House):
    house.stage(1)
    house.transfer()
    house.copy_files("shop_all")
    house.stage(2)
    house.transfer()
    house.put_back_files("shop_all")
    for line in steps("shop-all-files"):
        house.take(line, "shop_all")
    house.stage(3)
    house.transfer()
    assert house.arrived() == once(1, 2, 3)
    house.take("dtadmin reconcile", "own")


def test_files_are_restored_in_which_a_row_waited(house: House):
    house.stage(1)
    house.transfer()
    house.stage(2)
    house.copy_files("shop_all")
    house.transfer()
    house.put_back_files("shop_all")
    assert "confirm_shop_all" in house.take("dtadmin transfer all", "own", may_fail=True)
    for line in steps("shop-all-files"):
        house.take(line, "shop_all")
    house.stage(3)
    house.transfer()
    assert house.arrived() == once(1, 2, 3)
    house.take("dtadmin reconcile", "own")


def test_a_bonus_server_is_restored_as_a_whole(house: House):
    house.stage(1)
    house.stage(2, amount=0)
    house.transfer()
    for line in steps("bonus"):
        house.take(line, "bonus")
    house.stage(3)
    house.stage(4, amount=0)
    house.transfer()
    for line in steps("bonus-whole"):
        house.take(line, "bonus")
    assert house.arrived() == once(1, 3)
    rejects = query(
        house.dsn("own"), "select payload ->> 'comment', state from transfer_rejectedrow"
    )
    assert sorted(rejects) == [("2", "open"), ("4", "open")]


def test_only_the_vendors_tables_are_restored(house: House):
    house.stage(1)
    house.transfer()
    query(house.dsn("bonus"), "create table kept as table asset")
    house.stage(2, 3)
    house.transfer()
    query(
        house.dsn("bonus"),
        "delete from asset; insert into asset overriding system value table kept",
    )
    drop, *rest = steps("bonus-tables")
    house.take(drop, "bonus")
    assert "no position" in house.take("dtadmin transfer balances", "own", may_fail=True)
    for line in rest:
        house.take(line, "bonus")
    house.stage(4)
    house.take("dtadmin transfer balances", "own")
    assert house.arrived() == once(1, 4)  # what was lost with the tables is entered there by hand


def test_an_upgrade_begins_with_a_backup_that_the_version_before_restores(house: House):
    house.stage(1)
    house.transfer()
    for line in steps("upgrade"):
        house.take(line, "own")
    house.stage(2)
    house.transfer()
    create, restore, *_rest = steps("own-restore")
    house.take(create, "own")
    with house.on_the_restored():
        house.take(restore.replace("own.dump", "before-upgrade.dump"), "own")
        house.transfer()
    assert house.arrived() == once(1, 2)


def test_a_new_bonus_server_is_made_of_a_dump_and_gets_each_row_once(house: House):
    house.stage(1, 2)
    house.transfer()
    dump, dock, rows = (steps(one, "new-server.md") for one in ("dump", "dock", "rows"))
    for line in dump:
        house.take(line, "bonus")
    house.stage(3)
    house.transfer()
    nine = house.instances["bonus"].dsn("bonus_9")
    for line in dock:
        said = house.take(line.replace(ADDRESS_OF_NINE, as_url(nine)), "own")
    assert "Bonus server 9" in said
    house.stage(4)
    for line in rows:
        house.take(line, "own")
    comments = [comment for (comment,) in query(nine, "select comment from asset order by 1")]
    assert comments == ["1", "2", "3", "4"]
    assert query(house.dsn("own"), ENABLED) == [(3,)]
