"""Starts everything on one machine, fills in believable data, and stops it all on Ctrl-C.

Databases, secrets and the password of the log-in are kept; `make forget` removes them.
"""

import os
import secrets
import signal
import sys
import threading

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtadmin.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.utils.translation import gettext as _  # noqa: E402

from dtadmin import embedded  # noqa: E402
from dtadmin.demo.data import HeadOffice  # noqa: E402
from dtadmin.demo.processes import Processes, free_port  # noqa: E402
from dtadmin.demo.registers import open_shops, start_registers, start_servers  # noqa: E402
from transfer.models import Actor, BonusServer, Settings  # noqa: E402
from transfer.runs.beginning import Answer, Decision, decide  # noqa: E402

# Name, schedule of its tasks.
SERVERS = (("Бонусный сервер 8", "* * * * *"), ("Бонусный сервер 9", "*/5 * * * *"))
LOGINS = {"admin": "administrator", "operator": "operator", "viewer": "viewer"}
SECONDS_BETWEEN_ROWS = 20


def main() -> int:
    if not settings.EMBEDDED:
        print(_("make demo brings its own PostgreSQL: unset DATABASE_URL."))  # noqa: T201
        return 2
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Processes(environment()) as processes:
        prepare(processes, stop)
        if not stop.is_set():
            serve(processes, stop)
    print(_("The demo has stopped."), flush=True)  # noqa: T201
    return 0


def environment() -> dict[str, str]:
    """What the processes need to find the databases that this one has started."""
    return {
        "DATABASE_URL": settings.DATABASE_URL,
        "SHOP_ALL_DATABASE_URL": settings.SHOP_ALL_DATABASE_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "DTADMIN_VAR": str(settings.VAR),
    }


def prepare(processes: Processes, stop: threading.Event) -> None:
    """Makes databases, log-ins, servers and rows; then shows the first transfer on the terminal."""
    run(processes, stop, "manage.py", "migrate", "--verbosity=0")
    run(processes, stop, "manage.py", "init_shop_all")
    databases = [bonus_database(number) for number in range(1, len(SERVERS) + 1)]
    for url in databases:
        migrate = ("-m", "bonusserver", "migrate", "--verbosity=0")
        run(processes, stop, *migrate, BONUSSERVER_DATABASE_URL=url)
    if not stop.is_set():
        dock_servers()
        head_office = HeadOffice(settings.SHOP_ALL_DATABASE_URL, seed=8)
        if head_office.is_new():
            head_office.open_accounts()
    run(processes, stop, "manage.py", "transfer", "all")
    if not stop.is_set():
        start_servers(processes, databases)


def run(processes: Processes, stop: threading.Event, *arguments: str, **environment: str) -> None:
    if not stop.is_set() and (code := processes.run(*arguments, **environment)):
        raise SystemExit(code)


def socket_folder() -> str:
    return str(settings.DATABASES["default"]["HOST"])


def bonus_database(number: int) -> str:
    return embedded.database_url(socket_folder(), f"bonus_{number}")


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
    processes.start("web", "-m", "gunicorn", f"--bind=127.0.0.1:{port}")
    processes.start("scheduler", "manage.py", "run_scheduler", "--workers=0")
    processes.start("worker", "manage.py", "db_worker", "--verbosity=0")
    open_shops()
    start_registers(processes)
    password = log_ins()
    print(  # noqa: T201
        f"\n  http://localhost:{port}/\n  admin / {password}   (operator, viewer)\n\n  "
        + _("Ctrl-C stops the demo."),
        flush=True,
    )
    head_office = HeadOffice(settings.SHOP_ALL_DATABASE_URL, seed=secrets.randbits(32))
    while not stop.wait(SECONDS_BETWEEN_ROWS):
        head_office.carry_on()
        if ended := processes.ended():
            print(_("Ended by itself: %(names)s") % {"names": ", ".join(ended)})  # noqa: T201
            return


if __name__ == "__main__":
    sys.exit(main())
