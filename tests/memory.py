"""How much memory the process of the tests takes for what it does."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWN = Path("/proc/self")


class Growth:
    """`bytes` is how far the memory rose at most, once the block has ended."""

    bytes = 0


@contextmanager
def growth() -> Iterator[Growth]:
    """Measures the peak of the memory within, also of what is freed again."""
    measured = Growth()
    (OWN / "clear_refs").write_text("5")  # the peak begins at what there is now
    before = _peak()
    try:
        yield measured
    finally:
        measured.bytes = _peak() - before


def _peak() -> int:
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", (OWN / "status").read_text())
    return int(kilobytes) << 10
