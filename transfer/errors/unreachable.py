"""Why no connection to a program or database could be opened."""

import socket
from typing import ClassVar

from transfer.errors.base import TransferError
from transfer.parties import Kind, Party, gettext_noop

MAIL_HINT = gettext_noop(
    "Ask the administrator to check EMAIL_HOST and EMAIL_PORT. A notification is sent again "
    "automatically, a test is not."
)


class Unreachable(TransferError):
    code = "unreachable"
    sentence = gettext_noop("%(party)s does not answer.")
    hint = gettext_noop(
        "Check that the server is up and that this machine may connect. Nothing is lost: the rows "
        "wait, and the next run moves them."
    )
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SERVER: gettext_noop("Check the host, the network in between, and its firewall."),
        Kind.MAIL: MAIL_HINT,
    }


class HostUnknown(Unreachable):
    code = "host_unknown"
    sentence = gettext_noop(
        "%(party)s does not answer: the name %(host)s is not known in this network."
    )
    hint = gettext_noop(
        "Check the spelling of the host, or enter its IP address. Is the name server of this "
        "machine reachable?"
    )
    hints: ClassVar[dict[Kind, str]] = {Kind.MAIL: MAIL_HINT}


class PortClosed(Unreachable):
    code = "port_closed"
    sentence = gettext_noop(
        "%(party)s does not answer: nothing listens at %(host)s, port %(port)s."
    )
    hint = gettext_noop(
        "Is PostgreSQL started there, does it listen for other machines (listen_addresses), and "
        "is this the right port? Nothing is lost: the rows wait."
    )
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SERVER: gettext_noop(
            "The machine is up. Is the bonus server started, and is this the right port?"
        ),
        Kind.MAIL: MAIL_HINT,
    }


class HostSilent(Unreachable):
    code = "host_silent"
    sentence = gettext_noop(
        "%(party)s does not answer: no connection to %(host)s, port %(port)s, within %(seconds)s s."
    )
    hint = gettext_noop(
        "Is the machine up, and does a firewall drop the connection? Nothing is lost: the rows "
        "wait."
    )
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SERVER: gettext_noop(
            "The machine is switched off, or a firewall drops the connection. Check the host, and "
            "that this machine may connect to that port."
        ),
        Kind.MAIL: MAIL_HINT,
    }


class TooManyConnections(Unreachable):
    code = "too_many_connections"
    sentence = gettext_noop("%(party)s takes no more connections.")
    hint = gettext_noop(
        "Ask its administrator to raise max_connections or the limit of the user or the database, "
        "or to stop the program that holds the connections. Nothing is lost: the rows wait."
    )


def from_socket(
    error: OSError | UnicodeError, party: Party, host: str, port: int, seconds: float
) -> Unreachable:
    """Why no connection to the port could be opened within `seconds`."""
    kind: type[Unreachable] = Unreachable
    if isinstance(error, socket.gaierror | UnicodeError):
        kind = HostUnknown
    elif isinstance(error, ConnectionRefusedError):
        kind = PortClosed
    elif isinstance(error, TimeoutError):
        kind = HostSilent
    reason = getattr(error, "strerror", None) or str(error)
    where = {"host": host, "port": port, "seconds": f"{seconds:g}", "reason": reason}
    return kind(str(error), party=party, **where)


class DatabaseMissing(Unreachable):
    code = "database_missing"
    sentence = gettext_noop("%(party)s does not exist: %(host)s has no database %(name)s.")
    hint = gettext_noop(
        "Check the name of the database; capital letters count. Nothing is lost: the rows wait."
    )


class LoginRefused(Unreachable):
    code = "login_refused"
    sentence = gettext_noop("%(party)s refuses the log-in of the user %(user)s.")
    hint = gettext_noop(
        "Check user and password. The database's pg_hba.conf also has to let this machine in. "
        "Nothing is lost: the rows wait."
    )


class WeakLogin(Unreachable):
    code = "weak_login"
    sentence = gettext_noop(
        "%(party)s at %(host)s asks for the password in a way in which it could be read or "
        "guessed, so it was not sent."
    )
    hint = gettext_noop(
        "Have its administrator set password_encryption = scram-sha-256, set the password of "
        "%(user)s again and enter scram-sha-256 in pg_hba.conf. Or allow the weaker way: in the "
        "settings of the bonus server, or by ?require_auth=md5 in the URL of the database."
    )
