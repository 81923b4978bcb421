"""The settings of a bonus server. Its secrets can be written but not read."""

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _, gettext_lazy, pgettext_lazy

from transfer.models import BonusServer
from transfer.pages.fields import reason_field

# Each secret, and the fields that say where and how it is sent. It is valid for these only.
SECRETS = {
    "api_token": ("host", "admin_port", "api_tls", "api_verify", "api_ca"),
    "db_password": ("db_host", "db_port", "db_name", "db_sslmode", "db_any_auth"),
}


class ServerForm(forms.ModelForm[BonusServer]):
    class Meta:
        model = BonusServer
        labels = {
            "name": pgettext_lazy("of a bonus server", "Name"),
            "host": gettext_lazy("Host"),
            "admin_port": gettext_lazy("Administration port"),
            "work_port": gettext_lazy("Service port"),
            "api_token": gettext_lazy("API token"),
            "api_tls": gettext_lazy("HTTPS"),
            "api_verify": gettext_lazy("Check the certificate"),
            "api_ca": gettext_lazy("Certificate of your own authority"),
            "db_host": gettext_lazy("Host"),
            "db_port": gettext_lazy("Port"),
            "db_name": gettext_lazy("Database"),
            "db_user": gettext_lazy("User"),
            "db_password": gettext_lazy("Password"),
            "db_sslmode": gettext_lazy("Encryption"),
            "db_any_auth": gettext_lazy("Allow a weaker log-in"),
        }
        fields = list(labels)
        help_texts = {
            "name": gettext_lazy(
                "What people call it: the name is shown on every page and in the history."
            ),
            "host": gettext_lazy("Name or IP address."),
            "api_token": gettext_lazy(
                "Without it transfers work, but accounts of registers are not managed here."
            ),
            "api_tls": gettext_lazy("Without it the token can be read on the way to the server."),
            "api_verify": gettext_lazy("Otherwise another machine can pose as the server."),
            "api_ca": gettext_lazy(
                "Only if the server's certificate is signed by an authority of your company: its "
                "certificate as PEM text."
            ),
            "db_host": gettext_lazy("Empty: the database on this machine."),
            "db_sslmode": gettext_lazy(
                "“prefer” encrypts if the server can; “verify-full” insists on it."
            ),
            "db_any_auth": gettext_lazy(
                "Only for PostgreSQL without SCRAM on another machine: a machine that poses as it "
                "can then get the password."
            ),
        }
        widgets = {
            **dict.fromkeys(SECRETS, forms.PasswordInput({"autocomplete": "new-password"})),
            "api_ca": forms.Textarea(
                attrs={"rows": 4, "spellcheck": "false", "class": "mono", "autocomplete": "off"}
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored = {name: getattr(self.instance, name) for name in SECRETS}
        for name in filter(self.stored.get, SECRETS):
            self.fields[name].help_text = _(
                "One is stored, and is never shown. Leave this empty to keep it, unless the "
                "address or the encryption changes."
            )
        self.fields["db_sslmode"].choices = [(mode, mode) for mode in BonusServer.SSLMode.values]  # type: ignore[attr-defined]
        self.initial.update(dict.fromkeys(SECRETS, ""))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name, sent_to in SECRETS.items():
            if name not in cleaned or cleaned[name] or not self.stored[name]:
                continue
            if {*sent_to} & {*self.changed_data}:
                self.add_error(name, _("Enter it again: the stored one is for another address."))
            else:
                cleaned[name] = self.stored[name]
        return cleaned

    def ports_to_swap(self) -> list[Any]:
        """The fields of both ports, which replace those of the page."""
        ports = [self[name] for name in ("admin_port", "work_port")]
        for port in ports:
            port.field.widget.attrs["hx-swap-oob"] = "true"
        return ports

    def changes(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The old and new values of changed fields, for the audit."""
        stored = BonusServer.objects.filter(pk=self.instance.pk).first() or BonusServer()
        old, new = {}, {}
        for name in self._meta.fields or ():
            was, now = getattr(stored, name), self.cleaned_data[name]
            if (was or "") != (now or ""):
                old[name], new[name] = was, now
        return old, new


def swapped(data: QueryDict) -> QueryDict:
    """The entered values, with the two ports swapped."""
    changed = data.copy()
    admin, service = data.get("admin_port", ""), data.get("work_port", "")
    changed["admin_port"], changed["work_port"] = service, admin
    return changed


class BlockForm(forms.Form):
    """Why registers are blocked. Their pages show the reason."""

    reason = reason_field(gettext_lazy("It is shown with the register and in the audit."))
