"""Workbooks that are small as files: what they unpack to, repeat and keep busy is bounded."""

import zipfile
from contextlib import ExitStack
from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.databases import connected, run
from tests.http_api.conftest import BASE, Program, a_key
from tests.records import user
from tests.uploads import DOCUMENT, open_document, workbook
from transfer.loading import upload_job, workbook as reading
from transfer.models import Upload
from transfer.queue.locks import Space
from transfer.queue.worker import drain
from transfer.tick import tick

State = Upload.State
HEAD = [["account", "amount"]]
ROW = '<table:table-row table:number-rows-repeated="{n}">{cells}</table:table-row>'
CELL = (
    '<table:table-cell office:value-type="string"{more}><text:p>{text}</text:p></table:table-cell>'
)
EMPTY = '<table:table-cell table:number-columns-repeated="16384"/>'


def cell(text, more=""):
    return CELL.format(text=text, more=more)


def ods(*rows):
    """A workbook of LibreOffice with these rows, packed."""
    head = ROW.format(n=1, cells=cell("account") + cell("amount"))
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", DOCUMENT % (head + "".join(rows)))
    return file.getvalue()


GOOD = cell("4100") + cell("5")


class TestRepeats:
    @pytest.mark.parametrize(
        "rows",
        [
            [ROW.format(n=10**9, cells=GOOD)],
            [ROW.format(n=10**9, cells=EMPTY), ROW.format(n=1, cells=GOOD)],
            [ROW.format(n=1, cells=cell("4100", ' table:number-columns-repeated="1000000000"'))],
            [ROW.format(n=10**6, cells=cell("1", ' table:number-columns-repeated="1000"'))],
            [ROW.format(n=500_000, cells=GOOD)] * 3,
            [ROW.format(n=1, cells=cell('<text:s text:c="1000000000"/>') + cell("5"))],
        ],
        ids=["rows", "empty rows", "columns", "both", "in parts", "spaces"],
    )
    def test_are_bounded_before_the_reader_expands_them(self, check, rows, monkeypatch):
        content = ods(*rows)
        assert len(content) < 1_500
        seen = []
        real = reading._rows

        def counted(lines, *more):
            seen.append(1)
            return real(counting(lines, seen), *more)

        monkeypatch.setattr(reading, "_rows", counted)
        upload = check("balances", content, name="a.ods")
        assert (upload.state, upload.error_code) == (State.REFUSED, "workbook_too_large")
        assert len(seen) == 1  # not a line has come from the reader

    def test_a_sheet_whose_rest_is_formatted_is_read(self, check):
        """So LibreOffice writes one whose whole columns have a format."""
        rest = ROW.format(n=1_048_574, cells=EMPTY)
        upload = check("balances", ods(ROW.format(n=3, cells=GOOD), rest), name="a.ods")
        assert (upload.state, upload.good) == (State.READY, 3)

    @pytest.mark.long
    def test_cells_of_a_sheet_are_bounded_too(self, check):
        content = workbook([*HEAD, ["4100", 5]], lambda _book, sheet: sheet.write(999_999, 59, "x"))
        upload = check("balances", content, name="a.xlsx")
        assert upload.error_code == "workbook_too_large"


def counting(lines, seen):
    class Lines:
        def readline(self):
            line = lines.readline()
            seen.extend([1] * bool(line))
            return line

        def __iter__(self):
            return iter(lines)

    return Lines()


class TestSmall:
    def test_is_measured_unpacked_and_told_by_the_content(self, db, olga):
        """A web process reads what is small itself, and leaves the rest to a worker."""
        from transfer.engine.kinds import KINDS
        from transfer.loading.receive import receive

        row = ROW.format(n=1, cells=GOOD)
        for content, small in (
            (ods(row), True),
            (ods(*[row] * 100_000), False),
            (workbook([*HEAD, *[["4100", 5]] * 100]), True),
            (workbook([*HEAD, *[["4100", 5]] * 60_000]), False),
            (b"account;amount\n" * 20_000, True),
            (open_document(HEAD * 20_000), False),
        ):
            upload = receive(KINDS["balances"], [content], olga, name="a.csv")
            assert upload_job.is_small(upload) == small, len(content)


@pytest.mark.django_db(transaction=True)
class TestReaders:
    @pytest.fixture
    def busy(self, own_database):
        """Two workbooks are being read."""
        with ExitStack() as held:
            for number in range(reading.MOST_READERS):
                other = held.enter_context(connected(own_database))
                run(other, "select pg_advisory_lock(%s, %s)", [Space.WORKBOOK, number])
            yield

    def test_a_third_workbook_waits_and_is_read_later(self, busy, check, request):
        upload = check("balances", workbook([*HEAD, ["4100", 5]]), name="a.xlsx")
        assert (upload.state, upload.error_code) == (State.RECEIVED, "workbooks_busy")
        other = check("balances", b"account;amount\n4100;5\n")
        assert other.state == State.READY

    def test_it_is_read_as_soon_as_one_ends(self, own_database, check):
        with connected(own_database) as one, connected(own_database) as two:
            for number, other in enumerate((one, two)):
                run(other, "select pg_advisory_lock(%s, %s)", [Space.WORKBOOK, number])
            upload = check("balances", workbook([*HEAD, ["4100", 5]]), name="a.xlsx")
        assert upload.state == State.RECEIVED
        assert tick("test").queued_again == 1
        drain(lambda: False)
        upload.refresh_from_db()
        assert (upload.state, upload.good, upload.error_code) == (State.READY, 1, "")

    def test_the_page_says_so_where_it_has_to_look_inside(self, busy, client, shop_all):
        client.force_login(user("operator"))
        client.cookies["django_language"] = "en"
        file = SimpleUploadedFile("a.xlsx", workbook([*HEAD, ["4100", 5]]))
        answer = client.post("/load/file/", {"file": file, "kind": ""})
        assert answer.status_code == 422
        assert "Other workbooks are being read" in answer.content.decode()
        assert not Upload.objects.exists()

    def test_a_reader_gives_its_place_back(self, check):
        for _ in range(reading.MOST_READERS + 1):
            upload = check("balances", workbook([*HEAD, ["4100", 5]]), name="a.xlsx")
            assert upload.state == State.READY


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("content", [workbook(HEAD), ods(), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_the_api_takes_no_workbook(shop_all, staged, settings, content):
    settings.LANGUAGE_CODE = "en"
    program = Program(a_key().secret)
    answer = program.post(
        f"{BASE}rows/balances", content, "text/csv", headers={"Idempotency-Key": "a-workbook"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "body_is_a_workbook")
    assert not Upload.objects.exists()
