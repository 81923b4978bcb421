"""Charts as plain data: what `{% stacked_bars %}` draws as SVG, with the same as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

BAR, STEP, HEIGHT = 8, 10, 100


class Segment(NamedTuple):
    """A rectangle of a bar, in the units of the viewBox."""

    tone: str
    y: float
    height: float


class Bar(NamedTuple):
    label: str
    x: int
    values: list[int]
    segments: list[Segment]
    url: str

    @property
    def total(self) -> int:
        return sum(self.values)


@dataclass(frozen=True)
class Series:
    """One colour of the chart. `tone` is one of ok, warn, idle."""

    label: str
    tone: str
    values: Sequence[int]


@dataclass(frozen=True)
class StackedBars:
    """A bar for each label, made of a segment for each series, the first at the bottom.

    `labels` are days as they are read; `urls`, if given, is where each bar leads.
    """

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    urls: Sequence[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        return STEP * len(self.labels)

    @property
    def totals(self) -> list[int]:
        return [sum(column) for column in zip(*(one.values for one in self.series), strict=True)]

    @property
    def top(self) -> int:
        """The end of the scale: the largest bar, rounded up to 1, 2 or 5 with zeros."""
        largest = max(self.totals, default=0)
        scale = 10 ** (len(str(largest)) - 1)
        return next(step * scale for step in (1, 2, 5, 10) if step * scale >= largest)

    @property
    def middle(self) -> int | None:
        return self.top // 2 if self.top > 1 else None

    @property
    def ticks(self) -> list[str]:
        """Which labels stand under the chart: the first, the middle and the last."""
        if len(self.labels) < 3:
            return list(self.labels)
        return [self.labels[0], self.labels[len(self.labels) // 2], self.labels[-1]]

    @property
    def is_empty(self) -> bool:
        return not any(self.totals)

    def bars(self) -> Iterator[Bar]:
        for index, label in enumerate(self.labels):
            values = [one.values[index] for one in self.series]
            url = self.urls[index] if self.urls else ""
            yield Bar(label, index * STEP + 1, values, list(self._segments(values)), url)

    def _segments(self, values: list[int]) -> Iterator[Segment]:
        below = 0
        for one, value in zip(self.series, values, strict=True):
            if value:
                below += value
                height = HEIGHT * value / self.top
                # A handful of rejects beside a million rows must still be seen.
                shown = max(height, 1.5)
                y = min(HEIGHT - HEIGHT * below / self.top, HEIGHT - shown)
                yield Segment(one.tone, round(y, 3), round(shown, 3))
