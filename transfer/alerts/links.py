"""The link in a message by which its reader takes the problems that it is about, without a log-in.

It names the message, so one recipient and these problems, and is signed with SECRET_KEY. It holds
for an hour and works once. To open it changes nothing: messengers open the links of messages, too.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.utils import timezone

from transfer.causes.problems import (
    LINK_EXPIRED,
    LINK_OF_NOBODY,
    LINK_UNKNOWN,
    LINK_USED,
    PROBLEM_ENDED,
)
from transfer.errors import TransferError
from transfer.models import Actor, Incident, Notice, Recipient
from transfer.models.addresses import address
from transfer.problems import taking
from transfer.text import formats

HOLDS = timedelta(hours=1)
SIGNER = Signer(salt="transfer.alerts.links", sep=".")  # messengers end an address at a colon
OF_PROBLEMS = {Notice.Event.BEGAN, Notice.Event.WORSE, Notice.Event.REMINDER}


def link_to_take(notice: Notice, now: datetime | None = None) -> str:
    """Return the address of the page with the button.

    Empty where the installation does not say where its pages are, and where nothing is to be taken.
    """
    if not settings.SITE_URL or notice.event not in OF_PROBLEMS:
        return ""
    if not any(one.ended_at is None and not one.is_taken for one in notice.incidents):
        return ""
    ends = int(((now or timezone.now()) + HOLDS).timestamp())
    token = SIGNER.sign_object([notice.pk, notice.recipient_id, ends])
    return f"{settings.SITE_URL.rstrip('/')}{address('take', token)}"


def message_of(token: str) -> Notice:
    """Return the message with this link. Raises TransferError: why it does not work."""
    try:
        number, recipient, ends = SIGNER.unsign_object(token)
    except (BadSignature, ValueError):
        raise TransferError(LINK_UNKNOWN) from None
    if timezone.now().timestamp() >= ends:
        raise TransferError(LINK_EXPIRED)
    if not Recipient.objects.filter(pk=recipient, enabled=True).exists():
        raise TransferError(LINK_OF_NOBODY)
    notice = Notice.objects.select_related("recipient", "incident").filter(pk=number).first()
    if notice is None:  # with its problem, when the history was purged
        raise TransferError(LINK_EXPIRED)
    if notice.link_used_at:
        raise TransferError(LINK_USED)
    if not open_problems(notice):
        until = max(one.until or one.ended_at for one in notice.incidents if one.ended_at)
        raise TransferError(PROBLEM_ENDED, since=formats.bound(until, zone=True))
    return notice


def open_problems(notice: Notice) -> list[Incident]:
    """Return the problems of the message that last."""
    return [one for one in notice.incidents if one.ended_at is None]


@transaction.atomic
def take_by_link(token: str, *, address: str | None, over: bool) -> Notice:
    """Takes the problems of the message, in the name of its recipient; the link is used up.

    `over`: also those that somebody else has taken. Raises TransferError: nothing was changed, and
    the link is not used up.
    """
    notice = message_of(token)
    unused = Notice.objects.filter(pk=notice.pk, link_used_at=None)
    if not unused.update(link_used_at=timezone.now()):
        raise TransferError(LINK_USED)  # somebody was faster
    listed = open_problems(notice)
    actor = Actor.by_link(notice.recipient.name, address)
    free = listed if over else [one for one in listed if not one.is_taken] or listed
    for incident in free:
        taking.take(incident, actor, over=over)
    return notice
