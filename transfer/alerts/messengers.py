"""Telegram, Mattermost and Slack: what a recipient is, what Apprise sends to, what they refuse.

Apprise makes the requests. Here are the addresses that it wants, and what the answers of the
messengers mean.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from transfer.causes.cause import Cause
from transfer.causes.messages import (
    MESSENGER_CHANNEL_GONE,
    TELEGRAM_CHAT_CLOSED,
    TELEGRAM_CHAT_MOVED,
    TELEGRAM_CHAT_UNKNOWN,
    TELEGRAM_TOKEN_REJECTED,
    WEBHOOK_CHANNEL_LOCKED,
    WEBHOOK_GONE,
    WEBHOOK_MAY_NOT_POST,
    WEBHOOKS_OFF,
)
from transfer.models.alerts import Recipient
from transfer.parties import Kind, Party

BOT_TOKEN = re.compile(r"[0-9]{5,20}:[A-Za-z0-9_-]{20,100}")
TELEGRAM_CHAT = re.compile(r"-?[0-9]{1,32}|@[A-Za-z][A-Za-z0-9_]{3,31}")
MATTERMOST_WEBHOOK = re.compile(r"(https?)://([^/@?#]+)((?:/[^/?#]+)*)/hooks/([A-Za-z0-9]+)/?")
MATTERMOST_CHANNEL = re.compile(r"[a-z0-9_-]{1,64}")
SLACK_WEBHOOK = re.compile(
    r"https://hooks\.slack\.com/services/([A-Za-z0-9]+)/([A-Za-z0-9]+)/([A-Za-z0-9]+)/?"
)

# A long message is sent as several ones: Apprise's default is to send it, and see it refused.
IN_PARTS = "overflow=split"
# A status of HTTP (0: any), a part of the answer, and what they mean. The first that fits.
Refusals = tuple[tuple[int, str, Cause], ...]


@dataclass(frozen=True)
class Messenger:
    """One that Apprise sends to."""

    kind: Kind
    apprise_address: Callable[[Recipient], str]
    refusals: Refusals = ()

    @property
    def party(self) -> Party:
        return Party(self.kind)

    def cause_of(self, status: int, answer: str) -> Cause | None:
        """Return what the answer to a message means; None if only its status is known."""
        for of_status, part, cause in self.refusals:
            if of_status in (0, status) and part in answer:
                return cause
        return None


def telegram_address(recipient: Recipient) -> str:
    return f"tgram://{recipient.address}/{quote(recipient.chat or '', safe='')}/?{IN_PARTS}"


def mattermost_address(recipient: Recipient) -> str:
    """Return the address without the folder `hooks`, which Apprise adds, and with the channel."""
    found = MATTERMOST_WEBHOOK.fullmatch(recipient.address)
    if found is None:
        return ""
    scheme, host, folders, key = found.groups()
    channel = f"&channel={quote(recipient.chat, safe='')}" if recipient.chat else ""
    protocol = "mmosts" if scheme == "https" else "mmost"
    return f"{protocol}://{host}{folders}/{key}/?image=no&{IN_PARTS}{channel}"


def slack_address(recipient: Recipient) -> str:
    found = SLACK_WEBHOOK.fullmatch(recipient.address)
    return f"slack://{'/'.join(found.groups())}/?image=no&footer=no&{IN_PARTS}" if found else ""


Channel = Recipient.Channel
MESSENGERS = {
    Channel.TELEGRAM: Messenger(
        Kind.TELEGRAM,
        telegram_address,
        (
            (401, "", TELEGRAM_TOKEN_REJECTED),
            (404, "", TELEGRAM_TOKEN_REJECTED),
            (400, "chat not found", TELEGRAM_CHAT_UNKNOWN),
            (400, "upgraded to a supergroup", TELEGRAM_CHAT_MOVED),
            (400, "rights to send", TELEGRAM_CHAT_CLOSED),
            (400, "CHAT_WRITE_FORBIDDEN", TELEGRAM_CHAT_CLOSED),
            (403, "", TELEGRAM_CHAT_CLOSED),
        ),
    ),
    Channel.MATTERMOST: Messenger(
        Kind.MATTERMOST,
        mattermost_address,
        (
            (0, "web.incoming_webhook.invalid.", WEBHOOK_GONE),
            (0, "web.incoming_webhook.disabled.", WEBHOOKS_OFF),
            (0, "web.incoming_webhook.channel_locked.", WEBHOOK_CHANNEL_LOCKED),
            (0, "web.incoming_webhook.channel.", MESSENGER_CHANNEL_GONE),
            (403, "", WEBHOOK_MAY_NOT_POST),
            (404, "", WEBHOOK_GONE),
        ),
    ),
    Channel.SLACK: Messenger(
        Kind.SLACK,
        slack_address,
        (
            (0, "channel_is_archived", MESSENGER_CHANNEL_GONE),
            (0, "channel_not_found", MESSENGER_CHANNEL_GONE),
            (0, "invalid_token", WEBHOOK_GONE),
            (403, "", WEBHOOK_MAY_NOT_POST),
            (404, "", WEBHOOK_GONE),
            (410, "", WEBHOOK_GONE),
        ),
    ),
    Channel.APPRISE: Messenger(Kind.MESSENGER, lambda recipient: recipient.address),
}
