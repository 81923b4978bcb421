"""The watchdog: what one step does to it harms no other step of the process."""

import threading

import pytest

from transfer.engine.postgres import deadline as module
from transfer.engine.postgres.deadline import Deadline, Watchdog

PATIENCE = 60  # seconds until a test that hangs fails


class Quiet:
    def is_passed(self):
        return False


class Broken:
    """A limit that can't be looked at."""

    def is_passed(self):
        raise ValueError("no socket")


@pytest.fixture
def watchdog(monkeypatch):
    """One for this test, whose thread ends with the process."""
    monkeypatch.setattr(module, "_watchdog", Watchdog())


@pytest.fixture
def cut_by(watchdog):
    """`cut_by(limit)` is an event that tells that such a step, which takes too long, was cut."""
    steps = []

    def cut_by(limit, seconds=0.0, error=None):
        was_cut = threading.Event()

        def cut():
            was_cut.set()
            if error is not None:
                raise error
            return True

        steps.append(Deadline(seconds, cut, limit))
        steps[-1].run()
        return was_cut

    yield cut_by
    for step in steps:
        step.pause()


def test_a_limit_that_can_t_be_looked_at_leaves_the_time_of_its_step_and_all_others(cut_by, caplog):
    broken = cut_by(Broken(), seconds=0.2)
    assert cut_by(Quiet()).wait(PATIENCE)
    assert broken.wait(PATIENCE)
    assert cut_by(Quiet()).wait(PATIENCE)
    assert [line.exc_info[0] for line in caplog.records] == [ValueError]


def test_a_step_that_can_t_be_cut_leaves_all_others(cut_by, caplog):
    assert cut_by(Quiet(), error=ValueError("closed")).wait(PATIENCE)
    assert cut_by(Quiet()).wait(PATIENCE)
    assert "could not be ended" in caplog.text


def test_a_thread_that_could_not_start_is_started_with_the_next_step(cut_by, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            cut_by(Quiet())
    assert cut_by(Quiet()).wait(PATIENCE)
