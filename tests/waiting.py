"""How a test waits: for a condition, never for a time."""

import threading
import time


def wait_until(condition, process=None, seconds=60, interval=0.02):
    """What the condition comes to once it holds.

    Asks again and again; fails when it takes too long or the process has ended.
    """
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := condition()):
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        pause.wait(interval)
    return found


def go_on():
    """Tells a worker to go on until its queue is empty."""
    return False
