"""Messages that a recipient does not get."""

from transfer.causes.cause import Cause
from transfer.parties import Kind, gettext_noop

MESSAGE_REFUSED = Cause(
    "message_refused",
    gettext_noop("%(party)s did not accept the message: %(what)s."),
    gettext_noop(
        "Check its address, and whether this machine can reach it. A notification is sent again "
        "automatically, a test is not."
    ),
    hints={
        Kind.MAIL: gettext_noop(
            "Check the address, and EMAIL_HOST and its log-in in the settings of the installation. "
            "A notification is sent again automatically, a test is not."
        ),
        Kind.MESSENGER: gettext_noop(
            "Check the address as Apprise wants it, and whether this machine can reach the "
            "messenger. A notification is sent again automatically, a test is not."
        ),
    },
)


NO_APPRISE = Cause(
    "no_apprise",
    gettext_noop("Messengers are not installed here."),
    gettext_noop("Install the extra: pip install dtadmin[messengers]"),
)
