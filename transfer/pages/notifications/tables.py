"""The recipients of messages: of what each is told, and whether messages reach them."""

from django.utils.translation import gettext_lazy

from transfer.models.alerts import Recipient
from transfer.pages.html import Html, link
from transfer.pages.tables import DrawnColumn, TemplateColumn, WholeTable, classed


class RecipientTable(WholeTable):
    caption = gettext_lazy("Recipients")
    name = DrawnColumn(gettext_lazy("Name"))
    channel = DrawnColumn(gettext_lazy("How"), attrs=classed("nowrap"))
    topics = TemplateColumn("notifications/cells/topics.html", gettext_lazy("Notify of"))
    state = TemplateColumn("notifications/cells/state.html", gettext_lazy("State"))

    def draw_name(self, record: Recipient) -> Html:
        return link(record.get_absolute_url(), record)

    def draw_channel(self, record: Recipient) -> str:
        return record.get_channel_display()
