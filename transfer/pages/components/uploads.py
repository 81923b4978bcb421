"""Loads: the cells of their tables."""

from django.utils.html import format_html
from django.utils.translation import gettext as _

from transfer.models import Upload
from transfer.models.tasks import KindChoices
from transfer.pages.html import Html
from transfer.text.explain import Explanation


def upload_name(upload: Upload) -> Html:
    """The file as a link, and below it its kind, who loaded it, and whether it was taken back."""
    facts = [KindChoices(upload.kind).label, upload.created_by]
    if upload.is_undone:
        facts.append(_("taken back"))
    return format_html(
        '<div><a href="{}">{}</a><div class="note">{}</div></div>',
        upload.get_absolute_url(),
        upload,
        " · ".join(map(str, facts)),
    )


def bad_line(explained: Explanation) -> Html:
    """What is wrong with a line, and below it what to do."""
    drawn = '<div>{}<div class="note">{}</div></div>'
    return format_html(drawn, explained.sentence, explained.hint)
