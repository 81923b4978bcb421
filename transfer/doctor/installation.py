"""Checks around the installation: services, the address of its pages, the mail server, backups."""

import grp
import stat
import subprocess
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network

from django.conf import settings
from django.utils import timezone

from transfer.causes.bonus_servers import API_CERTIFICATE_EXPIRED
from transfer.causes.installation import (
    DOCTOR_SERVICES_FAILED,
    DOCTOR_SOCKET_OPEN_TO_ALL,
    PAGES_SILENT,
)
from transfer.errors import TransferError
from transfer.models import AuditEntry, BonusServer
from transfer.parties import gettext_noop
from transfer.problems.of_background import BACKUP_MISSED
from transfer.runs import surroundings
from transfer.servers.timed_check import Passed
from transfer.text import formats
from transfer.text.explain import explain

BACKUP_OLD = timedelta(days=7)
NIGHTLY = "dtadmin-????-??-??-??????.dump"
"""The names of files that `backup` writes into the folder of nightly backups."""
FAILED_UNITS = (
    *("systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager"),
    "dtadmin*",
)


def try_services() -> Passed:
    """Asks systemd which services of the package have failed, such as a socket without its port.

    Without dbus it answers only root.
    """
    asked = subprocess.run(FAILED_UNITS, capture_output=True, text=True, check=False)  # noqa: S603 - systemd's
    if asked.returncode:
        text = gettext_noop(
            "systemd does not say which services have failed (%(cause)s). Install dbus, or ask as "
            "root: systemctl --failed"
        )
        return Passed(text, {"cause": " ".join(asked.stderr.split())}, warns=True)
    if failed := [line.split()[0] for line in asked.stdout.splitlines() if line.strip()]:
        raise TransferError(DOCTOR_SERVICES_FAILED, names=", ".join(failed), first=failed[0])
    return Passed(gettext_noop("No service has failed."), {})


def try_pages() -> Passed:
    """No answer is only a warning: the web server may not have been started yet."""
    address = (settings.SITE_URL or "http://localhost:8000").rstrip("/")
    try:
        surroundings.check_pages(address)
    except TransferError as silent:
        if silent.cause is not PAGES_SILENT:
            raise
        return Passed("%(explained)s", {"explained": str(explain(silent))}, warns=True)
    return Passed(gettext_noop("%(address)s answers."), {"address": address})


def try_proxy() -> Passed:
    """Tries who may say from which address a user comes.

    Raises DOCTOR_SOCKET_OPEN_TO_ALL. No socket is only a warning: pages may run on another machine.
    """
    if not isinstance(settings.BEHIND_PROXY, str):
        return _proxy_by_address(settings.BEHIND_PROXY)
    path = settings.PROXY_SOCKET
    try:
        about = path.stat()
    except OSError:
        text = gettext_noop(
            "BEHIND_PROXY is unix, and %(path)s is not there. Start the pages: gunicorn"
        )
        return Passed(text, {"path": str(path)}, warns=True)
    if about.st_mode & stat.S_IWOTH:
        raise TransferError(DOCTOR_SOCKET_OPEN_TO_ALL, path=str(path))
    try:
        group = grp.getgrgid(about.st_gid).gr_name
    except KeyError:
        group = str(about.st_gid)
    text = gettext_noop("Only the group %(group)s and the pages themselves may open %(path)s.")
    return Passed(text, {"path": str(path), "group": group})


def _proxy_by_address(networks: Iterable[IPv4Network | IPv6Network]) -> Passed:
    names = ", ".join(map(str, networks))
    if settings.SYSTEMD and any(one.is_loopback for one in networks):
        text = gettext_noop(
            "BEHIND_PROXY is %(names)s: each account of this machine may pretend to be the proxy, "
            "and name any address of a user. Set BEHIND_PROXY=unix in the env file, run manage.py "
            "setup, and let the proxy ask as in docs/nginx.conf."
        )
        return Passed(text, {"names": names}, warns=True)
    return Passed(gettext_noop("The addresses of users come from %(names)s."), {"names": names})


def try_mail() -> Passed:
    if not surroundings.mails_anyone():
        return Passed(gettext_noop("Nobody is notified by mail."), {})
    surroundings.check_mail()
    params = {"host": settings.EMAIL_HOST, "port": str(settings.EMAIL_PORT)}
    return Passed(gettext_noop("%(host)s:%(port)s takes connections."), params)


def try_certificate(server: BonusServer) -> Passed:
    until = surroundings.certificate_until(server)
    if until < timezone.now():
        raise TransferError(API_CERTIFICATE_EXPIRED, server=server.name)
    text = gettext_noop("It is valid until %(until)s.")
    soon = until - timezone.now() < surroundings.EXPIRES_SOON
    return Passed(text, {"until": formats.bound(until, zone=True)}, warns=soon)


def try_backup() -> Passed:
    """Looks when `backup` last ran. Other programs may make backups that it does not know of."""
    last = AuditEntry.objects.last_backup_at()
    if last is None:
        text = gettext_noop("There is no backup yet. Make one: manage.py backup FILE")
        if settings.BACKUP_FOLDER:
            text = gettext_noop("There is no backup yet. Make one: manage.py backup")
        return Passed(text, {}, warns=True)
    text = gettext_noop("The last backup was made %(ago)s.")
    limit = BACKUP_MISSED if settings.BACKUP_FOLDER else BACKUP_OLD
    is_old = timezone.now() - last > limit
    return Passed(text, {"ago": formats.ago(last)}, warns=is_old)
