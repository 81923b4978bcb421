"""What can be wrong around the installation: the address of its pages, certificates."""

from transfer.errors.base import TransferError
from transfer.parties import gettext_noop


class AddressInvalid(TransferError):
    code = "address_invalid"
    sentence = gettext_noop("SITE_URL is not an address of pages: %(address)s.")
    hint = gettext_noop("Write it into the env file as in https://dtadmin.shop.local.")


class PagesSilent(TransferError):
    code = "pages_silent"
    sentence = gettext_noop("The pages do not answer at %(address)s: %(what)s.")
    hint = gettext_noop("Start them: gunicorn")


class PagesStopped(TransferError):
    code = "pages_stopped"
    sentence = gettext_noop(
        "At %(address)s the proxy answers (HTTP %(code)s), and the pages behind it do not."
    )
    hint = gettext_noop("Start them: gunicorn")


class AddressRefused(TransferError):
    code = "address_refused"
    sentence = gettext_noop("The pages refuse to be called %(address)s.")
    hint = gettext_noop("Add the name in this address to ALLOWED_HOSTS, and restart the pages.")


class AnotherProgram(TransferError):
    code = "doctor_another_program"
    sentence = gettext_noop("At %(address)s another program answers (HTTP %(code)s).")
    hint = gettext_noop(
        "Stop the program that has the port, or give the pages another port and change SITE_URL."
    )


class CertificateEnds(TransferError):
    code = "certificate_ends"
    sentence = gettext_noop("The certificate of %(server)s ends in %(days)s days.")
    hint = gettext_noop("Ask its administrator to renew it before it ends.")
