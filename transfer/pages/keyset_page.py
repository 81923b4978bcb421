"""Pages of a list that is too long to be counted: each begins after the last row of another."""

from typing import Any

from django.db.models import Model, Q, QuerySet

from transfer.text import formats

COUNTED = 1000  # rows; of a longer list it is only known that it is longer


class KeysetPage:
    """The page of `rows` at `place`: "after-12", "before-12", "last", or else the first one.

    `rows` are ordered by columns that are never null, all in one direction, the key last.
    """

    def __init__(self, rows: QuerySet[Any], place: str, size: int) -> None:
        self.rows, self.size = rows, size
        self.has_previous = self.has_next = False
        self.object_list: Any = []  # the table's rows
        word, _dash, number = place.partition("-")
        beside = self._beside(number)
        self.records: list[Any] = (
            (word == "last" and self._last())
            or (word == "after" and beside and self._after(beside))
            or (word == "before" and beside and self._before(beside))
            or self._first()
        )

    @property
    def elsewhere(self) -> str:
        """How many rows are on other pages, in words; "" if none are."""
        if not (self.has_previous or self.has_next):
            return ""
        counted = self.rows.order_by()[: COUNTED + 1].count()
        if counted > COUNTED:
            return formats.rows(COUNTED - len(self.records), "+")
        return formats.rows(counted - len(self.records))

    @property
    def previous(self) -> str:
        return f"before-{self.records[0].pk}"

    @property
    def next(self) -> str:
        return f"after-{self.records[-1].pk}"

    def _beside(self, number: str) -> Model | None:
        pk = formats.number_in(number, 18)
        return None if pk is None else self.rows.model._default_manager.filter(pk=pk).first()

    def _first(self) -> list[Any]:
        records, self.has_next = self._some(self.rows)
        return records

    def _last(self) -> list[Any]:
        records, self.has_previous = self._some(turned(self.rows))
        return records[::-1]

    def _after(self, beside: Model) -> list[Any]:
        records, self.has_next = self._some(beyond(self.rows, beside))
        self.has_previous = bool(records)
        return records

    def _before(self, beside: Model) -> list[Any]:
        """The rows before it; none if they do not fill a page, which is the first one then."""
        records, more = self._some(beyond(turned(self.rows), beside))
        self.has_previous = self.has_next = more
        return records[::-1] if more else []

    def _some(self, rows: QuerySet[Any]) -> tuple[list[Any], bool]:
        """A page of them, and whether there are more."""
        records = list(rows[: self.size + 1])
        return records[: self.size], len(records) > self.size


def turned(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The rows in the opposite order."""
    names = [str(name) for name in rows.query.order_by]
    return rows.order_by(*(name[1:] if name.startswith("-") else f"-{name}" for name in names))


def beyond(rows: QuerySet[Any], beside: Model) -> QuerySet[Any]:
    """The rows that come after `beside` in their order."""
    names = [str(name) for name in rows.query.order_by]
    comparison = "lt" if names[0].startswith("-") else "gt"
    return rows.filter(_past([name.lstrip("-") for name in names], beside, comparison))


def _past(columns: list[str], beside: Model, comparison: str) -> Q:
    """The first column alone bounds the rows, so that an index that begins with it finds them."""
    name, *others = columns
    value = getattr(beside, name)
    past = Q(**{f"{name}__{comparison}": value})
    if not others:
        return past
    return Q(**{f"{name}__{comparison}e": value}) & (past | _past(others, beside, comparison))
