"""Whether a database has an encoding that holds the texts which are written to it."""

from psycopg2.extensions import connection as Connection

from transfer.causes.installation import DOCTOR_OTHER_ENCODING, DOCTOR_OWN_ENCODING
from transfer.errors import OwnEncoding, TransferError
from transfer.parties import OWN, Party, gettext_noop

UTF8 = "UTF8"
# The server stores any bytes as a text, and converts none.
UNCHECKED = "SQL_ASCII"
# Of shop All or a bonus server: the tests move rows from and to such a database.
TESTED = ("WIN1251",)

REMARKS = {
    UTF8: gettext_noop("PostgreSQL %(version)s, UTF8, clock in step."),
    UNCHECKED: gettext_noop(
        "PostgreSQL %(version)s has the encoding SQL_ASCII, which checks no text. A row whose text "
        "is not UTF-8 stops its transfer: programs that write there have to write UTF-8."
    ),
}
SOME_CHARACTERS = gettext_noop(
    "PostgreSQL %(version)s has the encoding %(encoding)s, which lacks characters. A row with such "
    "a character is refused. UTF8 has them all."
)


def encoding_of(connection: Connection) -> str:
    """As the server reported it when the session began."""
    return connection.get_parameter_status("server_encoding") or ""


def check_own(connection: Connection) -> None:
    """Raises OwnEncoding unless our own database has UTF8."""
    if (encoding := encoding_of(connection)) != UTF8:
        name = connection.info.dbname
        raise OwnEncoding(DOCTOR_OWN_ENCODING, party=OWN, encoding=encoding, name=name)


def remark_on(encoding: str, party: Party) -> str:
    """A sentence about a database that can be used; it takes `version` and `encoding`.

    Raises DOCTOR_OTHER_ENCODING.
    """
    if encoding in REMARKS:
        return REMARKS[encoding]
    if encoding not in TESTED:
        raise TransferError(DOCTOR_OTHER_ENCODING, encoding=encoding, party=party)
    return SOME_CHARACTERS
