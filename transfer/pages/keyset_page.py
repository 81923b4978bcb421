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
        pk = formats.number_in(number, 18)
        beside = None if pk is None else rows.model._default_manager.filter(pk=pk).first()
        self.records: list[Any] = []
        if word == "last":
            backwards, self.has_previous = self._some(turned(rows))
            self.records = backwards[::-1]
        elif word == "after" and beside:
            self.records, self.has_next = self._some(beyond(rows, beside))
            self.has_previous = bool(self.records)
        elif word == "before" and beside:
            backwards, is_full = self._some(beyond(turned(rows), beside))
            if is_full:  # or else these rows are on the first page
                self.has_previous = self.has_next = True
                self.records = backwards[::-1]
        if not self.records:
            self.records, self.has_next = self._some(rows)

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
