"""What was ticked on the scheduler: tasks, each with the version that the page showed."""

import re
from typing import NamedTuple

from django.http import HttpRequest

CHOSEN = re.compile(r"((?:transfer|maintenance)-\d{1,9}):(\d{1,9})", re.ASCII)


class Chosen(NamedTuple):
    key: str
    version: int


def chosen(request: HttpRequest) -> list[Chosen]:
    """What does not look like it was meant is left out."""
    matches = (CHOSEN.fullmatch(text) for text in request.POST.getlist("task"))
    return list(dict.fromkeys(Chosen(one[1], int(one[2])) for one in matches if one))
