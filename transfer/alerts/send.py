"""Sends a message: by mail, to a webhook, or to a messenger, mostly by Apprise."""

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from importlib.util import find_spec
from smtplib import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone, translation

from transfer.alerts import outside, words
from transfer.alerts.links import link_to_take
from transfer.alerts.messengers import (
    APPRISE_ADDRESSES,
    MAX_LONGEST,
    MESSENGERS,
    in_parts,
    max_request,
)
from transfer.causes.messages import MESSAGE_REFUSED, MESSAGE_REJECTED, NO_APPRISE
from transfer.errors import NoApprise, TransferError, from_socket
from transfer.models.alerts import Notice, Recipient
from transfer.parties import Party, PartyKind, gettext_noop
from transfer.statements.keep import content_of
from transfer.statements.workbook import workbook

WEBHOOK_SECONDS = 10
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MESSENGER_SECONDS = 30  # some messengers are asked several times for one message

# What a process that sends says of a failure: that the message was rejected, or one of these.
REJECTED = "refused"
REASONS = {
    "address": gettext_noop("its address is one where clouds keep their secrets"),
    "host": gettext_noop("its host is not known in this network"),
    "connection": gettext_noop("it accepts no connection"),
    "certificate": gettext_noop("its certificate is not trusted on this machine"),
    "tls": gettext_noop("it does not speak HTTPS"),
    "time": gettext_noop("it did not answer in time"),
    "http": gettext_noop("what it answers is not HTTP"),
    "often": gettext_noop("it got too many messages lately"),
    "proxy": gettext_noop("the proxy of this installation does not let it through"),
    "unknown": gettext_noop("Apprise does not know this kind of address"),
    "redirect": gettext_noop("it leads to another address, and redirects are not followed"),
    "login": gettext_noop("it refuses the log-in of this installation"),
    "sender": gettext_noop("it refuses the sender’s address"),
    "recipient": gettext_noop("it refuses the recipient’s address"),
    "closed": gettext_noop("it broke off the connection"),
}
BY_SMTP: dict[type[SMTPException], str] = {
    SMTPAuthenticationError: "login",
    SMTPSenderRefused: "sender",
    SMTPRecipientsRefused: "recipient",
    SMTPServerDisconnected: "closed",
}


def deliver(notice: Notice, _stopped: Any = None) -> None:
    """Sends it in the recipient's language. Raises TransferError.

    A process that dies between the sending and the note of it sends once more: `id` tells.
    """
    with translation.override(notice.recipient.language):
        BY_CHANNEL[Recipient.Channel(notice.recipient.channel)](notice)
    notice.note_sent()


def link(notice: Notice) -> str:
    """Where the page about it is, if the installation says where its pages are."""
    path = notice.incident.url if notice.incident else "/"
    if notice.event == Notice.Event.STATEMENT:
        path = words.statement_of(notice).get_absolute_url()
    return f"{settings.SITE_URL.rstrip('/')}{path}" if settings.SITE_URL else ""


def text(notice: Notice) -> str:
    take = words.how_to_take(link_to_take(notice))
    return "\n\n".join(part for part in (words.body(notice), take, link(notice)) if part)


def by_mail(notice: Notice) -> None:
    subject = " ".join(words.subject(notice).split())
    try:
        mail = EmailMessage(subject, text(notice), None, [notice.recipient.address])
        for file in _files(notice):
            mail.attach(*file)
        mail.send()
    except SMTPException as error:
        reason = BY_SMTP.get(type(error), REJECTED)
        # Not the text of the error, which names the recipient.
        raise not_accepted(mail_server(), reason, type(error).__name__) from error
    except OSError as error:
        host, port, seconds = settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT
        raise from_socket(error, mail_server(), host, port, seconds) from error


def _files(notice: Notice) -> list[tuple[str, bytes, str]]:
    """Return the files that a mail has: name, content, type. Those of a statement."""
    if notice.event != Notice.Event.STATEMENT:
        return []
    made = words.statement_of(notice)
    name = f"statement-{made.number}"
    # Not as text, whose line ends a mail server may change: the signature is over each byte.
    signed = (f"{name}.json", made.document.encode(), "application/json")
    return [signed, (f"{name}.xlsx", workbook(content_of(made)), XLSX)]


def by_webhook(notice: Notice) -> None:
    """Posts it as standardwebhooks.com has it: id, time and body are signed."""
    incident, number = notice.incident, f"notice_{notice.pk}"
    content = json.dumps(
        {
            "type": f"{incident.topic if incident else notice.event}.{notice.event}",
            "timestamp": notice.created_at.isoformat(),
            "data": {
                "subject": words.subject(notice),
                "text": words.body(notice),
                "link": link(notice),
                "take": link_to_take(notice),
                "incident": incident and incident.pk,
                "began_at": incident and incident.began_at.isoformat(),
                "ended_at": incident and incident.ended_at and incident.ended_at.isoformat(),
            },
        },
        ensure_ascii=False,
    ).encode()
    at = str(int(timezone.now().timestamp()))
    headers = {
        "content-type": "application/json",
        "webhook-id": number,
        "webhook-timestamp": at,
        "webhook-signature": signature(notice.recipient.signing_key, number, at, content),
    }
    outcome = outside.send(
        "webhook",
        WEBHOOK_SECONDS,
        address=notice.recipient.address,
        content=content.decode(),
        headers=headers,
        seconds=WEBHOOK_SECONDS,
    )
    if failed := outcome.get("failed"):
        raise not_accepted(Party(PartyKind.WEBHOOK), failed)
    status = outcome["status"]
    if not 200 <= status < 300:
        raise TransferError(MESSAGE_REFUSED, party=Party(PartyKind.WEBHOOK), what=reason_of(status))


def not_accepted(party: Party, reason: str, technical: str = "") -> TransferError:
    """Return the error of a message that was not accepted. `reason`: a key of `REASONS`."""
    if reason == REJECTED:
        return TransferError(MESSAGE_REJECTED, technical, party=party)
    return TransferError(MESSAGE_REFUSED, technical, party=party, what=REASONS[reason])


def mail_server() -> Party:
    return Party(PartyKind.MAIL, settings.EMAIL_HOST)


def signature(key: str, number: str, at: str, content: bytes) -> str:
    secret = b64decode(key.removeprefix("whsec_"))
    signed = hmac.new(secret, f"{number}.{at}.".encode() + content, hashlib.sha256)
    return f"v1,{b64encode(signed.digest()).decode()}"


def by_apprise(notice: Notice) -> None:
    channel = notice.recipient.channel
    address = APPRISE_ADDRESSES[channel](notice.recipient)
    if not messenger_knows(address):
        party = MESSENGERS[Recipient.Channel(channel)].party
        raise not_accepted(party, "unknown")
    outcome = outside.send(
        "messenger",
        MESSENGER_SECONDS,
        address=address,
        title=words.subject(notice),
        body=text(notice),
    )
    check_messenger(channel, outcome)


def by_max(notice: Notice) -> None:
    recipient = notice.recipient
    for part in in_parts(f"{words.subject(notice)}\n\n{text(notice)}", MAX_LONGEST):
        request = max_request(recipient, part)
        outcome = outside.send("api", MESSENGER_SECONDS, **request, seconds=MESSENGER_SECONDS)
        check_messenger(recipient.channel, outcome)


def check_messenger(channel: str, outcome: dict[str, Any]) -> None:
    """Raises TransferError unless the message arrived. The messenger's answer says why not."""
    messenger = MESSENGERS[Recipient.Channel(channel)]
    if failed := outcome.get("failed"):
        raise not_accepted(messenger.party, failed)
    if outcome["arrived"]:
        return
    status = outcome["status"]
    if cause := messenger.cause_of(status, outcome["answer"]):
        raise TransferError(cause, party=messenger.party)
    raise TransferError(MESSAGE_REFUSED, party=messenger.party, what=reason_of(status))


def reason_of(status: int) -> str:
    """Return why a message was refused, in words, as far as the status of HTTP tells it."""
    if 300 <= status < 400:
        return REASONS["redirect"]
    return REASONS["often"] if status == 429 else f"HTTP {status}"


def messenger_knows(address: str) -> bool:
    """Whether Apprise could send to the address. Raises NoApprise where it is not installed."""
    need_apprise()
    import apprise

    return bool(apprise.Apprise().add(address))


def need_apprise() -> None:
    """Raises NoApprise where it is not installed."""
    if find_spec("apprise") is None:
        raise NoApprise(NO_APPRISE)


BY_CHANNEL = {
    Recipient.Channel.MAIL: by_mail,
    Recipient.Channel.WEBHOOK: by_webhook,
    Recipient.Channel.MAX: by_max,
    **dict.fromkeys(APPRISE_ADDRESSES, by_apprise),
}
