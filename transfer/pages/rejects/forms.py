"""Corrections of rejected rows, read and judged as a line of a file. And a correction that needs no
input: a number without the spaces that were copied with it.
"""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext as _, gettext_lazy

from transfer.engine.checks import UNPRINTABLE
from transfer.engine.kind import Kind
from transfer.engine.kinds import CHECKS
from transfer.loading.faults import LINE_FAULTS, columns_of
from transfer.loading.report import fault_named
from transfer.loading.values import as_people_write, is_masked, reader
from transfer.models import RejectedRow, Settings
from transfer.pages.load.entry_form import STATUSES, EntryForm
from transfer.rejects.resend import Values
from transfer.text.explain import explain

# Reasons that the removal of spaces may correct. Amounts with a comma do not occur: the staging
# table holds numbers.
SPACES = ("account_has_spaces", "card_malformed")
UNSEEN = re.compile(UNPRINTABLE.replace("[:space:]", r"\s").replace("[:cntrl:]", r"\x00-\x1f\x7f"))


ROW_IS_GONE = "row_is_gone"


class CorrectionForm(EntryForm):
    """The fields of a row. `values` holds only the fields that the user has changed.

    The shown values come from a bonus server, which may forge them, so the resend takes unchanged
    values from shop All. If the row is gone from there, the fields are empty and all are required.
    """

    def __init__(self, kind: Kind, *args: Any, **options: Any) -> None:
        super().__init__(kind, *args, **options)
        self.values: Values = {}
        self.fields[ROW_IS_GONE] = forms.BooleanField(required=False, widget=forms.HiddenInput)
        for name in kind.names:
            field = self.fields[name]
            field.show_hidden_initial = name not in kind.secrets  # it may change meanwhile
            if isinstance(field, forms.CharField):
                field.strip = False
        for name in kind.secrets if not self.data.get(ROW_IS_GONE) else ():
            self.fields[name].required = False
            self.fields[name].help_text = _(
                "Leave it empty to keep the PIN code of the row as it is."
            )

    def clean(self) -> None:
        zone = Settings.load().zone
        typed = self.kind.names if self.cleaned_data.get(ROW_IS_GONE) else self.changed_data
        for column in self.kind.columns:
            cell = self.cleaned_data.get(column.name, "")
            stays = column.name not in typed or (column.secret and is_masked(cell))
            if stays or column.name in self.errors:
                continue
            reading = reader(column, zone)(cell)
            if reading.fault:
                self.add_error(column.name, str(explain(fault_named(reading.fault))))
            else:
                self.values[column.name] = reading.value

    def refuse_code(self, code: str) -> None:
        """Shows the fault that the checks found at its field."""
        if code == "row_gone":
            self._ask_for_all_values()
            return
        names = columns_of(self.kind, (CHECKS | LINE_FAULTS)[code])
        self.add_error(names[-1] if names else None, str(explain(fault_named(code))))

    def _ask_for_all_values(self) -> None:
        """Empties the fields: their values may be forged, and can no longer be looked up."""
        self.data = {ROW_IS_GONE: "on"}
        self.errors.clear()
        for name in self.kind.secrets:
            self.fields[name].help_text = ""
        self.add_error(None, str(explain(fault_named("row_gone"))))


def form_of(reject: RejectedRow, data: Any = None) -> CorrectionForm:
    """The form filled with the row's values, except secrets."""
    zone = Settings.load().zone
    initial = {
        name: as_people_write(name, text, zone)
        for name, text in reject.payload.items()
        if name not in reject.kind_spec.secrets
    }
    return CorrectionForm(reject.kind_spec, data, initial=initial)


class BulkForm(CorrectionForm):
    """A correction of many rows. An empty field leaves each row its own value."""

    def __init__(self, kind: Kind, *args: Any, **options: Any) -> None:
        super().__init__(kind, *args, **options)
        for name in kind.names:
            field = self.fields[name]
            field.required, field.help_text = False, ""
            if isinstance(field, forms.ChoiceField):
                field.choices = [("", _("each keeps its own")), *STATUSES[1:]]
            else:
                field.widget.attrs["placeholder"] = _("each keeps its own")


def without_spaces(kind: Kind, code: str, payload: Values) -> Values:
    """The columns of the failed check without spaces; {} if that changes nothing.

    A value of spaces only is not suggested.
    """
    if code not in SPACES:
        return {}
    given = {name: payload.get(name) or "" for name in columns_of(kind, CHECKS[code])}
    mended = {name: UNSEEN.sub("", value) for name, value in given.items()}
    return {name: value for name, value in mended.items() if value and value != given[name]}


class DiscardForm(forms.Form):
    """Why rows are never sent. The reason is shown in the audit and with the row."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        help_text=gettext_lazy("It is shown with the row and in the audit."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
