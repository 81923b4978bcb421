"""Corrections of rejected rows, read and judged as a line of a file."""

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext as _, gettext_lazy

from transfer.causes.catalogue import CATALOGUE
from transfer.causes.file_lines import PIN_GONE, PIN_MASKED, ROW_GONE
from transfer.causes.rows import reason_named
from transfer.engine.checks import Repair
from transfer.engine.kind import Kind
from transfer.loading.values import as_people_write, is_masked, reader
from transfer.models import RejectedRow, Settings
from transfer.pages.fields import DrawnHidden, reason_field
from transfer.pages.parts.entry_form import STATUSES, EntryForm
from transfer.pages.rejects.suggestions import suggestion, words_of
from transfer.rejects.resend import Values
from transfer.text import formats
from transfer.text.columns import heading
from transfer.text.explain import Explanation, explain

ROW_IS_GONE = "row_is_gone"
OF_PIN_CODES = {PIN_MASKED.code, PIN_GONE.code}  # faults that no check of a kind looks for


class CorrectionForm(EntryForm):
    """The fields of a row. `values` holds only the fields that the user has changed.

    The shown values come from a bonus server, which may forge them, so the resend takes unchanged
    values from shop All. If the row is gone from there, the fields are empty and all are required.
    """

    def __init__(self, kind: Kind, zone: ZoneInfo, *args: Any, **options: Any) -> None:
        super().__init__(kind, *args, **options)
        self.zone = zone
        self.values: Values = {}
        self.fields[ROW_IS_GONE] = forms.BooleanField(required=False, widget=forms.HiddenInput)
        for name in kind.names:
            field = self.fields[name]
            field.show_hidden_initial = name not in kind.secrets  # it may change meanwhile
            field.hidden_widget = DrawnHidden
            if isinstance(field, forms.CharField):
                field.strip = False
            elif isinstance(field, forms.ChoiceField):
                # A value that is no choice is offered, or the browser would change it to the first.
                text = self.get_initial_for_field(field, name)
                choices: list[Any] = list(field.choices)  # type: ignore[arg-type]
                if text and text not in dict(choices):
                    field.choices = [(text, text), *choices]
        for name in kind.secrets if not self.data.get(ROW_IS_GONE) else ():
            self.fields[name].required = False
            self.fields[name].help_text = _(
                "Leave it empty to keep the PIN code of the row as it is."
            )

    def clean(self) -> None:
        typed = self.kind.names if self.cleaned_data.get(ROW_IS_GONE) else self.changed_data
        for column in self.kind.columns:
            cell = self.cleaned_data.get(column.name, "")
            stays = column.name not in typed or (column.secret and is_masked(cell))
            if stays or column.name in self.errors:
                continue
            reading = reader(column, self.zone)(cell)
            if reading.fault:
                self.add_error(column.name, str(explain(CATALOGUE[reading.fault])))
            else:
                self.values[column.name] = reading.value

    def refuse_code(self, code: str) -> None:
        """Shows the fault that the checks found at its field.

        Where the row is gone, all fields are emptied: their values may be forged, and can no longer
        be looked up.
        """
        if code != ROW_GONE.code:
            self.show_fault(code)
            return
        self.data = {ROW_IS_GONE: "on"}
        self.errors.clear()
        for name in self.kind.secrets:
            self.fields[name].help_text = ""
        self.add_error(None, str(explain(ROW_GONE)))

    def show_fault(self, code: str) -> None:
        """Shows the fault at its field, or above all fields if the form has no such field."""
        columns = [*self.kind.secrets] if code in OF_PIN_CODES else self.kind.columns_of(code)
        names = [name for name in columns if name in self.fields]
        self.add_error(names[-1] if names else None, str(explain(CATALOGUE[code])))


def received(reject: RejectedRow, zone: ZoneInfo) -> dict[str, str]:
    """The row's values as people type them, with times in this zone; except secrets."""
    texts = {
        name: as_people_write(name, text, zone)
        for name, text in reject.payload.items()
        if name not in reject.kind_spec.secrets
    }
    if "amount" in texts:
        texts["amount"] = formats.typed_amount(texts["amount"])
    return texts


def form_of(reject: RejectedRow, data: Any = None) -> CorrectionForm:
    """The form filled with the row's values, except secrets."""
    zone = Settings.load().zone
    return CorrectionForm(reject.kind_spec, zone, data, initial=received(reject, zone))


class BulkForm(CorrectionForm):
    """A correction of many rows. An empty field leaves each row its own value."""

    def __init__(self, kind: Kind, *args: Any) -> None:
        super().__init__(kind, Settings.load().zone, *args)
        for name in kind.names:
            field = self.fields[name]
            field.required, field.help_text = False, ""
            if isinstance(field, forms.ChoiceField):
                field.choices = [("", _("each keeps its own")), *STATUSES[1:]]
            else:
                field.widget.attrs["placeholder"] = _("each keeps its own")


class GridForm(CorrectionForm):
    """The fields of one row of the grid: the given columns, with the suggestion filled in.

    A row in which nothing differs from what was received is not judged, and not sent. A suggestion
    that the user leaves as it is becomes the `repair`, which shop All applies to its own row.
    """

    use_required_attribute = False

    def __init__(
        self, reject: RejectedRow, zone: ZoneInfo, columns: Iterable[str], data: Any = None
    ) -> None:
        self.reject = reject
        self.repair: Repair | None = None
        self.received = received(reject, zone)
        self.suggested = suggestion(reject.kind_spec, reject.code, self.received)
        super().__init__(
            reject.kind_spec,
            zone,
            data,
            prefix=f"r{reject.pk}",
            initial=self.received | self.suggested,
            empty_permitted=True,
        )
        for name in self.fields.keys() - set(columns):
            del self.fields[name]
        for field in self.fields.values():
            names = {"column": field.label, "number": reject.row}
            field.widget.attrs["aria-label"] = _("%(column)s, row %(number)s") % names
            field.help_text = ""
        if data is None:  # hidden fields keep the values as received
            self.data = {
                self.add_initial_prefix(name): self.received.get(name, "") for name in self.fields
            }

    @property
    def named(self) -> list[tuple[str, str]]:
        """Heading and text of the columns that name the row and can't be corrected here."""
        texts, named = self.received, [n for group in self.kind.needed for n in group]
        return [(heading(n), texts[n]) for n in named if n not in self.fields and texts.get(n)]

    @property
    def reason(self) -> Explanation:
        return explain(reason_named(self.reject.code))

    @property
    def hints(self) -> list[str]:
        """The suggestions, each as a sentence."""
        words = words_of(self.kind, self.reject.code)
        return [
            str(words.in_grid) % {"old": self.received[name], "new": new}
            for name, new in self.suggested.items()
            if words
        ]

    def is_corrected(self) -> bool:
        """Whether there is a correction to send, without a fault."""
        return self.has_changed() and self.is_valid() and bool(self.values or self.repair)

    def clean(self) -> None:
        super().clean()
        shown = {name: self.data.get(self.add_initial_prefix(name)) for name in self.fields}
        suggested = suggestion(self.kind, self.reject.code, shown)
        if suggested and all(self.cleaned_data.get(name) == suggested[name] for name in suggested):
            self.repair = self.kind.repair_of(self.reject.code)
            self.values = {n: value for n, value in self.values.items() if n not in suggested}


class DiscardForm(forms.Form):
    """Why rows are never sent. The reason is shown in the audit and with the row."""

    reason = reason_field(gettext_lazy("It is shown with the row and in the audit."))
