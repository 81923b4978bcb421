"""`python -m bench.peak COMMAND…`: runs it, and ends its errors with the peak memory in kilobytes.

A process of its own, because the kernel counts what a child was forked from: this one is small.
"""

import resource
import subprocess
import sys

MARK = "peak memory in KB:"

if __name__ == "__main__":
    code = subprocess.call(sys.argv[1:])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(MARK, peak, file=sys.stderr)
    sys.exit(code)
