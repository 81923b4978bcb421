"""What happens to databases: they crash, are copied, put back, dumped, replaced, switched over."""

import itertools
import time

from tests.chaos.happened import Backup, Copy, step
from tests.chaos.installation import DATABASES
from tests.chaos.instance import as_postgres
from tests.chaos.promise import Promise
from tests.databases import connected, query, run
from transfer.engine.shop_all.batch_log import FIND

PATIENCE = 30

# A trigger that lets one row of the next chunk vanish.
SWALLOWING = """
    create function swallow() returns trigger language plpgsql as $$ begin
        return case when exists (select from asset) then new end;
    end $$;
    create trigger swallow before insert on asset for each row execute function swallow();
"""

# Runs that have moved something of a batch.
OF_BATCH = """
    select from transfer_transferrun
     where position_to->>'reader' = %s and position_to->'number' = to_jsonb(%s) and read > 0
       and position_to->>'origin' = %s
"""


class GoingBack(Promise):
    @step
    def crash(self, name: str) -> None:
        """The power fails, and comes back."""
        self._lose_writers(name)
        self.instances[name].crash()
        self.instances[name].start()

    @step
    def copy(self, name: str) -> None:
        """A snapshot of the disk, while everything runs."""
        copies = self.now.copies[name]
        place = self.home / f"{name}.copies" / str(len(self.now.steps))
        self.instances[name].copy_to(place)
        copies.append(Copy(place, len(copies), self.now.position_branch, self.now.truth))

    @step
    def restore(self, name: str, number: int = -1) -> None:
        """The data directory is put back to a copy. Later copies are of a future that is gone."""
        self._put_back(name, number)
        self.instances[name].start()
        self._went_back(name)

    @step
    def promote(self, name: str, number: int = -1) -> None:
        """The server dies, and a replica that has lagged since that copy takes its place."""
        self._put_back(name, number)
        self.instances[name].become_standby()
        self.instances[name].start()
        self.instances[name].promote()
        self._went_back(name)

    @step
    def read_from_standby(self) -> None:
        """The URL names a replica for a while."""
        instance = self.instances["shop_all"]
        self._lose_writers("shop_all")
        instance.stop()
        instance.become_standby()
        instance.start()
        outcome = self.product.do("run", kind=self.kind, chunk_rows=3)
        self._expect(outcome.result["error"] == "standby_as_source", f"read: {outcome.result}")
        self._wait_for_the_dead()
        instance.stop()
        (instance.data / "standby.signal").unlink()
        instance.start()

    @step
    def write_anew(self, table: str) -> None:
        """Its rows are written by another transaction, as pg_repack does it."""
        query(self.shop_all, f"update datatransfer.{table} set xid = xid")
        self._went_back("shop_all")

    @step
    def dump(self) -> None:
        place = self.home / "shop_all.copies" / f"{len(self.now.steps)}.dump"
        place.write_bytes(as_postgres("pg_dump", "-Fc", "-d", self.shop_all).stdout)
        self.now.dumps.append(Copy(place, len(self.now.copies["shop_all"]), 0))

    @step
    def restore_dump(self, *, fresh: bool) -> None:
        """Into the cluster that it came from, or, fresh, into a new one that counts from 3."""
        self._lose_writers("shop_all")
        dump = self.now.dumps[-1]
        instance = self.instances["shop_all"]
        for gid in self.prepared():
            query(self.shop_all, "rollback prepared %s", [gid])
        for ahead in itertools.count(0, 100):
            if fresh:
                instance.restore(self.blank)
                instance.start()
                self._burn(instance.dsn(), ahead)
            query(instance.dsn(), "drop database if exists shop_all with (force)")
            query(instance.dsn(), "create database shop_all")
            as_postgres("pg_restore", "-d", self.shop_all, dump.place)
            if not query(self.shop_all, self.rows.reached_within_the_restore):
                break
        del self.now.copies["shop_all"][dump.moment :]
        self._went_back("shop_all")

    def copies(self) -> list[tuple[str, int]]:
        return [(name, copy.moment) for name in DATABASES for copy in self.now.copies.get(name, [])]

    def _put_back(self, name: str, number: int) -> None:
        self._lose_writers(name)
        copies = self.now.copies[name]
        copy = copies[number]
        self.instances[name].restore(copy.place)
        del copies[copy.moment + 1 :]
        if name == "bonus":
            self.now.position_branch = copy.branch
            self.now.truth = copy.truth
        if name == "shop_all":
            self.now.dumps = [one for one in self.now.dumps if one.moment <= copy.moment]

    def _lose_writers(self, name: str) -> None:
        if name == "shop_all":
            self._drop_writers()

    def _went_back(self, name: str) -> None:
        """What stood refused may be settled by it, or be refused for another reason now."""
        if name == "shop_all":
            self.now.branches.append(self._clock())
        if name != "own":
            self.now.refused = ""
            self.now.went_back = True

    @step
    def back_up_vendor(self) -> None:
        """The vendor copies his tables, without ours; in between two batches."""
        rows = query(self.bonus, f"select * from {self.rows.target}")
        self.now.backup = Backup(rows, self.whole_batch(), self.now.position_branch)

    @step
    def swallow(self) -> None:
        query(self.bonus, SWALLOWING)

    @step
    def stop_swallowing(self) -> None:
        query(self.bonus, "drop trigger swallow on asset; drop function swallow")

    @step
    def restore_vendor(self) -> None:
        """The vendor restores his tables; our schema is gone."""
        backup = self.now.backup
        assert backup is not None
        query(self.bonus, "drop schema if exists datatransfer cascade; truncate arrived")
        query(self.bonus, f"truncate {self.rows.target}")
        with connected(self.bonus) as connection:
            for row in backup.rows:
                marks = ", ".join(["%s"] * len(row))
                insert = f"insert into {self.rows.target} overriding system value values ({marks})"
                run(connection, insert, row)
        # The rejects went with our schema: those that we mirror stand in our own database alone.
        self.now.mirrored |= self._mirrored()
        self.now.copies["own"].clear()
        self.now.truth, self.now.position_branch = backup.batch, backup.branch
        self.now.refused = ""
        self.now.went_back = True

    def _is_known(self, batch: tuple[str, int] | None) -> bool:
        """Whether shop All's log has it, or our own history: else nobody knows what had arrived of
        the rows that wait.
        """
        if batch is None or query(self.shop_all, FIND, batch):
            return True
        (origin,) = query(self.shop_all, "select origin::text from datatransfer.origin")[0]
        return bool(query(self.installation.own, OF_BATCH, [*batch, origin]))

    def _burn(self, dsn: str, transactions: int) -> None:
        with connected(dsn) as connection:
            for _ in range(transactions):
                run(connection, "select pg_current_xact_id()")

    def _wait_for_the_dead(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for name, instance in self.instances.items():
            while query(
                instance.dsn(name),
                "select 1 from pg_stat_activity where application_name like 'dtadmin%'",
            ):
                assert time.monotonic() < deadline
                time.sleep(0.001)
