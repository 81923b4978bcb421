"""What can be done to several rows of a table at once: the buttons of includes/bulk.html."""

from typing import NamedTuple

from django.utils.functional import Promise


class Action(NamedTuple):
    """A button of the form "bulk". With a `url` it asks there, else it posts `action=name`."""

    name: str
    label: str | Promise
    icon: str = ""
    danger: bool = False
    url: str = ""
