"""Messages that a recipient does not get."""

from transfer.causes.cause import Cause
from transfer.parties import PartyKind, gettext_noop

REACH_MESSENGER = gettext_noop(
    "Check whether this machine can reach it. A proxy is named by HTTPS_PROXY in the settings of "
    "the installation. A notification is sent again automatically, a test is not."
)

CHECK_ADDRESS = gettext_noop(
    "Check its address, and whether this machine can reach it. A notification is sent again "
    "automatically, a test is not."
)
BY_RECIPIENT = {
    PartyKind.MAIL: gettext_noop(
        "Check the address, and EMAIL_HOST and its log-in in the settings of the installation. "
        "A notification is sent again automatically, a test is not."
    ),
    PartyKind.MESSENGER: gettext_noop(
        "Check the address as Apprise wants it, and whether this machine can reach the "
        "messenger. A notification is sent again automatically, a test is not."
    ),
    **dict.fromkeys((PartyKind.TELEGRAM, PartyKind.MATTERMOST, PartyKind.SLACK), REACH_MESSENGER),
    PartyKind.MAX: gettext_noop(
        "Check whether this machine can reach platform-api2.max.ru, and trusts its "
        "certificate: it needs the root certificate of Russia’s Ministry of Digital "
        "Development, from gosuslugi.ru/crt. A notification is sent again automatically, a "
        "test is not."
    ),
}

MESSAGE_REFUSED = Cause(
    "message_refused",
    gettext_noop("%(party)s did not accept the message: %(what)s."),
    CHECK_ADDRESS,
    hints=BY_RECIPIENT,
)

# It says no more than that.
MESSAGE_REJECTED = Cause(
    "message_rejected",
    gettext_noop("%(party)s rejected the message."),
    CHECK_ADDRESS,
    hints=BY_RECIPIENT,
)

# What messengers answer.

BOT_TOKEN_REJECTED = Cause(
    "bot_token_rejected",
    gettext_noop("%(party)s rejected the bot’s token."),
    hints={
        PartyKind.TELEGRAM: gettext_noop(
            "In Telegram, ask @BotFather for it: send /mybots, choose the bot, then API Token. "
            "Copy it into the recipient."
        ),
        PartyKind.MAX: gettext_noop(
            "Copy it again, at business.max.ru in the settings of the bot. MAX withdraws the "
            "tokens of bots that break its rules."
        ),
    },
)

MESSENGER_CHAT_UNKNOWN = Cause(
    "messenger_chat_unknown",
    gettext_noop("%(party)s does not know this chat, or the bot is not in it."),
    gettext_noop(
        "Add the bot to the group or channel; a person starts it first. Then check the number of "
        "the chat: that of a group begins with a minus."
    ),
)

MESSENGER_CHAT_CLOSED = Cause(
    "messenger_chat_closed",
    gettext_noop("%(party)s does not let the bot write to this chat."),
    gettext_noop(
        "The bot was removed or blocked, or may not write there. Add it again; in a channel it has "
        "to be an administrator. A person starts it."
    ),
)

TELEGRAM_CHAT_MOVED = Cause(
    "telegram_chat_moved",
    gettext_noop("The group has a new number in Telegram."),
    gettext_noop(
        "Telegram has made it a supergroup. Open it at web.telegram.org/a, and enter the number "
        "behind # in its address as the chat."
    ),
)

WEBHOOK_GONE = Cause(
    "webhook_gone",
    gettext_noop("%(party)s does not know this webhook."),
    gettext_noop(
        "It was removed, or its address was not copied in full. Create an incoming webhook there, "
        "and enter its address."
    ),
)

WEBHOOKS_OFF = Cause(
    "webhooks_off",
    gettext_noop("%(party)s does not accept incoming webhooks."),
    gettext_noop("Its administrator switches them on, under Integrations in the System Console."),
)

WEBHOOK_CHANNEL_LOCKED = Cause(
    "webhook_channel_locked",
    gettext_noop("The webhook may write only to its own channel."),
    gettext_noop(
        "Leave the channel of the recipient empty, or let the webhook write to other channels: it "
        "has a switch for that in Mattermost."
    ),
)

WEBHOOK_MAY_NOT_POST = Cause(
    "webhook_may_not_post",
    gettext_noop("%(party)s does not let the webhook write to this channel."),
    gettext_noop("Whoever administers the channel has to permit it, or choose another channel."),
)

MESSENGER_CHANNEL_GONE = Cause(
    "messenger_channel_gone",
    gettext_noop("%(party)s does not have this channel any more, or has archived it."),
    gettext_noop("Choose another channel: in the recipient, or in a new webhook."),
)


NO_APPRISE = Cause(
    "no_apprise",
    gettext_noop("Messengers are not installed here."),
    gettext_noop("Install the extra: pip install dtadmin[messengers]"),
)
