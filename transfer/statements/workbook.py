"""A statement as a workbook: its figures, and the rejected rows that were open."""

import io
from typing import Any

from django.utils.translation import gettext as _

from transfer.statements import words
from transfer.text.workbook import Field, Sheet, write_workbook


def sheets(content: dict[str, Any]) -> list[Sheet]:
    """Return the tables of a statement, in the reader's language."""
    rows: list[dict[str, Any]] = []
    for kind in words.kinds(content):
        of_log = [{"kind": kind.title, "server": _("Shop All"), "of": one} for one in kind.log]
        of_servers = [
            {"kind": kind.title, "server": server.name, "of": one}
            for server in kind.servers
            for one in server.figures
        ]
        rows += of_log + of_servers
    figures = [
        Field(_("Transfer"), lambda one: one["kind"]),
        Field(_("Where"), lambda one: one["server"]),
        Field(_("What"), lambda one: one["of"].label),
        Field(_("Rows"), lambda one: one["of"].rows),
        Field(_("Sum"), lambda one: one["of"].amount),
    ]
    rejects = [
        Field(_("Number"), lambda one: one["key"]),
        Field(_("Transfer"), lambda one: words.WORDS[one["kind"]]),
        Field(_("Bonus server"), lambda one: one["server"]),
        Field(_("Reason"), lambda one: one["code"]),
    ]
    return [
        Sheet(_("Statement"), figures, rows),
        Sheet(_("Open rejected rows"), rejects, content["open_rejects"]),
    ]


def workbook(content: dict[str, Any]) -> bytes:
    """Return the file."""
    file = io.BytesIO()
    write_workbook(file, sheets(content))
    return file.getvalue()
