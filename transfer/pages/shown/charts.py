"""Charts as plain data, which `{% stacked_bars %}` draws as SVG and as a table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from transfer.text import formats

BAR, STEP, HEIGHT = 8, 10, 100  # in the units of the viewBox
FAR, OTHERS = 5, 3  # so many times higher than the next bar; so many others have to be left


class Segment(NamedTuple):
    """A rectangle of a bar, in the units of the viewBox."""

    tone: str
    y: float
    height: float


class Bar(NamedTuple):
    label: str
    x: int
    shown: list[str]  # its values, in words
    words: str  # their sum, in words
    segments: list[Segment]
    url: str
    parts: str = ""  # the values that are not 0, each with the label of its series
    is_cut: bool = False  # higher than the scale


@dataclass(frozen=True)
class Series:
    """One colour of the chart. `tone` is one of ok, warn, bad, idle."""

    label: str
    tone: str
    values: Sequence[int]


@dataclass(frozen=True)
class StackedBars:
    """A bar for each label, made of a segment for each series, the first at the bottom.

    `labels` are as they are read; `urls`, if given, is where each bar leads; `shown` writes a
    value.
    """

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    urls: Sequence[str] = field(default_factory=list)
    shown: Callable[[int], str] = formats.number

    @property
    def width(self) -> int:
        return STEP * len(self.labels)

    @cached_property
    def totals(self) -> list[int]:
        return [sum(column) for column in zip(*(one.values for one in self.series), strict=True)]

    @cached_property
    def top(self) -> int:
        """The end of the scale: the largest bar, rounded up to 1, 2 or 5 with zeros.

        One or two bars that are far higher than all others are cut, or the others would be flat.
        """
        heights = sorted(self.totals, reverse=True)
        largest = heights[self._far_higher(heights)] if heights else 0
        scale = 10 ** (len(str(largest)) - 1)
        return next(step * scale for step in (1, 2, 5, 10) if step * scale >= largest)

    @property
    def scale(self) -> list[str]:
        """The labels of the scale: at its top and in its middle."""
        return [self.shown(self.top), self.shown(self.top // 2) if self.top > 1 else ""]

    @staticmethod
    def _far_higher(heights: Sequence[int]) -> int:
        """The number of bars, at most two, that are far higher than the next; highest first."""
        for count in (2, 1):
            others = [height for height in heights[count:] if height]
            if len(others) >= OTHERS and heights[count - 1] >= FAR * others[0]:
                return count
        return 0

    @property
    def cut(self) -> list[Bar]:
        """The bars that are higher than the scale."""
        return [bar for bar in self.bars() if bar.is_cut]

    @property
    def ticks(self) -> list[str]:
        """The labels under the chart, evenly: five of many bars, three of few."""
        if len(self.labels) < 3:
            return list(self.labels)
        last, parts = len(self.labels) - 1, 4 if len(self.labels) > 8 else 2
        return [self.labels[last * part // parts] for part in range(parts + 1)]

    @property
    def is_empty(self) -> bool:
        return not any(self.totals)

    def bars(self) -> Iterator[Bar]:
        for index, label in enumerate(self.labels):
            values = [one.values[index] for one in self.series]
            url = self.urls[index] if self.urls else ""
            shown, total = [self.shown(value) for value in values], sum(values)
            segments = list(self._segments(values, max(total, self.top)))
            parts = ", ".join(
                f"{one.label} {text}"
                for one, value, text in zip(self.series, values, shown, strict=True)
                if value
            )
            x, is_cut = index * STEP + 1, total > self.top
            yield Bar(label, x, shown, self.shown(total), segments, url, parts, is_cut)

    def _segments(self, values: list[int], top: int) -> Iterator[Segment]:
        below = 0
        for one, value in zip(self.series, values, strict=True):
            if value:
                below += value
                height = HEIGHT * value / top
                # A few rejects beside a million rows must still be visible.
                shown = max(height, 1.5)
                y = min(HEIGHT - HEIGHT * below / top, HEIGHT - shown)
                yield Segment(one.tone, round(y, 3), round(shown, 3))
