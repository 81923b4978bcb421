"""What tests of pages look at: a page's words, its hidden fields, the queries that it costs."""

import csv
import io
from html import unescape
from typing import Any

from django.contrib.messages import get_messages
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver
from django.utils.html import strip_tags


def queries_of(client: Client, url: str, **query: Any) -> int:
    """Queries of the page, so that a list of a thousand is seen to cost what one of ten does.

    Of a file, of all of it. The first visit asks what is asked once.
    """
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert status_of(client, url, **query) == 200
    return len(captured)


def status_of(client: Client, url: str, **query: Any) -> int:
    """The status of the page or file, of which all is read."""
    response = client.get(url, query)
    if response.streaming:
        content(response)
    return response.status_code


def content(response: Any) -> bytes:
    """All of a file, without closing it: that would close the connection of the test, too."""
    read = b"".join(response.streaming_content)
    if file := getattr(response, "file_to_stream", None):
        file.close()
    return read


def lines(response: Any, delimiter: str = ",") -> list[list[str]]:
    """The cells of a CSV file."""
    text = content(response).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def words(response: HttpResponse) -> str:
    """The page without the line breaks of its source."""
    return " ".join(response.content.decode().split())


def read(response: HttpResponse) -> str:
    """What a person reads on the page: no tags, and no line breaks of its source."""
    return " ".join(unescape(strip_tags(response.content.decode())).split())


def told(response: Any) -> list[tuple[str, str]]:
    """Tone and text of the notices that the next page shows above all else."""
    return [(one.level_tag, one.message) for one in get_messages(response.wsgi_request)]


def once_more(response: Any) -> dict[str, list[Any]]:
    """What the button of the page posts that asks whether to do it all the same."""
    data: dict[str, list[Any]] = {}
    for name, value in response.context["hidden"]:
        data.setdefault(name, []).append(value)
    return data


def send_again(client: Client, url: str, data: dict[str, Any], **options: Any) -> Any:
    """Presses both buttons of the correction of a rejected row; returns the last answer.

    The first one if there is nothing to be sent.
    """
    checked = client.post(url, data)
    preview = checked.context and checked.context.get("preview")
    return client.post(url, {"shown": preview.sealed}, **options) if preview else checked


def own_patterns() -> list[URLPattern]:
    """Return the addresses of the product's own pages: all but those of Django's admin."""
    patterns = get_resolver("transfer.urls").url_patterns
    own = [pattern for pattern in patterns if not str(pattern.pattern).startswith("admin/")]
    assert all(isinstance(pattern, URLPattern) for pattern in own)
    return own
