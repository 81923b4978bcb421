"""What pages, files and terminals show to somebody who should not see it, or who put it there."""

import io
import re
import traceback

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests.databases import query, stage
from tests.pages.look import words
from tests.uploads import bad
from transfer.models import BadLine, BonusServer
from transfer.pages.exports import Field, Sheet, csv_response

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]

ESC = "\x1b[31m"


class TestCaches:
    """Another person at the browser after a log-out, and a proxy that keeps answers.

    That they keep no page is asserted where all are opened: tests/pages/test_every_url.py.
    """

    def test_keep_no_file_part_or_refusal(self, administrator, client):
        for answer in (
            administrator.get(reverse("rejects_csv")),
            administrator.get(reverse("rejects_xlsx")),
            administrator.get(reverse("overview"), headers={"hx-request": "true"}),
            administrator.get("/rejects/4711/"),
            administrator.get(reverse("rejects_resend")),
        ):
            b"".join(answer)
            assert "no-store" in answer.headers["Cache-Control"]

    def test_keep_static_files(self, client):
        page = client.get("/login/").content.decode()
        (style, *_) = re.findall(r'href="(/static/[^"]+\.css[^"]*)"', page)
        answer = client.get(style)
        b"".join(answer)
        assert "no-store" not in answer.headers["Cache-Control"]
        assert "max-age" in answer.headers["Cache-Control"]


class TestFilesWithPinCodes:
    PIN = "7391a"

    @pytest.mark.parametrize("kind", ["balances", "pincodes", "cards"])
    def test_a_first_row_that_is_taken_for_headings_is_not_kept(self, check, kind):
        upload = check(kind, f"acc;{self.PIN}\n4100;8642b\n".encode())
        assert self.PIN not in str(upload.layout)
        assert "8642b" not in str(upload.layout)
        assert self.PIN not in str(upload.report)

    def test_headings_that_we_know_are_shown_with_their_digits(self, check):
        upload = check("balances", "Счёт;Сумма;Код 2026\n4100;5;x\n".encode())
        assert upload.layout["headings"][:2] in (("Счёт", "Сумма"), ["Счёт", "Сумма"])

    @pytest.mark.parametrize(
        "content", ["account;amount\n4100;5;{}\n", "account,amount\n4100,12,50,{}\n"]
    )
    def test_a_line_with_too_many_cells_is_not_quoted(self, check, content):
        upload = check("balances", content.format(self.PIN).encode())
        ((_line, _column, value, code),) = bad(upload)
        assert code == "too_many_cells"
        assert self.PIN not in value
        assert "4100" not in value
        assert self.PIN not in str([*BadLine.objects.values()])

    def test_the_page_says_how_many_cells_there_are(self, check, administrator):
        upload = check("balances", f"account;amount\n4100;5;{self.PIN}\n".encode())
        page = words(administrator.get(upload.get_absolute_url(), follow=True))
        assert "3 &gt; 2" in page
        assert self.PIN not in page


class TestTerminals:
    def test_doctor_prints_names_of_columns_on_one_line_and_without_commands(
        self, dock, bonus, shop_all
    ):
        """A column's name begins a line of its own in the proposed file, and colours the screen."""
        server = dock(bonus)
        forged = f"{ESC}x\n[balances.fixed]\ny = 1 #"
        query(bonus, f'alter table asset add column "{forged}" text not null')
        query(bonus, f'alter table asset add column "\u009bz\u202e{ESC}" text not null')
        query(bonus, f'create table "{ESC}t\nu" (id int)')
        query(bonus, 'alter table pincode rename to "Карточки"')
        query(bonus, 'alter table "Карточки" rename column account to "accOther"')
        written = io.StringIO()
        call_command("doctor", "--tables", stdout=written)
        call_command("doctor", "--tables", server.name, stdout=written)
        text = written.getvalue()
        assert "\\u001b[31mx\\u000a[balances.fixed]\\u000ay = 1 #" in text
        assert "\ny = 1" not in text
        assert not re.search("[\x1b\x9b\u202e]", text)

    def test_an_error_prints_no_command_of_a_trigger_s_name(self, dock, bonus, shop_all, capsys):
        server = dock(bonus)
        query(bonus, f'create rule "{ESC}r" as on insert to asset do instead nothing')
        stage(shop_all, "balances", [("4100", 5)])
        with pytest.raises((SystemExit, CommandError)) as raised:
            call_command("transfer", "balances", server=server.name)
        printed = "".join(capsys.readouterr()) + str(raised.value)
        assert "31mr" in printed
        assert "\x1b" not in printed


class TestNames:
    BROKEN = ("BS 9\nBS 10", "BS 9\r", f"BS {ESC}9", "BS\u20289", "BS \u009b9")

    @pytest.mark.parametrize("name", BROKEN)
    def test_of_servers_have_no_line_breaks(self, administrator, name):
        given = {"name": name, "host": "bs9", "admin_port": 7770, "work_port": 7771}
        given |= {"db_name": "loyalty", "db_port": 5432, "db_sslmode": "prefer"}
        administrator.post(reverse("server_add"), given)
        names = BonusServer.objects.values_list("name", flat=True)
        assert [one for one in names if re.search("[\r\n\x1b\u2028\x9b]", one)] == []

    def test_of_servers_have_none_on_the_command_line(self, shop_all):
        with pytest.raises(CommandError):
            call_command(
                *("server", "add", "--name", "BS 9\nBS 10", "--host", "bs9"),
                *("--database-url", "postgresql:///x"),
            )
        assert not BonusServer.objects.exists()


def test_an_export_that_breaks_off_gives_no_text_to_the_log_of_the_web_server(caplog):
    """The web server logs the error with its traceback; its text may quote a cell."""
    cells = {}
    sheet = Sheet("rejects", [Field("account", lambda row: cells[row])], ["73917391"])
    answer = csv_response("rejects", sheet)
    with pytest.raises(Exception, match="KeyError") as raised:
        list(answer.streaming_content)
    logged = "".join(traceback.format_exception(raised.value)) + caplog.text
    assert "73917391" not in logged
    assert "KeyError" in caplog.text
