"""Files that browsers send: who may send one, its size, and where it is kept until it is stored.

A form with files is only read for a view that takes files (`takes_file`), of a user who may call
it, and of few users at the same time. The content is encrypted as it arrives.
"""

from collections.abc import Callable, Iterator
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.shortcuts import render
from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.utils.deprecation import MiddlewareMixin

from transfer.loading.body import RETRY_AFTER, Encrypted, NoPlace, places
from transfer.pages.back import page_before

View = Callable[..., Any]

WITH_FILES = "multipart/form-data"
REST_OF_FORM = 64 << 10  # bytes of a form beside its file


def takes_file(most_bytes: int) -> Callable[[View], View]:
    """Marks a view that takes a form with a file, of at most this size."""

    def mark(view: View) -> View:
        view.takes_file = most_bytes  # type: ignore[attr-defined]
        return view

    return mark


class Uploads(MiddlewareMixin):
    """Decides whether a form with files is read, once log-in and role are known, and reads it.

    It comes before the check of forms' keys, which is the first to read other forms.
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
        try:
            with places.place(f"user {request.user.pk}"):
                request.upload_handlers = [EncryptingHandler(request)]
                request.POST  # noqa: B018 - reads the form with its file
        except NoPlace:
            busy = refusal(request, "503_files.html", 503)
            busy.headers["Retry-After"] = str(RETRY_AFTER)
            return busy
        except UnreadablePostError:
            return refusal(request, "408.html", 408)
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
    """Writes a file to the disk as it arrives, encrypted."""

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
    """An uploaded file on the disk, encrypted. Django closes it with the request."""

    def __init__(self, name: str | None, content_type: str | None, charset: str | None) -> None:
        self.stored = Encrypted()
        super().__init__(self.stored.file, name, content_type, charset=charset)

    def append(self, content: bytes) -> None:
        self.stored.append(content)

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yields the content from its beginning, in pieces as they arrived."""
        return self.stored.chunks()

    def read(self) -> bytes:  # type: ignore[override]
        """The whole content."""
        return b"".join(self.chunks())
