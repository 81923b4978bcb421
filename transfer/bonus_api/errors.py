"""What can go wrong at a bonus server's administration port."""

from transfer.errors import TransferError, gettext_noop


class NoToken(TransferError):
    code = "api_no_token"
    sentence = gettext_noop("No API token of %(server)s is stored.")
    hint = gettext_noop(
        "Enter it in the settings of the bonus server. Its administrator chose it when the server "
        "was set up."
    )


class SecretUnreadable(TransferError):
    code = "api_secret_unreadable"
    sentence = gettext_noop("The stored secrets of %(server)s can't be decrypted.")
    hint = gettext_noop(
        "SECRET_KEY was changed. Put the old key into SECRET_KEY_FALLBACKS and run: "
        "manage.py rotate_secrets. Or enter the password and the token again."
    )


class Nonsense(TransferError):
    code = "api_nonsense"
    sentence = gettext_noop(
        "%(server)s: what answers on port %(port)s does not speak the bonus server's protocol."
    )
    hint = gettext_noop(
        "Probably another program listens there, or the ports for administration and for work "
        "are mixed up."
    )
    maybe_done = True


class ServicePortInstead(TransferError):
    """Recognised by its answer: without a register's log-in, it asks for one."""

    code = "api_service_port"
    sentence = gettext_noop(
        "%(server)s: port %(port)s is the service port, where registers log in."
    )
    hint = gettext_noop("Enter the administration port: it is another one.")


class AdminPortInstead(TransferError):
    code = "api_admin_port"
    sentence = gettext_noop(
        "%(server)s: port %(port)s is the administration port. Registers can't work with it."
    )
    hint = gettext_noop("Enter the service port: it is another one.")


class PortsSwapped(TransferError):
    code = "api_ports_swapped"
    sentence = gettext_noop(
        "%(server)s: the ports are swapped. %(admin)s is the service port, and %(work)s the "
        "administration port."
    )
    hint = gettext_noop("Swap them.")


class NoTls(TransferError):
    code = "api_no_tls"
    sentence = gettext_noop("%(server)s does not speak HTTPS on port %(port)s.")
    hint = gettext_noop("Switch HTTPS off for this server, or give the server a certificate.")


class CertificateExpired(TransferError):
    code = "api_certificate_expired"
    sentence = gettext_noop("The certificate of %(server)s has expired.")
    hint = gettext_noop("Ask its administrator to renew it. Also check the clock of this machine.")


class CertificateOfAnother(TransferError):
    code = "api_certificate_of_another"
    sentence = gettext_noop("The certificate of %(server)s is not for the host %(host)s.")
    hint = gettext_noop(
        "Enter the host exactly as the certificate names it. If you did, somebody else may be "
        "answering in its place."
    )


class CertificateUnknown(TransferError):
    code = "api_certificate_unknown"
    sentence = gettext_noop(
        "The certificate of %(server)s is not signed by an authority that is trusted here."
    )
    hint = gettext_noop(
        "If your company has an authority of its own, paste its certificate (PEM) into the "
        "settings of this server."
    )


class TokenRefused(TransferError):
    code = "api_token_refused"
    sentence = gettext_noop("%(server)s refuses the API token.")
    hint = gettext_noop("Ask its administrator for the token that is valid now, and enter it here.")


class RegisterExists(TransferError):
    code = "api_register_exists"
    sentence = gettext_noop("%(server)s has an account of this register already.")
    hint = gettext_noop(
        "Its password is not known here. If the register does not know it either, delete the "
        "account and create it again."
    )
    concerns_all = False


class RegisterUnknown(TransferError):
    code = "api_register_unknown"
    sentence = gettext_noop("%(server)s has no account of this register.")
    hint = gettext_noop("Somebody deleted it there. Create it again.")
    concerns_all = False


class SecretNotTaken(TransferError):
    code = "account_secret_not_taken"
    sentence = gettext_noop("Nobody collected its password within a day, and it was deleted.")
    hint = gettext_noop("Create the account again: it then gets another login and password.")
    concerns_all = False


class ApiRefused(TransferError):
    code = "api_refused"
    sentence = gettext_noop("%(server)s refused the request (HTTP %(status)s).")
    hint = gettext_noop("Look at its log; the technical text holds what it said.")
    concerns_all = False


class ApiBroken(TransferError):
    code = "api_broken"
    sentence = gettext_noop("%(server)s reports an error of its own (HTTP %(status)s).")
    hint = gettext_noop("Look at its log, or ask its administrator. Then try again.")
    maybe_done = True
    concerns_all = False


class ApiBusy(TransferError):
    code = "api_busy"
    sentence = gettext_noop("%(server)s is overloaded or its database does not answer.")
    hint = gettext_noop("Try again in a few minutes. If it stays so, look at its log.")
    maybe_done = True
