"""Why a row is rejected: by our checks (`engine.checks`), or by a bonus server."""

from types import MappingProxyType

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

ACCOUNT_MISSING = Cause(
    "account_missing",
    gettext_noop("The account is missing."),
    gettext_noop("Enter the account."),
)

VALIDITY_NOT_HELD = Cause(
    "validity_not_held",
    gettext_noop("The bonus server's table has no place for when the amount counts."),
    gettext_noop("Without it the amount would count for ever: send it without these dates."),
)

STATUS_WITHOUT_WORD = Cause(
    "status_without_word",
    gettext_noop("The bonus server has no word for this status."),
    gettext_noop(
        "Name the word in the file of DTADMIN_TABLES and send the row again. Another status would "
        "reach every bonus server."
    ),
)

STATUS_WORD_UNKNOWN = Cause(
    "status_word_unknown",
    gettext_noop("The status is none of the words in the file of DTADMIN_TABLES."),
    gettext_noop("Name the word there, or send the status again in one of those words."),
)

UNKNOWN = Cause(
    "unknown",
    gettext_noop("The reason is unknown: the bonus server's record of it can't be read."),
    gettext_noop(
        "Somebody may have changed the table datatransfer.reject of that server, or a newer "
        "version of Data Transfer has written it. Look the row up in shop All by its number, "
        "correct it, or discard it."
    ),
)

ACCOUNT_TOO_LONG = Cause(
    "account_too_long",
    gettext_noop("The account is longer than 100 characters."),
    gettext_noop("Correct the account number and send the row again."),
)

ACCOUNT_HAS_SPACES = Cause(
    "account_has_spaces",
    gettext_noop("The account contains a space or a control character."),
    gettext_noop("Remove it: often it came along when the number was copied."),
)

PIN_MISSING = Cause(
    "pin_missing",
    gettext_noop("The PIN code is missing."),
    gettext_noop("Enter the PIN code; a transfer can't remove one."),
)

PIN_TOO_LONG = Cause(
    "pin_too_long",
    gettext_noop("The PIN code is longer than 100 characters."),
    gettext_noop("Set a shorter PIN code."),
)

AMOUNT_MISSING = Cause(
    "amount_missing",
    gettext_noop("The amount is missing."),
    gettext_noop("Enter by how much the balance changes."),
)

AMOUNT_NOT_FINITE = Cause(
    "amount_not_finite",
    gettext_noop("The amount is not a number or is infinite."),
    gettext_noop("Enter the amount as a number, such as 100.00 or -25.50."),
)

AMOUNT_ZERO = Cause(
    "amount_zero",
    gettext_noop("The amount is zero."),
    gettext_noop("A change by zero changes nothing: correct it or discard the row."),
)

AMOUNT_DECIMALS = Cause(
    "amount_decimals",
    gettext_noop("The amount has more than two decimals."),
    gettext_noop("Round it to kopecks: Data Transfer itself does not round amounts."),
)

AMOUNT_OUT_OF_RANGE = Cause(
    "amount_out_of_range",
    gettext_noop("The amount is out of range: at most 13 digits before the point."),
    gettext_noop("Correct the amount."),
)

VALIDITY_REVERSED = Cause(
    "validity_reversed",
    gettext_noop("The validity ends before it begins."),
    gettext_noop("Correct the beginning or the end of the validity."),
)

CARD_MISSING = Cause(
    "card_missing",
    gettext_noop("The card is missing."),
    gettext_noop("Enter the card."),
)

CARD_MALFORMED = Cause(
    "card_malformed",
    gettext_noop(
        "The card number is longer than 100 characters or contains a space or a control character."
    ),
    gettext_noop("Correct the card number and send the row again."),
)

ACCOUNT_EMPTY = Cause(
    "account_empty",
    gettext_noop("The account is empty text."),
    gettext_noop("Leave it out (null) to keep the link, or enter the account."),
)

STATUS_UNKNOWN = Cause(
    "status_unknown",
    gettext_noop("The status is not one of 0, 1, 2, 3."),
    gettext_noop("0 earn only, 1 earn and pay, 2 no operations, 3 pay only."),
)

NOTHING_TO_CHANGE = Cause(
    "nothing_to_change",
    gettext_noop("Neither an account nor a status is given: nothing to change."),
    gettext_noop("Enter the account, the status or both, or discard the row."),
)

CARD_UNKNOWN = Cause(
    "card_unknown",
    gettext_noop("The bonus server does not know this card, and the row links no account."),
    gettext_noop("Link the card to an account first, then send the status again."),
)

REFUSED_BY_SERVER = Cause(
    "refused_by_server",
    gettext_noop("The bonus server's own table refuses the row."),
    gettext_noop(
        "A constraint, a trigger or the encoding of that server forbids it: see the name "
        "next to it. Correct the row or have the server changed, then send the row again."
    ),
)

NOT_HERE = Cause(
    "not_here",
    gettext_noop("The row is not for this bonus server."),
    gettext_noop(
        "It replaces, changes or takes back another row, and that one has no effect on this "
        "server, or no open reject. Nothing has to be done."
    ),
)

TAKEN_BACK = Cause(
    "taken_back",
    gettext_noop("The row was taken back."),
    gettext_noop("Nothing has to be done: it has no effect on this server any more."),
)

GONE = Cause(
    "gone",
    gettext_noop("The row was deleted from shop All before this bonus server got it."),
    gettext_noop("Nothing has to be done: somebody decided to go on without it."),
)

REASONS = MappingProxyType(
    {one.code: one for one in list(vars().values()) if isinstance(one, Cause)}
)
"""Code → why a row is rejected."""


def reason_named(code: str) -> Cause:
    """Return the reason of a reject's code; UNKNOWN for a code that a newer version has saved."""
    return REASONS.get(code, UNKNOWN)
