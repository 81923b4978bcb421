"""What every table of the pages has: sorting, pages and page size in the URL, cards on a phone."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self

import django_tables2 as tables  # type: ignore[import-untyped]
from django.http import HttpRequest
from django.template.base import render_value_in_context
from django.template.loader import get_template
from django.utils.functional import Promise, cached_property
from django.utils.html import conditional_escape
from django.utils.translation import gettext_lazy
from django_tables2.rows import BoundRows  # type: ignore[import-untyped]

from transfer.access import Role, has_role
from transfer.pages.components import times
from transfer.pages.components.states import state_badge
from transfer.pages.components.table import cell_opening, choose_box, table_body, unseen_boxes
from transfer.pages.html import Html, unseen_lazy
from transfer.pages.keyset_page import KeysetPage
from transfer.text import formats

PAGE_SIZES = (25, 50, 100, 250)


class Table(tables.Table):
    """A table. `caption` names it for screen readers; set it in the class or the view."""

    caption: Any = ""
    page_sizes: Sequence[int] = PAGE_SIZES
    foot = "tables/foot.html"

    class Meta:
        """What a table's Meta inherits; the settings give template and class to those without."""

    def __init__(self, *args: Any, caption: Any = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caption = caption or self.caption

    def for_user(self, user: Any) -> Self:
        """Hides boxes and buttons from users who may not act."""
        if not has_role(user, Role.OPERATOR):
            for name in ("choose", "actions"):
                if name in self.columns.names():
                    self.columns.hide(name)
        return self

    def paged(self, request: HttpRequest) -> Self:
        """Sorts the table and cuts it to the page that the URL asks for, at most the last one."""
        size = self._sorted(request)
        page = formats.number_in(request.GET.get(self.prefixed_page_field)) or 1
        self.paginate(per_page=size, page=1)
        self.page = self.paginator.get_page(page)
        return self

    def keyset_paged(self, request: HttpRequest) -> Self:
        """Likewise, for a list that is too long to be counted: see `KeysetPage`."""
        size = self._sorted(request)
        place = request.GET.get(self.prefixed_page_field, "")
        self.page = KeysetPage(self.data.data, place, size)
        self.foot = "tables/keyset_foot.html"
        self.show(self.page.records)
        return self

    @property
    def elsewhere(self) -> str:
        """How many rows are on other pages, in words; "" if none are."""
        if isinstance(self.page, KeysetPage):
            return self.page.elsewhere
        count = self.paginator.count - len(self.page.object_list)
        return formats.rows(count) if count else ""

    def show(self, records: list[Any]) -> None:
        """Replaces the records of the page."""
        self.page.object_list = BoundRows(records, self)

    def _sorted(self, request: HttpRequest) -> int:
        """Sorts as the URL asks for, and returns the number of rows on a page."""
        self.for_user(request.user)
        tables.RequestConfig(request, paginate=False).configure(self)
        return page_size(request, self.page_sizes, self.prefixed_per_page_field)

    @property
    def body(self) -> Html:
        return self.body_of(self.paginated_rows)

    def body_of(self, rows: BoundRows) -> Html:
        return table_body(rows, self._drawn_columns, self.row_attrs)

    @cached_property
    def _drawn_columns(self) -> list[tuple[str, Callable[[Any], str]]]:
        return [
            (cell_opening(column.header, column.attrs["td"]), self._drawer(column))
            for column in self.columns
        ]

    def _drawer(self, column: Any) -> Callable[[Any], str]:
        """Returns the function that draws a cell of the column. It is chosen once for all rows."""
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


class WholeTable(Table):
    """A table on one page, in the order of its records."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, orderable=False, **kwargs)


def page_size(request: HttpRequest, sizes: Sequence[int], field: str = "per_page") -> int:
    """The number of rows on a page that the URL asks for, if it is one of `sizes`."""
    size = formats.number_in(request.GET.get(field)) or 0
    return size if size in sizes else sizes[0]


class DrawnColumn(tables.Column):
    """Draws its cells from the record alone, by `draw`, or by `draw_NAME` of the table.

    The library's own way, by accessors and signatures, takes longer than drawing the cell.
    """

    empty_values = ()

    def draw(self, record: Any) -> Any:
        raise NotImplementedError


class TemplateColumn(tables.Column):
    """Draws its cells by a template, which sees all variables of the page.

    The library's own runs every context processor again for each cell.
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


class Action(NamedTuple):
    """A button for the chosen rows, in includes/bulk.html.

    With a `url` it leads to a page that asks, else it posts `action=name`.
    """

    name: str
    label: str | Promise
    icon: str = ""
    danger: bool = False
    url: str = ""


class ChooseColumn(DrawnColumn):
    """A box for each row, named `boxes`, of the form whose id is `form`.

    `words` names the row for screen readers. `value` is what the box sends, by default the primary
    key; with None the row gets no box. A page with two tables has a form for each.
    """

    attrs = classed("cell-choose")

    def __init__(
        self,
        boxes: str,
        words: Callable[[Any], str],
        value: Callable[[Any], Any] = lambda record: record.pk,
        form: str = "bulk",
    ) -> None:
        super().__init__(unseen_lazy(gettext_lazy("Choose")), orderable=False)
        self.boxes, self.words, self.value, self.form = boxes, words, value, form

    def draw(self, record: Any) -> Html:
        return choose_box(self.form, self.boxes, self.value(record), self.words(record))

    def draw_unseen(self, records: Iterable[Any]) -> Html:
        """The boxes of rows that a fold hides."""
        return unseen_boxes(self.form, self.boxes, map(self.value, records))


class ValueColumn(tables.Column):
    """Draws its cells from the value alone, by `render`, also where it is None."""

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
        return times.moment(value)


class StateColumn(DrawnColumn):
    """The state of a run, as a badge."""

    def draw(self, record: Any) -> Html:
        return state_badge("run", record.state)
