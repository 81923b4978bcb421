"""How much a page asks its database, so that a list of a thousand costs what one of ten does."""

from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext


def queries_of(client: Client, url: str, **query: Any) -> int:
    """Queries of the page; of a file, of all of it. The first visit asks what is asked once."""
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            response = client.get(url, query)
            assert response.status_code == 200
            if response.streaming:
                # Not closed: that would close the connection of the test, too.
                b"".join(response.streaming_content)
                if file := getattr(response, "file_to_stream", None):
                    file.close()
    return len(captured)
