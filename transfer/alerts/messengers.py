"""Telegram, MAX, Mattermost and Slack: what a recipient is, where it is sent, what is refused.

Apprise makes the requests: here are the addresses that it wants. MAX, which Apprise does not know,
is sent one request of its own. Then, what the answers of the messengers mean.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from transfer.causes.cause import Cause
from transfer.causes.messages import (
    BOT_TOKEN_REJECTED,
    MESSENGER_CHANNEL_GONE,
    MESSENGER_CHAT_CLOSED,
    MESSENGER_CHAT_UNKNOWN,
    TELEGRAM_CHAT_MOVED,
    WEBHOOK_CHANNEL_LOCKED,
    WEBHOOK_GONE,
    WEBHOOK_MAY_NOT_POST,
    WEBHOOKS_OFF,
)
from transfer.models.alerts import Recipient
from transfer.parties import Party, PartyKind

BOT_TOKEN = re.compile(r"[0-9]{5,20}:[A-Za-z0-9_-]{20,100}")
TELEGRAM_CHAT = re.compile(r"-?[0-9]{1,32}|@[A-Za-z][A-Za-z0-9_]{3,31}")
# What the header Authorization may hold; MAX does not say what its tokens look like.
MAX_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{20,400}")
MAX_CHAT = re.compile(r"-?[0-9]{1,19}")
MATTERMOST_WEBHOOK = re.compile(r"(https?)://([^/@?#]+)((?:/[^/?#]+)*)/hooks/([A-Za-z0-9]+)/?")
MATTERMOST_CHANNEL = re.compile(r"[a-z0-9_-]{1,64}")
SLACK_WEBHOOK = re.compile(
    r"https://hooks\.slack\.com/services/([A-Za-z0-9]+)/([A-Za-z0-9]+)/([A-Za-z0-9]+)/?"
)

# A long message is sent as several ones: Apprise's default is to send it, and see it refused.
IN_PARTS = "overflow=split"
# A status of HTTP (0: any), a part of the answer, and what they mean. The first that fits.
Refusals = tuple[tuple[int, str, Cause], ...]


# As github.com/max-messenger/api-schema has it.
MAX_API = "https://platform-api2.max.ru"
MAX_LONGEST = 4000  # characters of a message


@dataclass(frozen=True)
class Messenger:
    """One of them, and what its answers mean."""

    kind: PartyKind
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


def max_request(recipient: Recipient, text: str) -> dict[str, Any]:
    """Return the request by which a bot of MAX writes the text to a chat."""
    asked = urlencode({"chat_id": recipient.chat, "disable_link_preview": "true"})
    return {
        "address": f"{MAX_API}/messages?{asked}",
        "content": json.dumps({"text": text}),
        "headers": {"authorization": recipient.address, "content-type": "application/json"},
    }


def in_parts(text: str, longest: int) -> Iterator[str]:
    """Yields the text in parts of at most so many characters, cut at the ends of lines or words."""
    while len(text) > longest:
        cut = max(text.rfind(end, 0, longest + 1) for end in "\n ")
        part, text = (text[:cut], text[cut + 1 :]) if cut > 0 else (text[:longest], text[longest:])
        yield part
    yield text


Channel = Recipient.Channel
APPRISE_ADDRESSES: dict[str, Callable[[Recipient], str]] = {
    Channel.TELEGRAM: telegram_address,
    Channel.MATTERMOST: mattermost_address,
    Channel.SLACK: slack_address,
    Channel.APPRISE: lambda recipient: recipient.address,
}
MESSENGERS = {
    Channel.TELEGRAM: Messenger(
        PartyKind.TELEGRAM,
        (
            (401, "", BOT_TOKEN_REJECTED),
            (404, "", BOT_TOKEN_REJECTED),
            (400, "chat not found", MESSENGER_CHAT_UNKNOWN),
            (400, "upgraded to a supergroup", TELEGRAM_CHAT_MOVED),
            (400, "rights to send", MESSENGER_CHAT_CLOSED),
            (400, "CHAT_WRITE_FORBIDDEN", MESSENGER_CHAT_CLOSED),
            (403, "", MESSENGER_CHAT_CLOSED),
        ),
    ),
    Channel.MAX: Messenger(
        PartyKind.MAX,
        (
            (401, "", BOT_TOKEN_REJECTED),
            (403, "", MESSENGER_CHAT_CLOSED),
            (404, "", MESSENGER_CHAT_UNKNOWN),
        ),
    ),
    Channel.MATTERMOST: Messenger(
        PartyKind.MATTERMOST,
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
        PartyKind.SLACK,
        (
            (0, "channel_is_archived", MESSENGER_CHANNEL_GONE),
            (0, "channel_not_found", MESSENGER_CHANNEL_GONE),
            (0, "invalid_token", WEBHOOK_GONE),
            (403, "", WEBHOOK_MAY_NOT_POST),
            (404, "", WEBHOOK_GONE),
            (410, "", WEBHOOK_GONE),
        ),
    ),
    Channel.APPRISE: Messenger(PartyKind.MESSENGER),
}
