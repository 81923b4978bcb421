"""Templates of files, and the bad lines of a file."""

from functools import cache
from operator import itemgetter

from django.utils.translation import gettext as _

from transfer.causes.catalogue import CATALOGUE
from transfer.engine.kind import Kind
from transfer.loading.headings import REJECT
from transfer.models import Upload
from transfer.pages.exports import Field, Sheet, column_fields
from transfer.text.columns import HOW_TO_FILL_IN, KEPT_PIN, heading, how_to_fill_in, named
from transfer.text.explain import explain


def bad_lines(upload: Upload) -> Sheet:
    """All bad lines as received, and what to do, to be corrected and loaded again.

    The columns that loading reads come first. The others have headings that it ignores.
    """
    explained = cache(lambda code: explain(CATALOGUE[code]))
    has_rejects = REJECT in upload.layout.get("columns", {})
    fields = [
        *column_fields(upload.kind_spec, lambda line, name: line.cells.get(name, "")),
        *([Field(heading(REJECT), lambda line: line.cells.get(REJECT))] if has_rejects else []),
        Field(_("Line in the file"), lambda line: line.line),
        Field(_("What is wrong"), lambda line: explained(line.code).sentence),
        Field(_("Where"), lambda line: named(line.columns)),
        Field(_("Value"), lambda line: line.value),
        Field(_("What to do"), lambda line: explained(line.code).hint),
    ]
    if upload.kind_spec.secrets:
        note = _("PIN codes are never shown: enter them again.")
        kept_pin = _("•••• keeps the PIN code of the rejected row.") if has_rejects else ""
        fields.append(Field(_("About the PIN code"), lambda line: f"{note} {kept_pin}".strip()))
    return Sheet(_("Bad lines"), fields, upload.bad_lines.all())


def template(kind: Kind) -> list[Sheet]:
    """The headings, and in a workbook also how to fill in the cells."""
    fields = column_fields(kind, lambda _row, _name: "")
    needed = {name for group in kind.needed for name in group}
    explanations = []
    for column in kind.columns:
        may_be_empty = "" if column.name in needed else _("May be empty.")
        words = f"{how_to_fill_in(kind, column.name)} {may_be_empty}".strip()
        explanations.append((heading(column.name), words))
        if column.secret:
            explanations.append(("", str(KEPT_PIN)))
    explanations.append((heading(REJECT), str(HOW_TO_FILL_IN[REJECT])))
    how = _("How to fill it in")
    explained = [Field(_("Column"), itemgetter(0)), Field(how, itemgetter(1))]
    return [Sheet(_("Data"), fields, ()), Sheet(how, explained, explanations)]
