"""Starts everything on one machine, fills in believable data, and stops it all on Ctrl-C.

Databases, secrets and the password of the log-in are kept; `make forget` removes them. With
`outage` or `restore` it does that to the demo that runs (`disasters.py`).
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import django
import psutil
import psycopg2

from dtadmin.start import provide_databases

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtadmin.settings")
IS_EMBEDDED = provide_databases()
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.utils.translation import gettext as _  # noqa: E402

from dtadmin import embedded  # noqa: E402
from dtadmin.demo import people, statement  # noqa: E402
from dtadmin.demo.data import HeadOffice  # noqa: E402
from dtadmin.demo.disasters import OUTAGE_SECONDS, Copies, Outage  # noqa: E402
from dtadmin.demo.processes import Processes, free_port  # noqa: E402
from dtadmin.demo.registers import log_of, open_shops, start_registers, start_servers  # noqa: E402
from transfer.models import Actor, BonusServer, Settings  # noqa: E402
from transfer.runs.beginning import Answer, Decision, decide  # noqa: E402

# Name, schedule of its tasks.
SERVERS = (("Бонусный сервер 8", "* * * * *"), ("Бонусный сервер 9", "*/5 * * * *"))
LOGINS = {"admin": "administrator", "operator": "operator", "viewer": "viewer"}
SECONDS_BETWEEN_ROWS = 20


def say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201


def main(arguments: list[str]) -> int:
    if not IS_EMBEDDED:
        say(_("make demo brings its own PostgreSQL: unset DATABASE_URL."))
        return 2
    if arguments:
        return disaster(arguments[0])
    with running():
        return demo()


def disaster(name: str) -> int:
    """Do to the running demo what can be tried in it: `outage` or `restore`."""
    if not is_running():
        say(_("The demo is not running. Start it in another terminal: make demo"))
        return 2
    if name == "outage":
        outage().ask_for()
        said = _("%(server)s does not answer for %(minutes)s minutes.")
        say(said % {"server": SERVERS[0][0], "minutes": OUTAGE_SECONDS // 60})
        return 0
    seconds = copies().restore_oldest()
    if seconds is None:
        say(_("The demo has made no copy of shop All yet. Try again in a minute."))
        return 1
    said = _("Shop All is as it was %(minutes)s min ago. Look at the overview after the next run.")
    say(said % {"minutes": max(1, round(seconds / 60))})
    return 0


def outage() -> Outage:
    return Outage(settings.VAR, socket_folder(), SERVERS[0][0], "bonus_1")


def copies() -> Copies:
    return Copies(settings.VAR, socket_folder(), "shop_all")


@contextmanager
def running() -> Iterator[None]:
    """Note, for `disaster`, that this demo runs."""
    note = settings.VAR / "demo_pid"
    note.write_text(str(os.getpid()))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def is_running() -> bool:
    note: Path = settings.VAR / "demo_pid"
    return note.exists() and psutil.pid_exists(int(note.read_text() or 0))


def demo() -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Processes(environment()) as processes:
        prepare(processes, stop)
        if not stop.is_set():
            serve(processes, stop)
    say(_("The demo has stopped."))
    return 0


def environment() -> dict[str, str]:
    """What the processes need to find the databases that this one has started."""
    return {
        "DATABASE_URL": settings.DATABASE_URL,
        "SHOP_ALL_DATABASE_URL": settings.SHOP_ALL_DATABASE_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "DTADMIN_VAR": str(settings.VAR),
        "STATEMENT_KEY": statement.key_file(),
    }


def prepare(processes: Processes, stop: threading.Event) -> None:
    """Makes databases, log-ins, servers and rows; then shows the first transfer on the terminal."""
    run(processes, stop, "manage.py", "migrate", "--verbosity=0")
    run(processes, stop, "manage.py", "init_shop_all")
    databases = [
        embedded.database_url(socket_folder(), f"bonus_{number}")
        for number in range(1, len(SERVERS) + 1)
    ]
    outage().forget()
    for url in databases:
        migrate = ("-m", "reference_bonus_server", "migrate", "--verbosity=0")
        run(processes, stop, *migrate, BONUSSERVER_DATABASE_URL=url)
    if not stop.is_set():
        dock_servers()
        head_office = HeadOffice(settings.SHOP_ALL_DATABASE_URL, seed=8)
        if head_office.is_new():
            head_office.open_accounts()
    if not stop.is_set():
        # Where it refuses, as after a restore, the pages ask what it says here.
        processes.run("manage.py", "transfer", "all")
        statement.make_first()
    if not stop.is_set():
        start_servers(processes, databases)


def run(processes: Processes, stop: threading.Event, *arguments: str, **environment: str) -> None:
    if not stop.is_set() and (code := processes.run(*arguments, **environment)):
        raise SystemExit(code)


def socket_folder() -> str:
    return str(settings.DATABASES["default"]["HOST"])


def dock_servers() -> None:
    """Docks both servers the first time, as new ones, and switches their tasks on."""
    if not BonusServer.objects.exists():
        Settings.load().change(Actor.at_command_line(), show_transfer_tasks=True)
    for number, (name, schedule) in enumerate(SERVERS, 1):
        if BonusServer.objects.filter(name=name).exists():
            continue
        server = BonusServer(
            name=name,
            host="127.0.0.1",
            db_host=socket_folder(),
            db_name=f"bonus_{number}",
            db_user="postgres",
        )
        server.dock()
        for task in server.tasks.select_related("server"):
            decide(task, Decision(Answer.NOTHING), Actor.at_command_line(), dry_run=False)
            task.reschedule(schedule, Actor.at_command_line())
            task.switch(True, Actor.at_command_line(), reason=_("The demo's tasks are on."))


def log_ins() -> str:
    """Makes a log-in for each role; returns the password of this demo, which all of them have."""
    password = embedded.secret(settings.VAR / "demo_password", 6)
    for name, group in LOGINS.items():
        user, _created = User.objects.get_or_create(username=name)
        user.is_staff = user.is_superuser = name == "admin"
        user.set_password(password)
        user.save()
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    return password


def serve(processes: Processes, stop: threading.Event) -> None:
    port = free_port(int(os.environ.get("DEMO_PORT", "8000")))
    services = {
        "web": ("-m", "gunicorn", f"--bind=127.0.0.1:{port}"),
        "scheduler": ("manage.py", "run_scheduler", "--workers=0"),
        "worker": ("manage.py", "db_worker", "--verbosity=0"),
    }
    for name, arguments in services.items():
        processes.start(name, *arguments, log=log_of(name))
    open_shops()
    start_registers(processes)
    password = log_ins()
    people.enter_loads()
    say(
        f"\n  http://localhost:{port}/\n  admin / {password}   (operator, viewer)\n\n  "
        + _("To try, in another terminal:")
        + "\n    make demo-outage    "
        + _("a bonus server does not answer for five minutes")
        + "\n    make demo-restore   "
        + _("shop All goes back to a copy of some minutes ago")
        + "\n\n  "
        + _("What the services do: %(folder)s") % {"folder": log_of("worker").parent}
        + "\n  "
        + _("Ctrl-C stops the demo.")
    )
    carry_on(processes, stop)


def carry_on(processes: Processes, stop: threading.Event) -> None:
    """Until it is stopped: write rows, copy shop All, and start again what has died."""
    head_office = HeadOffice(settings.SHOP_ALL_DATABASE_URL, seed=secrets.randbits(32))
    away, copied = outage(), copies()
    seconds = 0
    while not stop.wait(1):
        seconds += 1
        with suppress(psycopg2.Error, subprocess.CalledProcessError):  # it is being put back
            copied.carry_on()
            if seconds % SECONDS_BETWEEN_ROWS == 0:
                head_office.carry_on()
                people.look_after_problems()
        away.carry_on(processes)
        again, dead = processes.revive()
        for name in again:
            say(_("Ended by itself, and started again: %(name)s") % {"name": name})
        for name in dead:
            say(_("Died too often, and stays dead: %(name)s") % {"name": name})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
