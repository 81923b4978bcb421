"""django-crontab with a real crontab, and a real cron that moves rows with nobody's help."""

import os
import re
import shutil
import subprocess
import sys

import psutil
import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg2.extensions import make_dsn

from tests.databases import ROOT, as_url, query, stage
from tests.waiting import wait_until
from transfer.management.commands.crontab import unknown_to_cron
from transfer.models import TransferRun, TransferTask

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

needs_cron = pytest.mark.skipif(
    shutil.which("cron", path="/usr/sbin") is None or os.geteuid() != 0,
    reason="Debian's cron is not installed, or the tests don't run as root",
)


@pytest.fixture
def env_file(tmp_path, shop_all, transactional_db):
    """What an installation writes down for cron."""
    own = connection.settings_dict
    dsn = make_dsn(
        host=own["HOST"], dbname=own["NAME"], user=own["USER"], password=own["PASSWORD"] or None
    )
    file = tmp_path / "dtadmin.env"
    file.write_text(
        f"DATABASE_URL='{as_url(dsn)}'\nSHOP_ALL_DATABASE_URL='{as_url(shop_all)}'\n"
        f"SECRET_KEY='{django_settings.SECRET_KEY}'\n"
    )
    return file


def manage(*arguments, env, cwd="/"):
    """As an administrator types it, wherever they stand."""
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def started_with(env_file):
    """The processes that cron has started with the file: the shell, and what it runs."""
    return [
        one
        for one in psutil.process_iter(["cmdline", "environ"])
        if any(f"DTADMIN_ENV={env_file}" in word for word in one.info["cmdline"] or [])
        or (one.info["environ"] or {}).get("DTADMIN_ENV") == str(env_file)
    ]


def test_the_line_names_all_that_cron_does_not_give(crontab, env_file):
    added = manage("crontab", "add", env={"DTADMIN_ENV": str(env_file)})
    assert added.returncode == 0, added.stderr
    (line,) = crontab().splitlines()
    assert line.startswith(f"* * * * * DTADMIN_ENV={env_file} {sys.executable} {ROOT}/manage.py")
    command = re.sub(r"^(\S+ ){5}", "", line).partition("#")[0]
    ran = subprocess.run(  # as cron runs it
        ["/bin/sh", "-c", command],
        env={"HOME": "/", "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_adding_again_keeps_one_line_and_what_others_wrote(crontab, env_file):
    others = "MAILTO=admin\n5 4 * * 0 /usr/bin/backup  # weekly\n"
    subprocess.run(["crontab", "-"], input=others, text=True, check=True)
    for _ in range(2):
        assert manage("crontab", "add", env={"DTADMIN_ENV": str(env_file)}).returncode == 0
    assert crontab().startswith(others)
    assert len(crontab().splitlines()) == 3
    assert manage("crontab", "remove", env={"DTADMIN_ENV": str(env_file)}).returncode == 0
    assert crontab() == others


def test_the_fixed_line_has_not_changed():
    """django-crontab can't remove a line it does not know: an upgrade would leave two."""
    assert django_settings.CRONJOBS == [
        ("* * * * *", "django.core.management.call_command", ["run_due_tasks"])
    ]


def test_adding_is_refused_when_cron_would_lack_settings(monkeypatch, env_file):
    monkeypatch.delenv("DTADMIN_ENV", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql:///x")
    with pytest.raises(CommandError) as refused:
        call_command("crontab", "add")
    assert "DATABASE_URL" in str(refused.value)
    monkeypatch.setenv("DTADMIN_ENV", str(env_file))
    assert unknown_to_cron() == []


@needs_cron
def test_a_real_cron_moves_rows_with_nobodys_help(switched_on, crontab, env_file, shop_all, bonus):
    """cron wakes at the full minute: this takes up to one."""
    stage(shop_all, "balances", [("4100", 5)])  # due since NOON
    assert manage("crontab", "add", env={"DTADMIN_ENV": str(env_file)}).returncode == 0
    is_running = any(one.name() == "cron" for one in psutil.process_iter(["name"]))
    cron = None
    if not is_running:
        cron = subprocess.Popen(
            ["/usr/sbin/cron", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        wait_until(lambda: TransferRun.objects.good().exists(), cron, seconds=100, interval=0.5)
    finally:
        subprocess.run(["crontab", "-r"], capture_output=True, check=False)
        if cron is not None:
            cron.terminate()
            cron.wait(timeout=10)
        # What cron has started outlives it, and writes into our own database until it ends.
        wait_until(lambda: not started_with(env_file), interval=0.5)
    assert query(bonus, "select account, amount from asset") == [("4100", 5)]
    assert TransferTask.objects.get(pk=switched_on.pk).next_run_at > switched_on.next_run_at
