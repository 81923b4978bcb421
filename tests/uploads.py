"""Files that are loaded: made, checked, loaded, and read back."""

import zipfile
from collections.abc import Callable, Iterable
from datetime import date
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

import pytest
import xlsxwriter
import xlwt
from django.test import Client
from django.urls import reverse

from tests.databases import query
from tests.records import user
from transfer.engine.kinds import KINDS
from transfer.loading import upload_job
from transfer.loading.receive import receive
from transfer.models import Actor, RejectedRow, Upload


@pytest.fixture
def check(db: None, shop_all: str, olga: Actor) -> Callable[..., Upload]:
    """Uploads a file and has it checked: `check("balances", b"…", name="a.csv")`."""

    def check(kind: str, content: bytes, name: str = "file.csv", **chosen: Any) -> Upload:
        upload = receive(KINDS[kind], [content], olga, name=name)
        upload.chosen = chosen
        upload.save()
        upload_job.go_on(upload)
        return upload

    return check


@pytest.fixture
def load(check: Callable[..., Upload], olga: Actor) -> Callable[..., Upload]:
    """Likewise, confirmed and loaded."""

    def load(*arguments: Any, **options: Any) -> Upload:
        upload = check(*arguments, **options)
        assert upload.confirm(olga)
        upload_job.go_on(upload)
        return upload

    return load


@pytest.fixture
def staged(shop_all: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """The rows of a staging table, in their order."""

    def staged(kind: str) -> list[tuple[Any, ...]]:
        columns = ", ".join(column.name for column in KINDS[kind].columns)
        return query(shop_all, f'select {columns} from "{KINDS[kind].staging}" order by id')

    return staged


@pytest.fixture
def download(client: Client) -> Callable[..., bytes]:
    """The bad lines of an upload, as the page gives them."""
    client.force_login(user("operator"))

    def download(upload: Upload, form: str = "csv", language: str = "en") -> bytes:
        client.cookies["django_language"] = language
        response = client.get(reverse("upload_bad_lines", args=[upload.pk, form]))
        return b"".join(response.streaming_content)

    return download


def workbook(rows: list[list[Any]], write: Callable[[Any, Any], None] | None = None) -> bytes:
    """An XLSX of these rows; `write` adds what rows can't say."""
    file = BytesIO()
    with xlsxwriter.Workbook(file, {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        for line, cells in enumerate(rows):
            for place, cell in enumerate(cells):
                if cell is not None:
                    sheet.write(line, place, cell)
        if write:
            write(book, sheet)
    return file.getvalue()


def bad(upload: Upload) -> list[tuple[int, str, str, str]]:
    return list(upload.bad_lines.values_list("line", "columns", "value", "code"))


def rejects_file(*lines: str, head: str = "Rejected row no.;account;amount") -> bytes:
    return "\n".join([head, *lines]).encode()


def closed_as(reject: RejectedRow) -> tuple[str, str]:
    reject.refresh_from_db()
    return reject.state, reject.closed_by


def old_workbook(rows: Iterable[list[Any]]) -> bytes:
    """A workbook of Excel 97 (.xls), as 1C writes it."""
    book, file = xlwt.Workbook(), BytesIO()
    sheet, as_date = book.add_sheet("Лист1"), xlwt.easyxf(num_format_str="DD.MM.YYYY")
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            style = [as_date] if isinstance(cell, date) else []
            sheet.write(number, place, cell, *style)
    book.save(file)
    return file.getvalue()


OFFICE = "urn:oasis:names:tc:opendocument:xmlns"
DOCUMENT = f"""<?xml version="1.0" encoding="UTF-8"?>
<office:document-content office:version="1.3" xmlns:office="{OFFICE}:office:1.0"
  xmlns:table="{OFFICE}:table:1.0" xmlns:text="{OFFICE}:text:1.0"><office:body><office:spreadsheet>
<table:table table:name="Лист1">%s</table:table></office:spreadsheet></office:body>
</office:document-content>"""

MANIFEST = f"""<?xml version="1.0" encoding="UTF-8"?>
<manifest:manifest manifest:version="1.3" xmlns:manifest="{OFFICE}:manifest:1.0"/>"""


def open_document(rows: Iterable[list[Any]], mimetype: str = "spreadsheet") -> bytes:
    """A workbook of LibreOffice (.ods); OpenDocument 1.3, part 3."""

    def cell(value: Any) -> str:
        if isinstance(value, date):
            kind = f'office:value-type="date" office:date-value="{value:%Y-%m-%d}"'
        elif isinstance(value, float):
            kind = f'office:value-type="float" office:value="{value}"'
        else:
            kind = 'office:value-type="string"'
        text = escape(str(value))
        return f"<table:table-cell {kind}><text:p>{text}</text:p></table:table-cell>"

    lines = [f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows]
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{mimetype}")
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", DOCUMENT % "".join(lines))
    return file.getvalue()
