"""Rows and cells of a table. By a template a row takes thirty times as long: see `components`."""

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join, strip_tags
from django.utils.safestring import mark_safe

from transfer.pages.html import EMPTY, Html


def table_body(
    rows: Iterable[Any],
    columns: list[tuple[str, Callable[[Any], str]]],
    attributes: Mapping[str, Callable[[Any], Any]],
) -> Html:
    """The rows of a table.

    `columns`: of each its opening tag, and what draws its cell of a row, escaped. `attributes`: of
    a row, by their names; one that is None is left out.
    """
    lines = []
    for row in rows:
        cells = "".join([f"{td}{draw(row)}</td>" for td, draw in columns])
        given = {name: value(row.record) for name, value in attributes.items()}
        shown = "".join(f' {n}="{escape(str(v))}"' for n, v in given.items() if v is not None)
        lines.append(f'<tr role="row"{shown}>{cells}</tr>\n')
    return mark_safe("".join(lines))  # noqa: S308 - of escaped parts


def cell_opening(heading: Any, attributes: Mapping[str, str]) -> str:
    """The opening tag of a column's cells; on a phone each shows the heading as its label."""
    label = {"data-label": strip_tags(str(heading))} if heading else {}
    return f"<td{flatatt({'role': 'cell', **label, **attributes})}>"


def choose_box(form: str, name: str, value: Any, words: str) -> Html:
    """A box of the form; none for a row without a value. `words`: for screen readers."""
    if value is None:
        return EMPTY
    return format_html(
        '<label class="choose"><input type="checkbox" form="{}" name="{}" id="choose-{}" '
        'value="{}"><span class="visually-hidden">{}</span></label>',
        form,
        name,
        str(value).partition(":")[0],
        value,
        words,
    )


def unseen_boxes(form: str, name: str, values: Iterable[Any]) -> Html:
    """The boxes of rows that are not shown: "choose all" ticks them, too."""
    drawn = '<input type="checkbox" form="{}" name="{}" id="choose-{}" value="{}">'
    boxes = ((form, name, str(value).partition(":")[0], value) for value in values)
    return format_html('<div class="choose" hidden>{}</div>', format_html_join("", drawn, boxes))
