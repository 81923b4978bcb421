"""Files that browsers send: who may send one, its size, and where it is kept until it is stored.

A form with files is only read for a view that takes files (`takes_file`), of a user who may call
it. The content is encrypted as it arrives.
"""

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.utils.deprecation import MiddlewareMixin

from transfer.pages.back import page_before

View = Callable[..., Any]

WITH_FILES = "multipart/form-data"
REST_OF_FORM = 64 << 10  # bytes of a form beside its file
LENGTH_BYTES = 4  # before each encrypted piece on the disk


def takes_file(most_bytes: int) -> Callable[[View], View]:
    """Marks a view that takes a form with a file, of at most this size."""

    def mark(view: View) -> View:
        view.takes_file = most_bytes  # type: ignore[attr-defined]
        return view

    return mark


class Uploads(MiddlewareMixin):
    """Decides whether a form with files is read, once log-in and role are known.

    It comes before the check of forms' keys, which is the first to read a form.
    """

    def process_view(
        self, request: HttpRequest, view: View, *_arguments: Any
    ) -> HttpResponse | None:
        is_for_api = getattr(view, "is_api", False)  # it answers in JSON and reads no form
        if is_for_api or request.method != "POST" or request.content_type != WITH_FILES:
            return None
        most = getattr(view, "takes_file", 0)
        if not most:
            return refusal(request, "415.html", 415)
        if declared_length(request) > most + REST_OF_FORM:
            return refusal(request, "413.html", 413, most=most >> 20)
        request.upload_handlers = [EncryptingHandler(request)]
        return None


def declared_length(request: HttpRequest) -> int:
    """The size of the body in bytes; 0 if the request does not give it. No more is read."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def refusal(request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
    """An answer that reads nothing of the request's body."""
    back = page_before(request, reverse("overview"))
    return render(request, template, {"back": back, **context}, status=status)


class NothingTaken(FileUploadHandler):
    """Treats a form with files as empty and does not read it: the default of every request."""

    def handle_raw_input(self, *_arguments: Any, **_options: Any) -> Any:
        return QueryDict(), MultiValueDict()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Is never called."""

    def file_complete(self, file_size: int) -> None:
        """Is never called."""


class EncryptingHandler(FileUploadHandler):
    """Writes a file to the disk as it arrives, encrypted with a key that is only in memory.

    What a crash leaves behind cannot be read after the end of this process.
    """

    def new_file(self, *arguments: Any, **options: Any) -> None:
        super().new_file(*arguments, **options)
        self.file = EncryptedFile(self.file_name, self.content_type, self.charset)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.file.append(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile:
        self.file.size = file_size
        return self.file

    def upload_interrupted(self) -> None:
        if hasattr(self, "file"):
            self.file.close()


class EncryptedFile(UploadedFile):
    """An uploaded file, on the disk in encrypted pieces and without a name."""

    def __init__(self, name: str | None, content_type: str | None, charset: str | None) -> None:
        self.stored = tempfile.TemporaryFile(  # noqa: SIM115 - Django closes it with the request
            dir=settings.FILE_UPLOAD_TEMP_DIR
        )
        self.cipher = Fernet(Fernet.generate_key())
        super().__init__(self.stored, name, content_type, charset=charset)

    def append(self, content: bytes) -> None:
        piece = self.cipher.encrypt(content)
        self.stored.write(len(piece).to_bytes(LENGTH_BYTES) + piece)

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yields the content from its beginning, in pieces as they arrived."""
        self.stored.seek(0)
        while length := self.stored.read(LENGTH_BYTES):
            yield self.cipher.decrypt(self.stored.read(int.from_bytes(length)))

    def read(self) -> bytes:  # type: ignore[override]
        """The whole content."""
        return b"".join(self.chunks())
