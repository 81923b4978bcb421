"""A bonus server's administration port."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

API_NO_TOKEN = Cause(
    "api_no_token",
    gettext_noop("No API token of %(server)s is stored."),
    gettext_noop(
        "Enter it in the settings of the bonus server. Its administrator chose it when the server "
        "was set up."
    ),
)


API_SECRET_UNREADABLE = Cause(
    "api_secret_unreadable",
    gettext_noop("The stored secrets of %(server)s can't be decrypted."),
    gettext_noop(
        "SECRET_KEY was changed. Put the old key into SECRET_KEY_FALLBACKS and run: "
        "manage.py rotate_secrets. Or enter the password and the token again."
    ),
)


API_NONSENSE = Cause(
    "api_nonsense",
    gettext_noop(
        "%(server)s: what answers on port %(port)s does not speak the bonus server's protocol."
    ),
    gettext_noop(
        "Probably another program listens there, or the ports for administration and for work "
        "are mixed up."
    ),
    maybe_done=True,
)


# Recognised by its answer: without a register's log-in, it asks for one.
API_SERVICE_PORT = Cause(
    "api_service_port",
    gettext_noop("%(server)s: port %(port)s is the service port, where registers log in."),
    gettext_noop("Enter the administration port: it is another one."),
)


API_ADMIN_PORT = Cause(
    "api_admin_port",
    gettext_noop(
        "%(server)s: port %(port)s is the administration port. Registers can't work with it."
    ),
    gettext_noop("Enter the service port: it is another one."),
)


API_PORTS_SWAPPED = Cause(
    "api_ports_swapped",
    gettext_noop(
        "%(server)s: the ports are swapped. %(admin)s is the service port, and %(work)s the "
        "administration port."
    ),
    gettext_noop("Swap them."),
)


API_NO_TLS = Cause(
    "api_no_tls",
    gettext_noop("%(server)s does not speak HTTPS on port %(port)s."),
    gettext_noop("Switch HTTPS off for this server, or give the server a certificate."),
)


API_CERTIFICATE_EXPIRED = Cause(
    "api_certificate_expired",
    gettext_noop("The certificate of %(server)s has expired."),
    gettext_noop("Ask its administrator to renew it. Also check the clock of this machine."),
)


API_CERTIFICATE_OF_ANOTHER = Cause(
    "api_certificate_of_another",
    gettext_noop("The certificate of %(server)s is not for the host %(host)s."),
    gettext_noop(
        "Enter the host exactly as the certificate names it. If you did, somebody else may be "
        "answering in its place."
    ),
)


API_CERTIFICATE_UNKNOWN = Cause(
    "api_certificate_unknown",
    gettext_noop(
        "The certificate of %(server)s is not signed by an authority that is trusted here."
    ),
    gettext_noop(
        "If your company has an authority of its own, paste its certificate (PEM) into the "
        "settings of this server."
    ),
)


API_TOKEN_REFUSED = Cause(
    "api_token_refused",
    gettext_noop("%(server)s refuses the API token."),
    gettext_noop("Ask its administrator for the token that is valid now, and enter it here."),
)


API_REGISTER_EXISTS = Cause(
    "api_register_exists",
    gettext_noop("%(server)s has an account of this register already."),
    gettext_noop(
        "Its password is not known here. If the register does not know it either, delete the "
        "account and create it again."
    ),
    concerns_all=False,
)


API_REGISTER_UNKNOWN = Cause(
    "api_register_unknown",
    gettext_noop("%(server)s has no account of this register."),
    gettext_noop("Somebody deleted it there. Create it again."),
    concerns_all=False,
)


ACCOUNT_SECRET_NOT_TAKEN = Cause(
    "account_secret_not_taken",
    gettext_noop("Nobody collected its password within a day, and it was deleted."),
    gettext_noop("Create the account again: it then gets another login and password."),
    concerns_all=False,
)


API_REFUSED = Cause(
    "api_refused",
    gettext_noop("%(server)s refused the request (HTTP %(status)s)."),
    gettext_noop("Look at its log; the technical text holds what it said."),
    concerns_all=False,
)


API_BROKEN = Cause(
    "api_broken",
    gettext_noop("%(server)s reports an error of its own (HTTP %(status)s)."),
    gettext_noop("Look at its log, or ask its administrator. Then try again."),
    maybe_done=True,
    concerns_all=False,
)


API_BUSY = Cause(
    "api_busy",
    gettext_noop("%(server)s is overloaded or its database does not answer."),
    gettext_noop("Try again in a few minutes. If it stays so, look at its log."),
    maybe_done=True,
)
