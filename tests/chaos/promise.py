"""Shop All, a bonus server and our own database, each in a cluster of its own; what of the promise
must be true of them at any time.

A row is known by a number that is used once (see rows.py). A history moves rows of one kind.
"""

import itertools
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from tests.chaos.beginning import begin
from tests.chaos.happened import Happened, Violated
from tests.chaos.installation import DATABASES, Installation
from tests.chaos.instance import Instance
from tests.chaos.rows import ROWS
from tests.chaos.warm import Warm
from tests.databases import ROOT, connected, query, run


class Promise:
    def __init__(self, home: Path, tree: Path = ROOT) -> None:
        home.chmod(0o755)  # PostgreSQL does not run as root
        self.home = home
        self.instances = {name: Instance(home / name) for name in DATABASES}
        self.blank = home / "blank"
        self.numbers = itertools.count(1)
        self.late: list[tuple[Any, list[str]]] = []
        self.now = Happened()
        self.rows = ROWS["balances"]
        self.instances["shop_all"].create("shop_all")
        self.instances["shop_all"].copy_to(self.blank)
        for name, instance in self.instances.items():
            begin(instance, name)
        self.installation = Installation(
            *(self.instances[name].dsn(name) for name in DATABASES), tree=tree
        )
        self._set_up()
        self.product = Warm(self.installation.environment, tree)

    def _set_up(self) -> None:
        self.installation.move_in()
        for rows in ROWS.values():
            query(self.shop_all, rows.in_shop_all)
            query(self.bonus, rows.in_bonus)
        for name, instance in self.instances.items():
            query(instance.dsn(), "checkpoint")
            instance.stop()
            instance.copy_to(self.home / f"{name}.begin")

    @property
    def shop_all(self) -> str:
        return self.installation.shop_all

    @property
    def bonus(self) -> str:
        return self.installation.bonus

    @property
    def kind(self) -> str:
        return self.rows.kind

    def close(self) -> None:
        self._drop_writers()
        self.product.close()
        for instance in self.instances.values():
            instance.crash()

    def begin(self, kind: str = "balances") -> None:
        """A new history, from an installation in which nothing has happened."""
        self._drop_writers()
        self.rows = ROWS[kind]
        self.numbers = itertools.count(1)
        for name, instance in self.instances.items():
            instance.restore(self.home / f"{name}.begin")
            instance.start()
            shutil.rmtree(self.home / f"{name}.copies", ignore_errors=True)
            (self.home / f"{name}.copies").mkdir()
        self.now = Happened(copies={name: [] for name in DATABASES}, branches=[self._clock()])

    def _clock(self) -> str:
        return str(query(self.shop_all, "select clock_timestamp()::text")[0][0])

    def _drop_writers(self) -> None:
        for connection, _ in self.late:
            with suppress(psycopg2.Error):
                connection.close()
        self.late.clear()

    def prepared(self) -> list[str]:
        found = query(self.shop_all, "select gid from pg_prepared_xacts order by prepared, gid")
        return [gid for (gid,) in found]

    def has_position(self) -> bool:
        return bool(self._positions())

    def _positions(self) -> list[tuple[Any, ...]]:
        if query(self.bonus, "select to_regclass('datatransfer.position')") == [(None,)]:
            return []
        return query(self.bonus, "select position::text from datatransfer.position order by 1")

    def whole_batch(self) -> tuple[str, int] | None:
        """The reader and the number of the batch that the position has moved, if there is one."""
        found = query(
            self.bonus,
            "select reader::text, number from datatransfer.position where kind = %s "
            "order by updated_at desc limit 1",
            [self.kind],
        )
        return found[0] if found and found[0][1] else None

    def is_in_the_middle(self) -> bool:
        if query(self.bonus, "select to_regclass('datatransfer.position')") == [(None,)]:
            return False
        return bool(
            query(self.bonus, "select 1 from datatransfer.position where reading is not null")
        )

    def check(self) -> None:
        """No row twice, nor one that was never committed."""
        here = self._accounted()
        self.now.ever |= self._history()
        twice = {number for number, times in here.items() if times > 1}
        self._expect(not twice, f"twice in the bonus server: {sorted(twice)}")
        strange = set(here) - self.now.ever
        self._expect(not strange, f"never committed, and moved: {sorted(strange)}")

    def _history(self) -> set[str]:
        """Every row that shop All has, or had until it was purged."""
        found = query(
            self.shop_all,
            f"select {self.rows.number} from {self.rows.staging} "
            "union all select number from purged_for_the_test",
        )
        return {number for (number,) in found}

    def _accounted(self) -> Counter[str]:
        """How often each row that stands in the bonus server has arrived, or is a reject."""
        with connected(self.bonus) as bonus:
            found = run(
                bonus,
                f"select number from arrived where number in (select {self.rows.number} "
                f"from {self.rows.target})",
            )
            return Counter([*(number for (number,) in found), *self._rejects_in(bonus)])

    def _rejects(self) -> list[str]:
        with connected(self.bonus) as bonus:
            return self._rejects_in(bonus)

    def _rejects_in(self, bonus: Connection) -> list[str]:
        if run(bonus, "select to_regclass('datatransfer.reject')") == [(None,)]:
            return []
        found = run(bonus, "select payload->>%s from datatransfer.reject", [self.rows.number])
        return [number for (number,) in found]

    def _mirrored(self) -> set[str]:
        found = query(
            self.installation.own,
            "select payload->>%s from transfer_rejectedrow",
            [self.rows.number],
        )
        return {number for (number,) in found}

    def _expect_arrived(self, due: set[str]) -> None:
        lost = due - set(self._accounted())
        lost -= self.now.mirrored & self._mirrored()
        self._expect(
            len(lost) <= self.now.forgone, f"lost, and the run says nothing: {sorted(lost)}"
        )

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.now.violated = True
            story = "\n".join([otherwise, "after:", *self.now.steps])
            print(story)  # noqa: T201 - hypothesis repeats it, and hides it if the repetition differs
            raise Violated(story)
