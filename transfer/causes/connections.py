"""A program or database that could not be reached, or that failed or refused afterwards."""

from transfer.causes.cause import Cause
from transfer.parties import PartyKind, gettext_noop

MAIL_HINT = gettext_noop(
    "Ask the administrator to check EMAIL_HOST and EMAIL_PORT. A notification is sent again "
    "automatically, a test is not."
)

UNREACHABLE = Cause(
    "unreachable",
    gettext_noop("%(party)s does not answer."),
    gettext_noop(
        "Check that the server is up and that this machine may connect. Nothing is lost: the rows "
        "wait, and the next run moves them."
    ),
    hints={
        PartyKind.SERVER: gettext_noop("Check the host, the network in between, and its firewall."),
        PartyKind.MAIL: MAIL_HINT,
    },
)


HOST_UNKNOWN = Cause(
    "host_unknown",
    gettext_noop("%(party)s does not answer: the name %(host)s is not known in this network."),
    gettext_noop(
        "Check the spelling of the host, or enter its IP address. Is the name server of this "
        "machine reachable?"
    ),
    hints={PartyKind.MAIL: MAIL_HINT},
)


PORT_CLOSED = Cause(
    "port_closed",
    gettext_noop("%(party)s does not answer: nothing listens at %(host)s, port %(port)s."),
    gettext_noop(
        "Is PostgreSQL started there, does it listen for other machines (listen_addresses), and "
        "is this the right port? Nothing is lost: the rows wait."
    ),
    hints={
        PartyKind.SERVER: gettext_noop(
            "The machine is up. Is the bonus server started, and is this the right port?"
        ),
        PartyKind.MAIL: MAIL_HINT,
    },
)


HOST_SILENT = Cause(
    "host_silent",
    gettext_noop(
        "%(party)s does not answer: no connection to %(host)s, port %(port)s, within %(seconds)s s."
    ),
    gettext_noop(
        "Is the machine up, and does a firewall drop the connection? Nothing is lost: the rows "
        "wait."
    ),
    hints={
        PartyKind.SERVER: gettext_noop(
            "The machine is switched off, or a firewall drops the connection. Check the host, and "
            "that this machine may connect to that port."
        ),
        PartyKind.MAIL: MAIL_HINT,
    },
)


TOO_MANY_CONNECTIONS = Cause(
    "too_many_connections",
    gettext_noop("%(party)s takes no more connections."),
    gettext_noop(
        "Ask its administrator to raise max_connections or the limit of the user or the database, "
        "or to stop the program that holds the connections. Nothing is lost: the rows wait."
    ),
)


DATABASE_MISSING = Cause(
    "database_missing",
    gettext_noop("%(party)s does not exist: %(host)s has no database %(name)s."),
    gettext_noop(
        "Check the name of the database; capital letters count. Nothing is lost: the rows wait."
    ),
)


LOGIN_REFUSED = Cause(
    "login_refused",
    gettext_noop("%(party)s refuses the log-in of the user %(user)s."),
    gettext_noop(
        "Check user and password. The database's pg_hba.conf also has to let this machine in. "
        "Nothing is lost: the rows wait."
    ),
)


WEAK_LOGIN = Cause(
    "weak_login",
    gettext_noop(
        "%(party)s at %(host)s asks for the password in a way in which it could be read or "
        "guessed, so it was not sent."
    ),
    gettext_noop(
        "Have its administrator set password_encryption = scram-sha-256, set the password of "
        "%(user)s again and enter scram-sha-256 in pg_hba.conf. Or allow the weaker way: in the "
        "settings of the bonus server, or by ?require_auth=md5 in the URL of the database."
    ),
)


CONNECTION_LOST = Cause(
    "connection_lost",
    gettext_noop("%(party)s: the connection was lost."),
    gettext_noop(
        "The current step was rolled back. The next run continues where this one stopped."
    ),
    hints={
        PartyKind.SERVER: gettext_noop(
            "It closed the connection before it answered: it was restarted, or it crashed. Try "
            "again. If it happens again, look at its log. Does it expect HTTPS on this port?"
        ),
    },
    maybe_done=True,
)


ANSWER_OVERDUE = Cause(
    "answer_overdue",
    gettext_noop(
        "%(party)s stopped answering: it accepted our log-in, and then gave no answer within "
        "%(seconds)s s."
    ),
    gettext_noop(
        "The connection was closed, and the step rolled back. Check the server, and the firewall "
        "or proxy before it. The next run continues where this one stopped."
    ),
    maybe_done=True,
)


ANSWER_TOO_LARGE = Cause(
    "answer_too_large",
    gettext_noop(
        "%(party)s answered one question with more than %(megabytes)s MB, messages included."
    ),
    gettext_noop(
        "The connection was closed, and the step rolled back. Ask its administrator who replaced "
        "a table of the schema datatransfer by a view, stored a huge value, or wrote a trigger "
        "that sends messages."
    ),
    maybe_done=True,
)


QUERY_FAILED = Cause(
    "query_failed",
    gettext_noop("%(party)s refused a statement."),
    gettext_noop(
        "The step was rolled back. Often a right is missing, or somebody changed a table; the "
        "technical text names it."
    ),
)


TOO_SLOW = Cause(
    "too_slow",
    gettext_noop("%(party)s did not answer in time."),
    gettext_noop(
        "The step was rolled back. Look for a lock held for long, a slow trigger or an overloaded "
        "server. A transfer tries smaller steps automatically, down to one row."
    ),
    hints={
        PartyKind.SERVER: gettext_noop(
            "It accepts connections, but it is overloaded, hangs, or is not a bonus server. Look "
            "at its log, or restart it."
        ),
        PartyKind.CHECK: gettext_noop(
            "Something in between accepts the connection and does not pass it on: a firewall, a "
            "proxy, or an overloaded server."
        ),
    },
    maybe_done=True,
)


ANSWER_INVALID = Cause(
    "answer_invalid",
    gettext_noop(
        "%(party)s gave an impossible answer: %(what)s. Data Transfer has never written this there."
    ),
    gettext_noop(
        "Nothing was moved. A table of the schema datatransfer in that database, or its triggers, "
        "rules or types, were changed: ask its administrator. Servers that do not need this table "
        "continue."
    ),
    remedy="the database's administrator restores our schema",
)


TOO_MANY_ROWS = Cause(
    "too_many_rows",
    gettext_noop(
        "%(party)s answered one question with more than %(rows)s rows. Data Transfer has never "
        "written so many there."
    ),
    gettext_noop(
        "Nothing was moved. Ask its administrator who changed a table of the schema datatransfer "
        "in that database, or replaced it by a view. Servers that do not need this table continue."
    ),
    remedy="the database's administrator restores our schema",
)


STANDBY_AS_SOURCE = Cause(
    "standby_as_source",
    gettext_noop("%(party)s is a replica, which can only be read."),
    gettext_noop("Name the primary server instead."),
    hints={
        PartyKind.SHOP_ALL: gettext_noop(
            "A replica shows commits in another order and may lag, so rows could be lost. Let "
            "SHOP_ALL_DATABASE_URL name the primary server."
        ),
    },
    remedy="name the primary server",
)

NO_CONNECTION = frozenset(
    (
        *(UNREACHABLE, HOST_UNKNOWN, PORT_CLOSED, HOST_SILENT, TOO_MANY_CONNECTIONS),
        *(DATABASE_MISSING, LOGIN_REFUSED, WEAK_LOGIN),
    )
)
"""No connection could be opened."""

LOSE_CONTACT = NO_CONNECTION | {CONNECTION_LOST, ANSWER_OVERDUE, ANSWER_TOO_LARGE, TOO_SLOW}
"""There was no connection, or it broke, or no answer came in time."""
