from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest


@pytest.fixture(scope="session")
def clusters() -> Iterator[Any]:
    """The clusters of written and random histories."""
    from tests.chaos.machine.clusters import Clusters

    with TemporaryDirectory(prefix="dt") as home:
        made = Clusters(Path(home))
        yield made
        made.close()
