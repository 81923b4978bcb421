"""Loads: the cells of their tables."""

from django.utils.html import format_html

from transfer.models import Upload
from transfer.models.tasks import KindChoices
from transfer.pages.components.html import Html
from transfer.text.explain import Explanation


def upload_name(upload: Upload) -> Html:
    """The file as a link, and below it its kind and who loaded it."""
    return format_html(
        '<div><a href="{}">{}</a><div class="note">{}</div></div>',
        upload.get_absolute_url(),
        upload,
        f"{KindChoices(upload.kind).label} · {upload.created_by}",
    )


def bad_line(explained: Explanation) -> Html:
    """What is wrong with a line, and below it what to do."""
    drawn = '<div>{}<div class="note">{}</div></div>'
    return format_html(drawn, explained.sentence, explained.hint)
