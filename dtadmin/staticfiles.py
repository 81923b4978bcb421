"""Static files that a browser asks for once: their addresses change with what they hold."""

from functools import cache
from hashlib import blake2b
from pathlib import Path

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage


class Hashed(StaticFilesStorage):
    """`{% static "css/tables.css" %}` is /static/css/tables.css?1f0c9a2b: nothing to collect."""

    def url(self, name: str | None) -> str:
        return f"{super().url(name)}?{_hash(name or '')}"


@cache
def _hash(name: str) -> str:
    path = finders.find(name)
    return blake2b(Path(path).read_bytes(), digest_size=4).hexdigest() if path else ""
