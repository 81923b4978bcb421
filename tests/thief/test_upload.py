"""Files that somebody sends without a right to, that have no end, or that are left on the disk."""

import os
import signal
import socket
from pathlib import Path

import psutil
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import get_resolver

from tests.deployment import BOUNDARY, TOKEN, half_a_file, web_server
from tests.records import user
from tests.waiting import wait_until
from transfer.models import Upload
from transfer.models.secret import cipher

PIN = b"4100000011;PIN-73519-PIN\n"


@pytest.fixture
def web(environment, tmp_path):
    """The web server as it is deployed: its port, its process, and where its files pass through."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with web_server(environment | {"TMPDIR": str(folder)}) as web:
        yield web.port, psutil.Process(web.master.pid), folder


def answer_to(connection):
    """The status, which comes though the request has not ended."""
    return int(connection.recv(65536).split(b" ", 2)[1])


def open_files(master, folder):
    """What the server's processes have written in the folder, also what no name leads to."""
    for process in [master, *master.children()]:
        for one in Path(f"/proc/{process.pid}/fd").iterdir():
            if os.readlink(one).startswith(str(folder)) and one.stat().st_size:
                yield one


@pytest.mark.long
def test_nothing_is_read_of_a_file_that_is_refused(web, client):
    """Before the log-in, or too large; a body in chunks is no file: it could go on for ever."""
    port, master, folder = web
    for path, status in {
        "/login/": 415,
        "/load/file/": 403,
        "/registers/import/": 403,
        "/no-such-page/": 404,
        "/language/": 415,
        "/theme/": 415,
    }.items():
        with half_a_file(port, path) as connection:
            assert answer_to(connection) == status, path
    client.force_login(user("operator"))
    session = f"sessionid={client.cookies['sessionid'].value}"
    for path, length in {"/load/file/": 258 << 20, "/registers/import/": 3 << 20}.items():
        with half_a_file(port, path, cookies=session, length=length) as connection:
            assert answer_to(connection) == 413, path
    with socket.create_connection(("localhost", port), timeout=30) as connection:
        connection.sendall(
            f"POST /load/file/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            f"Cookie: csrftoken={TOKEN}; {session}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n5\r\n--par\r\n".encode()
        )
        assert answer_to(connection) == 403
    assert list(folder.iterdir()) == []
    assert list(open_files(master, folder)) == []


@pytest.mark.long
def test_a_killed_server_leaves_nothing_of_a_file_in_clear(web, client):
    port, master, folder = web
    client.force_login(user("operator"))
    session = f"sessionid={client.cookies['sessionid'].value}"
    with half_a_file(port, "/load/file/", cookies=session) as connection:
        for _ in range(200):
            connection.sendall(PIN * 4_000)  # 20 MB
        wait_until(lambda: sum(one.stat().st_size for one in open_files(master, folder)) > 1 << 20)
        arrived = [one.read_bytes() for one in open_files(master, folder)]
        for process in [*master.children(), master]:
            process.send_signal(signal.SIGKILL)
    assert arrived
    assert not any(b"PIN-73519-PIN" in content for content in arrived)
    assert list(folder.iterdir()) == []


@pytest.mark.django_db
class TestWhoMaySendAFile:
    @pytest.fixture
    def file(self):
        return {"file": SimpleUploadedFile("a.csv", PIN), "kind": "pincodes"}

    @pytest.mark.parametrize(("role", "status"), [("viewer", 403), (None, 403)])
    def test_nothing_is_read_of_a_user_who_may_not_load_files(self, client, file, role, status):
        client.force_login(user(role))
        answer = client.post("/load/file/", file)
        assert answer.status_code == status
        assert not answer.wsgi_request.FILES
        assert not Upload.objects.exists()

    def test_no_view_takes_a_file_but_the_two_that_load_one(self):
        takes = {
            pattern.name
            for pattern in get_resolver().url_patterns
            for pattern in getattr(pattern, "url_patterns", [pattern])
            if getattr(getattr(pattern, "callback", None), "takes_file", 0)
        }
        assert takes == {"upload_file", "register_import"}

    def test_other_forms_are_refused_with_a_file_and_nothing_is_read(self, client, file):
        client.force_login(user("administrator"))
        answer = client.post("/settings/", file)
        assert answer.status_code == 415
        assert not answer.wsgi_request.FILES

    @pytest.mark.parametrize("length", ["", "-1", "x", "9" * 5_000])
    def test_a_length_that_is_no_number_is_none(self, client, file, length):
        client.force_login(user("operator"))
        answer = client.post("/load/file/", file, CONTENT_LENGTH=length)
        assert answer.status_code in (400, 413, 422)
        assert not Upload.objects.exists()

    def test_a_file_goes_with_the_key_of_its_form_alone(self, file):
        client = Client(enforce_csrf_checks=True)
        client.force_login(user("operator"))
        assert client.post("/load/file/", file).status_code == 403
        assert not Upload.objects.exists()

    def test_what_is_stored_is_what_was_sent(self, client, shop_all):
        """In more pieces than one, the last of another size."""
        client.force_login(user("operator"))
        content = b"account;pincode\n" + PIN * 50_000 + b"4100;7\n"
        file = SimpleUploadedFile("a.csv", content)
        assert client.post("/load/file/", {"file": file, "kind": "pincodes"}).status_code == 302
        pieces = [bytes(one.content) for one in Upload.objects.get().pieces.all()]
        assert b"".join(cipher().decrypt(one) for one in pieces) == content


@pytest.mark.django_db
class TestForms:
    """Forms without a file, from anybody."""

    @pytest.mark.parametrize(
        "body",
        [
            "&".join(f"a{number}=1" for number in range(200_000)),
            "a=" + "1" * (5 << 20),
            "&" * (3 << 20),
        ],
    )
    def test_one_of_too_many_fields_or_too_long_is_refused(self, body):
        client = Client(enforce_csrf_checks=True)
        client.cookies["csrftoken"] = TOKEN
        answer = client.post("/login/", body, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 400
