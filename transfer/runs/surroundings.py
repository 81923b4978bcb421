"""What is around the installation: the address of its pages, the mail server, certificates.

The doctor asks when it is called, a recurring job every quarter of an hour.
"""

import errno
import socket
import ssl
from datetime import UTC, datetime, timedelta

import httpx2
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop

from transfer.bonus_admin_client.http import CONNECT_SECONDS, tls_context
from transfer.causes.installation import (
    ADDRESS_INVALID,
    ADDRESS_REFUSED,
    CERTIFICATE_ENDS,
    DOCTOR_ANOTHER_PROGRAM,
    PAGES_SILENT,
    PAGES_STOPPED,
)
from transfer.errors import TransferError, from_socket
from transfer.models import BonusServer, Recipient
from transfer.parties import Party, PartyKind

SECONDS = 3.0
EXPIRES_SOON = timedelta(days=14)
LIVE = {"status": "ok"}  # as /health/live answers
OF_PROXIES = {502, 503, 504}  # statuses of a proxy whose server does not answer
NOTHING_LISTENS = gettext_noop("nothing listens there")


def check_pages(address: str) -> None:
    """Asks the address at which browsers reach the pages.

    Raises ADDRESS_INVALID, PAGES_SILENT, PAGES_STOPPED, ADDRESS_REFUSED, DOCTOR_ANOTHER_PROGRAM.
    """
    try:
        answer = httpx2.get(f"{address}/health/live", timeout=SECONDS, follow_redirects=True)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise TransferError(ADDRESS_INVALID, address=address) from error
    except httpx2.HTTPError as error:
        what = str(error) or type(error).__name__
        if f"[Errno {errno.ECONNREFUSED}]" in what:
            what = NOTHING_LISTENS  # usual, so it is a message id of the catalogue
        raise TransferError(PAGES_SILENT, address=address, what=what) from error
    if answer.status_code in OF_PROXIES:
        raise TransferError(PAGES_STOPPED, address=address, code=answer.status_code)
    if answer.status_code == 400 and "X-Request-ID" in answer.headers:
        raise TransferError(ADDRESS_REFUSED, address=address)
    try:
        is_ours = answer.json() == LIVE
    except ValueError:
        is_ours = False
    if not is_ours:
        raise TransferError(DOCTOR_ANOTHER_PROGRAM, address=address, code=answer.status_code)


def mails_anyone() -> bool:
    """Whether anyone is notified by mail."""
    return Recipient.objects.filter(enabled=True, channel=Recipient.Channel.MAIL).exists()


def check_mail() -> None:
    """Connects to the mail server. Raises Unreachable."""
    host, port = settings.EMAIL_HOST, settings.EMAIL_PORT
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError as error:
        raise from_socket(error, Party(PartyKind.MAIL, host), host, port, SECONDS) from error


def has_certificate(server: BonusServer) -> bool:
    """Whether the certificate of its administration port is checked."""
    return bool(server.api_tls and server.api_verify)


def certificate_until(server: BonusServer) -> datetime:
    """Until when the certificate of the administration port is valid. Raises OSError."""
    address = (server.host, server.admin_port)
    with (
        socket.create_connection(address, timeout=CONNECT_SECONDS) as plain,
        tls_context(server.endpoint).wrap_socket(plain, server_hostname=server.host) as encrypted,
    ):
        ends = str((encrypted.getpeercert() or {}).get("notAfter", ""))
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)


def check_certificate(server: BonusServer) -> None:
    """Raises CERTIFICATE_ENDS if it ends soon. The check of the port says what else is wrong."""
    try:
        left = certificate_until(server) - timezone.now()
    except OSError:
        return
    if timedelta(0) < left < EXPIRES_SOON:
        raise TransferError(CERTIFICATE_ENDS, server=server.name, days=left.days)
