"""The form of a single change. It is judged by the same rules as a line of a file."""

import csv
import io
from typing import Any

from django import forms
from django.utils.translation import gettext as _, gettext_lazy

from transfer.causes.catalogue import CATALOGUE
from transfer.engine.checks import CARD_STATUSES
from transfer.engine.kind import Kind
from transfer.engine.table_mapping import Column
from transfer.models import Upload
from transfer.pages.fields import DrawnPassword, DrawnText, LongSelect
from transfer.text.columns import heading, how_to_fill_in
from transfer.text.explain import explain

STATUSES = [
    ("", gettext_lazy("stays as it is")),
    *((str(number), gettext_lazy(status.words)) for number, status in CARD_STATUSES.items()),
]
LONGEST = 1000
DELIMITER = ";"


class EntryForm(forms.Form):
    """A field for each column of the kind's staging table."""

    def __init__(self, kind: Kind, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.kind = kind
        self.fields.update({column.name: _field(kind, column) for column in kind.columns})

    def line(self) -> bytes:
        """The change as a file of one line."""
        text = io.StringIO()
        writer = csv.writer(text, delimiter=DELIMITER)
        writer.writerows([self.kind.names, [self.cleaned_data[name] for name in self.kind.names]])
        return text.getvalue().encode()

    def reading(self) -> dict[str, Any]:
        """How that file is to be read."""
        places = {name: place for place, name in enumerate(self.kind.names)}
        return {"encoding": "utf-8-sig", "delimiter": DELIMITER, "header": 1, "columns": places}

    def subject(self) -> str:
        return str(self.cleaned_data[self.kind.names[0]]).strip()

    def refuse(self, upload: Upload) -> None:
        """Shows the faults that the checks find at their fields."""
        for line in upload.bad_lines.all():
            column = line.columns.split(", ")[-1]
            field = column if column in self.fields else None
            self.add_error(field, str(explain(CATALOGUE[line.code])))
        if not self.errors:
            self.add_error(None, _("This can't be read as a change."))


def _field(kind: Kind, column: Column) -> forms.Field:
    common: dict[str, Any] = {
        "label": heading(column.name),
        "required": (column.name,) in kind.needed,
    }
    if column.name == "status":
        return forms.ChoiceField(choices=STATUSES, widget=LongSelect, **common)
    common |= {"help_text": how_to_fill_in(kind, column.name), "max_length": LONGEST}
    if column.secret:
        common["help_text"] = _("It is not shown again, neither here nor anywhere else.")
        hidden = DrawnPassword(attrs={"autocomplete": "new-password"})
        return forms.CharField(widget=hidden, strip=False, **common)
    if column.name in ("account", "card") and common["required"]:
        common["help_text"] = ""
    attributes = {"autocomplete": "off"}
    if column.name == "amount":
        attributes["inputmode"] = "decimal"
    return forms.CharField(widget=DrawnText(attrs=attributes), **common)
