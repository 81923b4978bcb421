"""What every table of the pages has: sorting, pages and page size in the URL, cards on a phone."""

from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple, Self

import django_tables2 as tables  # type: ignore[import-untyped]
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.template.base import render_value_in_context
from django.template.loader import get_template
from django.utils.functional import Promise, cached_property, lazy
from django.utils.html import conditional_escape, format_html, strip_tags
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy
from django_tables2.rows import BoundRows  # type: ignore[import-untyped]

from transfer.access import Role, has_role
from transfer.pages import drawing
from transfer.pages.leaf import Leaf
from transfer.text import formats

PAGE_SIZES = (25, 50, 100, 250)


class Table(tables.Table):
    """A table of ours. `caption` names it for screen readers; set it in the class or the view."""

    caption: Any = ""
    page_sizes = PAGE_SIZES
    foot = "tables/foot.html"

    class Meta:
        """What a table's Meta inherits; the settings give template and class to those without."""

    def for_user(self, user: Any) -> Self:
        """Leaves out boxes and buttons for those who only look."""
        if not has_role(user, Role.OPERATOR):
            for name in ("choose", "actions"):
                if name in self.columns.names():
                    self.columns.hide(name)
        return self

    def paged(self, request: HttpRequest) -> Self:
        """The table sorted, and cut to the page that the URL asks for; too far is the last page."""
        size = self._sorted(request)
        page = formats.number_in(request.GET.get(self.prefixed_page_field)) or 1
        self.paginate(per_page=size, page=1)
        self.page = self.paginator.get_page(page)
        return self

    def leafed(self, request: HttpRequest) -> Self:
        """The table sorted, and cut to the leaf that the URL asks for, since it is not counted."""
        size = self._sorted(request)
        place = request.GET.get(self.prefixed_page_field, "")
        self.page, self.foot = Leaf(self.data.data, place, size), "tables/leaf.html"
        self.show(self.page.records)
        return self

    def show(self, records: list[Any]) -> None:
        """Puts these records on the page, in place of those that it was cut to."""
        self.page.object_list = BoundRows(records, self)

    def _sorted(self, request: HttpRequest) -> int:
        """Sorts as the URL asks for; returns how many rows it wants on a page."""
        self.for_user(request.user)
        tables.RequestConfig(request, paginate=False).configure(self)
        size = formats.number_in(request.GET.get(self.prefixed_per_page_field)) or 0
        return size if size in PAGE_SIZES else PAGE_SIZES[0]

    @property
    def body(self) -> SafeString:
        """The rows, in Python: a template takes longer for each cell than the cell itself."""
        columns = [(self._opening(column), self._drawer(column)) for column in self.columns]
        lines = []
        for row in self.paginated_rows:
            cells = "".join([f"{td}{draw(row)}</td>" for td, draw in columns])
            lines.append(f'<tr role="row"{self._attributes(row.record)}>{cells}</tr>\n')
        return mark_safe("".join(lines))  # noqa: S308 - of escaped parts

    def _attributes(self, record: Any) -> str:
        given = {name: value(record) for name, value in self.row_attrs.items()}
        return "".join(f' {n}="{escape(str(v))}"' for n, v in given.items() if v is not None)

    def _opening(self, column: Any) -> str:
        label = {"data-label": strip_tags(str(column.header))} if column.header else {}
        return f"<td{flatatt({'role': 'cell', **label, **column.attrs['td']})}>"

    def _drawer(self, column: Any) -> Callable[[Any], str]:
        """Draws the cell of a row. How, is found out once for the column."""
        of, name, context = column.column, column.name, self.context

        def by_template(row: Any) -> str:
            with context.push(record=row.record):
                return of.template.render(context)

        if isinstance(of, DrawnColumn):
            draw = getattr(self, f"draw_{name}", of.draw)
            return lambda row: conditional_escape(draw(row.record))
        if isinstance(of, TemplateColumn):
            return by_template
        if isinstance(of, ValueColumn):
            resolve, render = column.accessor.resolve, of.render
            return lambda row: conditional_escape(render(resolve(row.record, quiet=True)))
        return lambda row: render_value_in_context(row.get_cell(name), context)


class DrawnColumn(tables.Column):
    """Draws its cells from the record alone, by `draw`, or by `draw_NAME` of the table.

    The library's own way to a cell, by accessors and signatures, takes longer than such a cell.
    """

    empty_values = ()

    def draw(self, record: Any) -> Any:
        raise NotImplementedError


class TemplateColumn(tables.Column):
    """Its cells are drawn by a template within the page, of whose variables it sees all.

    The library's own asks every context processor again for each cell.
    """

    empty_values = ()

    def __init__(self, template_name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.template_name = template_name

    @cached_property
    def template(self) -> Any:
        return get_template(self.template_name).template  # type: ignore[attr-defined]


def classed(name: str) -> dict[str, dict[str, str]]:
    """The attributes of a column whose cells have a class."""
    return {"td": {"class": name}, "th": {"class": name}}


def unseen(heading: Any) -> Any:
    """A heading for screen readers alone."""
    return lazy(lambda: format_html('<span class="visually-hidden">{}</span>', heading), str)()


class Action(NamedTuple):
    """What can be done to the chosen rows: a button of includes/bulk.html.

    With a `url` it asks there, else it posts `action=name`.
    """

    name: str
    label: str | Promise
    icon: str = ""
    danger: bool = False
    url: str = ""


class ChooseColumn(DrawnColumn):
    """A box for each row, of the form "bulk", named `boxes`.

    `words` says for a screen reader what is chosen. `value` is what the box sends, the primary
    key if not given; with None the row gets no box.
    """

    attrs = classed("cell-choose")

    def __init__(
        self,
        boxes: str,
        words: Callable[[Any], str],
        value: Callable[[Any], Any] = lambda record: record.pk,
    ) -> None:
        super().__init__(unseen(gettext_lazy("Choose")), orderable=False)
        self.boxes, self.words, self.value = boxes, words, value

    def draw(self, record: Any) -> SafeString:
        value = self.value(record)
        if value is None:
            return SafeString()
        return format_html(
            '<label class="choose"><input type="checkbox" form="bulk" name="{}" id="choose-{}" '
            'value="{}"><span class="visually-hidden">{}</span></label>',
            self.boxes,
            str(value).partition(":")[0],
            value,
            self.words(record),
        )


class ValueColumn(tables.Column):
    """Draws its cells from the value alone, by `render`; it says what stands for None, too."""

    empty_values = ()


class NumberColumn(ValueColumn):
    """Numbers, right-aligned, with thin spaces."""

    attrs = classed("num")
    render: Callable[[Any], str] = staticmethod(formats.number)


class AmountColumn(NumberColumn):
    """A sum, with its sign and two decimals."""

    render = staticmethod(formats.amount)


class DurationColumn(NumberColumn):
    """How long something took."""

    render = staticmethod(formats.duration)


class MomentColumn(ValueColumn):
    """A moment in the user's time zone, which is named."""

    def render(self, value: Any) -> str:
        return drawing.moment(value)


class StateColumn(DrawnColumn):
    """The state of a run, as a badge."""

    def draw(self, record: Any) -> SafeString:
        return drawing.state_badge(record.state)


def with_note(main: Any, note: Any, tone: str = "muted") -> SafeString | str:
    """A cell of two lines, the second one small."""
    if not note:
        return main
    return format_html('<div>{}<div class="cell-note {}">{}</div></div>', main, tone, note)
