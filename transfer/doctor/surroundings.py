"""What is around the installation: the address of its pages, the mail server, backups."""

import socket
from datetime import timedelta
from typing import Any

import httpx2
from django.conf import settings
from django.utils import timezone

from transfer.doctor import errors
from transfer.errors import from_socket, gettext_noop
from transfer.models import AuditEntry, Recipient
from transfer.parties import Kind, Party
from transfer.problems.of_background import BACKUP_MISSED
from transfer.servers.timed_check import Passed
from transfer.text import formats

SECONDS = 3.0
BACKUP_OLD = timedelta(days=7)
LIVE = {"status": "ok"}  # as /health/live answers


def try_pages() -> Passed:
    """Asks the address at which browsers reach the pages; another program may have its port."""
    address = (settings.SITE_URL or "http://localhost:8000").rstrip("/")
    params: dict[str, Any] = {"address": address}
    try:
        answer = httpx2.get(f"{address}/health/live", timeout=SECONDS, follow_redirects=True)
    except httpx2.HTTPError as error:
        text = gettext_noop("%(address)s does not answer: %(reason)s")
        reason = str(error) or type(error).__name__
        return Passed(text, {**params, "reason": reason}, warns=True)
    try:
        is_ours = answer.json() == LIVE
    except ValueError:
        is_ours = False
    if not is_ours:
        raise errors.AnotherProgram(**params, code=str(answer.status_code))
    return Passed(gettext_noop("%(address)s answers."), params)


def try_mail() -> Passed:
    """Connects to the mail server, if anyone is to be notified by mail."""
    if not Recipient.objects.filter(enabled=True, channel=Recipient.Channel.MAIL).exists():
        return Passed(gettext_noop("Nobody is notified by mail."), {})
    params = {"host": settings.EMAIL_HOST, "port": str(settings.EMAIL_PORT)}
    try:
        socket.create_connection((settings.EMAIL_HOST, settings.EMAIL_PORT), SECONDS).close()
    except OSError as error:
        party = Party(Kind.MAIL, settings.EMAIL_HOST)
        where = (party, settings.EMAIL_HOST, settings.EMAIL_PORT, SECONDS)
        raise from_socket(error, *where) from error
    return Passed(gettext_noop("%(host)s:%(port)s takes connections."), params)


def try_backup() -> Passed:
    """Looks when `backup` last ran. Other programs may make backups that it does not know of."""
    last = AuditEntry.objects.last_backup_at()
    if last is None:
        text = gettext_noop("There is no backup yet. Make one: manage.py backup FILE")
        return Passed(text, {}, warns=True)
    text = gettext_noop("The last backup was made %(ago)s.")
    limit = BACKUP_MISSED if settings.BACKUP_FOLDER else BACKUP_OLD
    is_old = timezone.now() - last > limit
    return Passed(text, {"ago": formats.ago(last)}, warns=is_old)
