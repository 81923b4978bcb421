"""`python -m bench.peers NAME SOURCE TARGET`: prints the seconds it took, as JSON."""

import json
import sys

from bench.peers import MISSING, Missing
from bench.peers.drivers import DRIVERS
from bench.peers.tools import TOOLS
from bench.timing import timed


def main(name: str, source: str, target: str) -> None:
    way = (DRIVERS | TOOLS)[name](source, target)
    try:
        next(way)
    except (ImportError, Missing) as missing:
        print(missing)
        sys.exit(MISSING)
    print(json.dumps(timed(lambda: next(way, None))))


if __name__ == "__main__":
    main(*sys.argv[1:])
