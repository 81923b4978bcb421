"""Problems that are over: what, from when to when, and how long rows waited."""

from typing import Any

from django.utils.translation import gettext_lazy

from transfer.models import Incident
from transfer.pages import html
from transfer.pages.tables import (
    DrawnColumn,
    DurationColumn,
    MomentColumn,
    NumberColumn,
    Table,
)
from transfer.problems import history


class WhatColumn(DrawnColumn):
    """What was wrong, as a link to what it was about."""

    def draw(self, record: Incident) -> Any:
        return html.link(record.url, history.what(record))


class IncidentTable(Table):
    caption = gettext_lazy("Past problems")
    what = WhatColumn(gettext_lazy("What"))
    began_at = MomentColumn(gettext_lazy("From"))
    until = MomentColumn(gettext_lazy("To"))
    lasted = DurationColumn(gettext_lazy("Lasted"))
    waited = NumberColumn(gettext_lazy("Rows that waited"))
    caught_up_at = MomentColumn(gettext_lazy("Caught up by"))

    class Meta(Table.Meta):
        orderable = False
