"""The period of a statement that somebody wants."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.causes.statements import (
    PERIOD_BEFORE_FIRST_LINE,
    PERIOD_NOT_OVER,
    PERIOD_TURNED_ROUND,
)
from transfer.errors import TransferError
from transfer.models import BonusServer
from transfer.statements.period import Period
from transfer.text.explain import explain

# The field that a refusal is about; others are about none.
FIELD_OF = {
    PERIOD_TURNED_ROUND: "last",
    PERIOD_NOT_OVER: "last",
    PERIOD_BEFORE_FIRST_LINE: "last",
}


class PeriodForm(forms.Form):
    """The month before, unless somebody chooses other days."""

    first = forms.DateField(label=gettext_lazy("First day"))
    last = forms.DateField(
        label=gettext_lazy("Last day"), help_text=gettext_lazy("The period has to be over.")
    )
    server = forms.ModelChoiceField(
        BonusServer.objects.all(),
        label=gettext_lazy("Bonus server"),
        empty_label=gettext_lazy("All bonus servers"),
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        month = Period.month_before(timezone.now())
        self.initial = {"first": month.first, "last": month.last}
        for name in ("first", "last"):
            self.fields[name].widget = forms.DateInput({"type": "date"}, format="%Y-%m-%d")

    def clean(self) -> dict[str, Any]:
        """Return the values with `period`."""
        cleaned = self.cleaned_data
        if "first" in cleaned and "last" in cleaned:
            try:
                cleaned["period"] = Period.of(cleaned["first"], cleaned["last"])
            except TransferError as error:
                self.refuse(error)
        return cleaned

    def refuse(self, error: TransferError) -> None:
        """Say why no statement was made, and what to do."""
        self.add_error(FIELD_OF.get(error.cause), str(explain(error)))
