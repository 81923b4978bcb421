"""What can go wrong between us and a bonus server's administration port."""

from typing import ClassVar

from transfer.errors import DatabaseHostUnknown, TransferError, gettext_noop


class ApiError(TransferError):
    """`maybe_done`: the request may have been carried out, though no good answer came."""

    code = "api_failed"
    sentence = gettext_noop("%(server)s could not be asked: %(reason)s.")
    hint = gettext_noop("Check host and ports of the bonus server, and test the connection.")
    maybe_done: ClassVar[bool] = False
    # Whoever asks for the next register will fare no better.
    concerns_all: ClassVar[bool] = True


class NoToken(ApiError):
    code = "api_no_token"
    sentence = gettext_noop("No API token of %(server)s is stored.")
    hint = gettext_noop(
        "Enter it in the settings of the bonus server. Its administrator chose it when the server "
        "was set up."
    )


class SecretUnreadable(ApiError):
    code = "api_secret_unreadable"
    sentence = gettext_noop("The stored secrets of %(server)s can't be decrypted.")
    hint = gettext_noop(
        "SECRET_KEY was changed. Put the old key into SECRET_KEY_FALLBACKS and run: "
        "manage.py rotate_secrets. Or enter the password and the token again."
    )


class HostUnknown(ApiError):
    code = "api_host_unknown"
    sentence = gettext_noop("The name %(host)s is not known in this network.")
    hint = DatabaseHostUnknown.hint


class PortClosed(ApiError):
    code = "api_port_closed"
    sentence = gettext_noop("%(host)s refuses connections on port %(port)s.")
    hint = gettext_noop(
        "The machine is up, but nothing listens there. Is the bonus server started, and is this "
        "the right port?"
    )


class HostSilent(ApiError):
    code = "api_host_silent"
    sentence = gettext_noop(
        "%(host)s does not answer on port %(port)s: no connection within %(seconds)s s."
    )
    hint = gettext_noop(
        "The machine is switched off, or a firewall drops the connection. Check the host, and "
        "that this machine may connect to that port."
    )


class NoRoute(ApiError):
    code = "api_no_route"
    sentence = gettext_noop("%(host)s can't be reached on port %(port)s: %(reason)s.")
    hint = gettext_noop("Check the host, the network in between, and its firewall.")


class ApiTooSlow(ApiError):
    code = "api_too_slow"
    sentence = gettext_noop("%(server)s did not answer within %(seconds)s s.")
    hint = gettext_noop(
        "The connection stands, but the server is overloaded, hangs, or is not a bonus server. "
        "Look at its log, or restart it."
    )
    maybe_done = True


class CutOff(ApiError):
    code = "api_cut_off"
    sentence = gettext_noop("%(server)s closed the connection before it had answered.")
    hint = gettext_noop(
        "It was restarted, or it broke down. Try again; if it happens again, look at its log. "
        "Does it expect HTTPS on this port?"
    )
    maybe_done = True


class Nonsense(ApiError):
    code = "api_nonsense"
    sentence = gettext_noop(
        "What answers on port %(port)s of %(host)s does not speak the bonus server's protocol."
    )
    hint = gettext_noop(
        "Probably another program listens there, or the ports for administration and for work "
        "are mixed up."
    )
    maybe_done = True


class NoTls(ApiError):
    code = "api_no_tls"
    sentence = gettext_noop("%(host)s does not speak HTTPS on port %(port)s.")
    hint = gettext_noop("Switch HTTPS off for this server, or give the server a certificate.")


class CertificateExpired(ApiError):
    code = "api_certificate_expired"
    sentence = gettext_noop("The certificate of %(server)s has expired.")
    hint = gettext_noop(
        "Ask its administrator to renew it. Also check the clock of this machine: %(reason)s."
    )


class CertificateOfAnother(ApiError):
    code = "api_certificate_of_another"
    sentence = gettext_noop("The certificate of %(server)s is not for the host %(host)s.")
    hint = gettext_noop(
        "Enter the host exactly as the certificate names it. If you did, somebody else may be "
        "answering in its place: %(reason)s."
    )


class CertificateUnknown(ApiError):
    code = "api_certificate_unknown"
    sentence = gettext_noop(
        "The certificate of %(server)s is not signed by an authority that is trusted here."
    )
    hint = gettext_noop(
        "If your company has an authority of its own, paste its certificate (PEM) into the "
        "settings of this server: %(reason)s."
    )


class TokenRefused(ApiError):
    code = "api_token_refused"
    sentence = gettext_noop("%(server)s refuses the API token.")
    hint = gettext_noop("Ask its administrator for the token that is valid now, and enter it here.")


class RegisterExists(ApiError):
    code = "api_register_exists"
    sentence = gettext_noop("%(server)s has an account of this register already.")
    hint = gettext_noop(
        "Its password is not known here. If the register does not know it either, delete the "
        "account and create it again."
    )
    concerns_all = False


class RegisterUnknown(ApiError):
    code = "api_register_unknown"
    sentence = gettext_noop("%(server)s has no account of this register.")
    hint = gettext_noop("Somebody deleted it there. Create it again.")
    concerns_all = False


class SecretNotTaken(ApiError):
    code = "account_secret_not_taken"
    sentence = gettext_noop("Nobody collected its password within a day, and it was deleted.")
    hint = gettext_noop("Create the account again: it then gets another login and password.")
    concerns_all = False


class ApiRefused(ApiError):
    code = "api_refused"
    sentence = gettext_noop("%(server)s refused the request (HTTP %(status)s).")
    hint = gettext_noop("Look at its log; the technical text holds what it said.")
    concerns_all = False


class ApiBroken(ApiError):
    code = "api_broken"
    sentence = gettext_noop("%(server)s reports an error of its own (HTTP %(status)s).")
    hint = gettext_noop("Look at its log, or ask its administrator. Then try again.")
    maybe_done = True
    concerns_all = False


class ApiBusy(ApiError):
    code = "api_busy"
    sentence = gettext_noop("%(server)s is overloaded or its database does not answer.")
    hint = gettext_noop("Try again in a few minutes. If it stays so, look at its log.")
    maybe_done = True


class StageTooSlow(ApiError):
    code = "test_too_slow"
    sentence = gettext_noop("Nothing came back within %(seconds)s s.")
    hint = gettext_noop(
        "Something in between accepts the connection and lets it hang: a firewall, a proxy, or "
        "an overloaded server."
    )
