"""A process that has the product loaded, and does one thing after another in children of its own.

`python -m tests.chaos.warm` reads a line of JSON, forks, does in the child what the line says
(with a fault, if it names one), and answers with a line: how the child ended, and what it returned.
Forked, an act takes milliseconds; a process of its own would take a second to load Django. `Warm`
is the other end.
"""

import contextlib
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.statements import Fault, Statement


class Outcome(NamedTuple):
    """How an act ended: its exit code, or the signal that killed it as a negative number."""

    code: int
    result: Any
    statements: list[Statement]
    stderr: str

    @property
    def was_killed(self) -> bool:
        return self.code < 0


class Warm:
    def __init__(self, environment: dict[str, str], tree: Path) -> None:
        """`tree` is where the source of the product lies."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.warm"],
            env=environment,
            cwd=tree,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._answer() == "ready"

    def do(self, act: str, fault: Fault | None = None, **arguments: Any) -> Outcome:
        """Does something of actions.py in a process of its own."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([act, fault, arguments]) + "\n")
        self.process.stdin.flush()
        code, told, stderr = self._answer()
        result, statements = json.loads(told) if told else (None, [])
        return Outcome(code, result, [Statement(*one) for one in statements], stderr)

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of a child is not an answer

    def answer(what: Any) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    import django

    django.setup()
    from tests.chaos import actions  # loads the product

    actions.warm_up()
    gc.collect()
    gc.freeze()  # so that children copy no pages
    answer("ready")
    for line in sys.stdin:
        answer(_in_a_child(actions, *json.loads(line)))


def _in_a_child(actions: Any, act: str, fault: Any, arguments: dict[str, Any]) -> tuple[Any, ...]:
    told, tell = os.pipe()
    cried, cry = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        os.dup2(cry, 2)
        code = 1
        with contextlib.suppress(SystemExit):
            code = _do(actions, act, fault and Fault(*fault), arguments, tell)
        sys.stderr.flush()
        os._exit(code)
    os.close(tell)
    os.close(cry)
    with os.fdopen(told) as results, os.fdopen(cried) as cries:
        texts = results.read(), cries.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), *texts


def _do(actions: Any, act: str, fault: Fault | None, arguments: Any, tell: int) -> int:
    import traceback

    from tests.chaos import statements

    recorder = statements.install(fault)
    try:
        result = getattr(actions, act)(**arguments)
    except Exception:
        traceback.print_exc()
        return 70
    with os.fdopen(tell, "w") as results:
        json.dump([result, recorder.sent], results, default=str)
    return 0


if __name__ == "__main__":
    main()
