"""Why a row is rejected: the checks of each kind, as SQL and as sentences."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from transfer.errors import gettext_noop


class Repair(StrEnum):
    """A correction of a rejected row that needs no input."""

    SPACES = "spaces"  # removes spaces and control characters from account and card
    KOPECKS = "kopecks"  # rounds the amount to two decimals, half away from zero


@dataclass(frozen=True)
class Check:
    """A reason to reject a row. `fails` is SQL over the columns of the staging table.

    Of a late check it only says which rows can fail it: the target decides. `repair` corrects most
    rows that fail the check.
    """

    code: str
    fails: str
    sentence: str
    hint: str
    repair: Repair | None = None


class CardStatus(NamedTuple):
    name: str
    words: str


CARD_STATUSES = {
    0: CardStatus("EARN_ONLY", gettext_noop("0 – earn only")),
    1: CardStatus("EARN_PAY", gettext_noop("1 – earn and pay")),
    2: CardStatus("NO_OPERATION", gettext_noop("2 – no operations (blocked)")),
    3: CardStatus("PAY_ONLY", gettext_noop("3 – pay only")),
}

# Spaces of Unicode too: a no-break space from a spreadsheet looks like nothing at all.
UNPRINTABLE = r"[[:space:][:cntrl:]\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2060\u3000\ufeff]"

ACCOUNT_FORM = (
    Check(
        "account_too_long",
        "length(account) > 100",
        gettext_noop("The account is longer than 100 characters."),
        gettext_noop("Correct the account number and send the row again."),
    ),
    Check(
        "account_has_spaces",
        f"account ~ '{UNPRINTABLE}'",
        gettext_noop("The account contains a space or a control character."),
        gettext_noop("Remove it: often it came along when the number was copied."),
        Repair.SPACES,
    ),
)
ACCOUNT_MISSING = Check(
    "account_missing",
    "coalesce(account, '') = ''",
    gettext_noop("The account is missing."),
    gettext_noop("Enter the account."),
)

PINCODE_CHECKS = (
    ACCOUNT_MISSING,
    *ACCOUNT_FORM,
    Check(
        "pin_missing",
        "coalesce(pincode, '') = ''",
        gettext_noop("The PIN code is missing."),
        gettext_noop("Enter the PIN code; a transfer can't remove one."),
    ),
    Check(
        "pin_too_long",
        "length(pincode) > 100",
        gettext_noop("The PIN code is longer than 100 characters."),
        gettext_noop("Set a shorter PIN code."),
    ),
)

FINITE = "amount not in ('NaN', 'Infinity', '-Infinity')"

# Sums add up these amounts only: PostgreSQL fails if a sum reaches 131,072 digits, and then no row
# of the chunk could be moved, purged or counted. Larger ones are rejects in any case.
ADDABLE = f"{FINITE} and abs(amount) < 1e131000"

BALANCE_CHECKS = (
    ACCOUNT_MISSING,
    *ACCOUNT_FORM,
    Check(
        "amount_missing",
        "amount is null",
        gettext_noop("The amount is missing."),
        gettext_noop("Enter by how much the balance changes."),
    ),
    Check(
        "amount_not_finite",
        f"not ({FINITE})",
        gettext_noop("The amount is not a number or is infinite."),
        gettext_noop("Enter the amount as a number, such as 100.00 or -25.50."),
    ),
    Check(
        "amount_zero",
        "amount = 0",
        gettext_noop("The amount is zero."),
        gettext_noop("A change by zero changes nothing: correct it or discard the row."),
    ),
    Check(
        "amount_decimals",
        "amount <> trunc(amount, 2)",
        gettext_noop("The amount has more than two decimals."),
        gettext_noop("Round it to kopecks: Data Transfer itself does not round amounts."),
        Repair.KOPECKS,
    ),
    Check(
        "amount_out_of_range",
        "abs(amount) >= 10000000000000",
        gettext_noop("The amount is out of range: at most 13 digits before the point."),
        gettext_noop("Correct the amount."),
    ),
    Check(
        "validity_reversed",
        "validto < validfrom",
        gettext_noop("The validity ends before it begins."),
        gettext_noop("Correct the beginning or the end of the validity."),
    ),
)

CARD_CHECKS = (
    Check(
        "card_missing",
        "coalesce(card, '') = ''",
        gettext_noop("The card is missing."),
        gettext_noop("Enter the card."),
    ),
    Check(
        "card_malformed",
        f"length(card) > 100 or card ~ '{UNPRINTABLE}'",
        gettext_noop(
            "The card number is longer than 100 characters or contains a space or a control "
            "character."
        ),
        gettext_noop("Correct the card number and send the row again."),
        Repair.SPACES,
    ),
    Check(
        "account_empty",
        "account = ''",
        gettext_noop("The account is empty text."),
        gettext_noop("Leave it out (null) to keep the link, or enter the account."),
    ),
    *ACCOUNT_FORM,
    Check(
        "status_unknown",
        f"status not between {min(CARD_STATUSES)} and {max(CARD_STATUSES)}",
        gettext_noop("The status is not one of 0, 1, 2, 3."),
        gettext_noop("0 earn only, 1 earn and pay, 2 no operations, 3 pay only."),
    ),
    Check(
        "nothing_to_change",
        "account is null and status is null",
        gettext_noop("Neither an account nor a status is given: nothing to change."),
        gettext_noop("Enter the account, the status or both, or discard the row."),
    ),
)

UNKNOWN_CARD = (
    Check(
        "card_unknown",
        "account is null",
        gettext_noop("The bonus server does not know this card, and the row links no account."),
        gettext_noop("Link the card to an account first, then send the status again."),
    ),
)

# Of tables that are another's (see `mapping`), which says what fails.
VALIDITY_NOT_HELD = Check(
    "validity_not_held",
    "",
    gettext_noop("The bonus server's table has no place for when the amount counts."),
    gettext_noop("Without it the amount would count for ever: send it without these dates."),
)
STATUS_WITHOUT_WORD = Check(
    "status_without_word",
    "",
    gettext_noop("The bonus server has no word for this status."),
    gettext_noop(
        "Name the word in the file of DTADMIN_TABLES and send the row again. Another status would "
        "reach every bonus server."
    ),
)
STATUS_WORD_UNKNOWN = Check(
    "status_word_unknown",
    "",
    gettext_noop("The status is none of the words in the file of DTADMIN_TABLES."),
    gettext_noop("Name the word there, or send the status again in one of those words."),
)
BY_TABLES = (VALIDITY_NOT_HELD, STATUS_WITHOUT_WORD, STATUS_WORD_UNKNOWN)

# What a bonus server's table of rejects says, and none of our checks: see `reject_reading`.
UNKNOWN = Check(
    "unknown",
    "",
    gettext_noop("The reason is unknown: the bonus server's record of it can't be read."),
    gettext_noop(
        "Somebody may have changed the table datatransfer.reject of that server, or a newer "
        "version of Data Transfer has written it. Look the row up in shop All by its number, "
        "correct it, or discard it."
    ),
)

# For any kind: the bonus server's own reason to refuse a row. Another server may have accepted it.
BY_SERVER = (
    UNKNOWN,
    Check(
        "refused_by_server",
        "",
        gettext_noop("The bonus server's own table refuses the row."),
        gettext_noop(
            "A constraint, a trigger or the encoding of that server forbids it: see the name "
            "next to it. Correct the row or have the server changed, then send the row again."
        ),
    ),
    Check(
        "not_here",
        "",
        gettext_noop("The row is not for this bonus server."),
        gettext_noop(
            "It replaces, changes or takes back another row, and that one has no effect on this "
            "server, or no open reject. Nothing has to be done."
        ),
    ),
    Check(
        "taken_back",
        "",
        gettext_noop("The row was taken back."),
        gettext_noop("Nothing has to be done: it has no effect on this server any more."),
    ),
    Check(
        "gone",
        "",
        gettext_noop("The row was deleted from shop All before this bonus server got it."),
        gettext_noop("Nothing has to be done: somebody decided to go on without it."),
    ),
)
