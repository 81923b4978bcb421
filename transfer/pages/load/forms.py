"""Forms about a file: which table it is for, and how to read it."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _, gettext_lazy

from transfer.loading.headings import REJECT, missing
from transfer.models import Upload
from transfer.text.columns import alternatives, heading, heading_of_place, table_choices

ENCODINGS = [
    ("", gettext_lazy("Recognised automatically")),
    ("utf-8-sig", "UTF-8"),
    ("cp1251", "Windows-1251 (CP1251)"),
    ("cp866", "DOS (CP866)"),
    ("utf-16", "UTF-16"),
]
DELIMITERS = [
    ("", gettext_lazy("Recognised automatically")),
    (";", gettext_lazy("Semicolon ;")),
    (",", gettext_lazy("Comma ,")),
    ("\t", gettext_lazy("Tab")),
    ("|", gettext_lazy("Bar |")),
]


class UploadForm(forms.Form):
    kind = forms.ChoiceField(
        label=gettext_lazy("What is in the file"),
        choices=lambda: [("", _("Recognised by the headings")), *table_choices()],
        widget=forms.RadioSelect,
        required=False,
    )
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("CSV, XLSX, XLS or ODS, up to 256 MB and a million lines."),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx,.xlsm,.xls,.ods"}),
        allow_empty_file=True,  # reading the file reports it
        max_length=1000,
    )


class Choice(forms.ChoiceField):
    """A field whose empty choice is a valid answer, so it is not marked as optional."""

    def validate(self, value: Any) -> None:
        if value:
            super().validate(value)


class ReadingForm(forms.Form):
    """Which column is which; for CSV also encoding and separators."""

    use_required_attribute = False

    header = forms.IntegerField(
        label=gettext_lazy("Line of the headings"),
        min_value=0,
        max_value=1000,
        help_text=gettext_lazy("0: the file has no headings. Lines above them are not read."),
    )

    def __init__(self, upload: Upload, data: Any = None) -> None:
        layout = upload.layout
        self.upload = upload
        super().__init__(data, initial={"header": layout["header"]} | self.chosen_before())
        if layout["format"] == "csv":
            self.fields["encoding"] = Choice(label=_("Encoding"), choices=ENCODINGS)
            self.fields["delimiter"] = Choice(label=_("Separator"), choices=DELIMITERS)
        if len(layout.get("sheets", [])) > 1:
            names = [(name, name) for name in layout["sheets"]]
            self.fields["sheet"] = forms.ChoiceField(label=_("Sheet"), choices=names)
        self.places = [heading_of_place(layout, n) for n in range(len(layout["headings"]))]
        for name in self.names():
            self.fields[f"column_{name}"] = Choice(
                label=heading(name) if name == REJECT else f"{heading(name)} ({name})",
                choices=[("", _("is not in the file")), *enumerate(self.places)],
                initial=layout["columns"].get(name),
            )

    def names(self) -> list[str]:
        return [*self.upload.kind_spec.names, REJECT]

    def chosen_before(self) -> dict[str, Any]:
        """The choices that decide which columns there are."""
        chosen = {name: self.upload.chosen.get(name, "") for name in ("encoding", "delimiter")}
        return chosen | {"sheet": self.upload.layout.get("sheet", "")}

    def clean(self) -> None:
        columns = self.columns()
        if len(set(columns.values())) < len(columns):
            self.add_error(None, _("One column of the file is given twice."))
        # Another separator or sheet has other columns, so they are recognised again.
        elif not self.rereads() and (lacking := missing(self.upload.kind_spec, columns)):
            text = _("Choose where it is in the file: %(names)s.")
            self.add_error(None, text % {"names": alternatives(lacking)})

    def columns(self) -> dict[str, int]:
        named = {name: self.cleaned_data.get(f"column_{name}") for name in self.names()}
        return {name: int(place) for name, place in named.items() if place}

    def rereads(self) -> bool:
        before = self.chosen_before()
        return any(self.cleaned_data.get(name, old) != old for name, old in before.items())

    def chosen(self) -> dict[str, Any]:
        """The choices as the upload stores them."""
        cleaned = self.cleaned_data
        chosen = {name: cleaned[name] for name in self.chosen_before() if cleaned.get(name)}
        if self.rereads():
            return chosen
        return chosen | {"header": cleaned["header"], "columns": self.columns()}
