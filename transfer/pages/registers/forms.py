from typing import Any

from django import forms
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import CashRegister, Shop
from transfer.pages.fields import LongSelect


class RegisterForm(forms.ModelForm[CashRegister]):
    class Meta:
        model = CashRegister
        fields = ["shop", "code", "name", "mothballed"]
        labels = {"mothballed": gettext_lazy("Out of service")}
        widgets = {"shop": LongSelect}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False
        self.fields["name"].help_text = _("What people call it. Empty: the code.")
        if self.instance.pk and self.instance.accounts.settled().exists():
            self.fields["code"].disabled = True
            self.fields["code"].help_text = _(
                "It can't be changed: a bonus server knows the register by it. An administrator "
                "has to delete its accounts first."
            )


class ShopForm(forms.ModelForm[Shop]):
    class Meta:
        model = Shop
        fields = ["code", "name"]
        labels = {"name": gettext_lazy("Shop’s name")}
        help_texts = {
            "code": gettext_lazy(
                "Unique in the chain; it goes to the bonus servers with each account."
            ),
            "name": gettext_lazy("What people call it. Empty: the code."),
        }


class ImportForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy(
            "XLSX or CSV of up to 2 MB, in UTF-8, UTF-16 or Windows-1251; semicolons, commas, tabs "
            "or bars."
        ),
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx,.xlsm"}),
    )
