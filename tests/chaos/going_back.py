"""What happens to databases: they crash, are copied, put back, dumped, replaced, switched over."""

import itertools
import time
from copy import deepcopy
from dataclasses import replace
from typing import Any

from tests.chaos.happened import Backup, Copy, Facts, step
from tests.chaos.instance import as_postgres
from tests.chaos.promise import CLUSTERS, SECOND, SERVERS, Promise
from tests.chaos.rows import ROWS
from tests.chaos.warm import Outcome
from tests.databases import opened, query, run
from transfer.engine.shop_all.batch_log import FIND

PATIENCE = 30

# A trigger that lets one row of the next chunk vanish.
SWALLOWING = """
    create function swallow() returns trigger language plpgsql as $$ begin
        return case when exists (select from asset) then new end;
    end $$;
    create trigger swallow before insert on asset for each row execute function swallow();
"""

ALIVE = "select 1 from pg_stat_activity where application_name like 'dtadmin%'"

# Refusals that depend on which other servers are docked, and on who reads for them.
OF_READERS = ("reader_shared", "beginning_undecided", "position_lost")

# Runs that have moved something of a batch.
OF_BATCH = """
    select from transfer_transferrun
     where position_to->>'reader' = %s and position_to->'number' = to_jsonb(%s) and read > 0
       and task_id is not null
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
        copies.append(Copy(place, len(copies), self._facts_of(name)))

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
        outcome = self.product.do("run", kind=self.kind, server=SERVERS[self.server], chunk_rows=3)
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
            reached = (ROWS[kind].reached_within_the_restore for kind in self.kinds)
            if not any(query(self.shop_all, one) for one in reached):
                break
        del self.now.copies["shop_all"][dump.moment :]
        self._went_back("shop_all")

    def copies(self) -> list[tuple[str, int]]:
        return [(name, copy.moment) for name in CLUSTERS for copy in self.now.copies.get(name, [])]

    def _facts_of(self, server: str) -> dict[str, Facts]:
        """What is known of the flows to a bonus server, as it is now, by kind."""
        flows = self.now.flows.items()
        return {kind: replace(facts) for (name, kind), facts in flows if name == server}

    def _put_facts(self, server: str, known: dict[str, Facts]) -> None:
        """The data of a bonus server are now as they were when this was known of its flows."""
        for kind, then in known.items():
            facts = self.now.flows[server, kind]
            facts.branch, facts.truth = then.branch, then.truth

    def _put_back(self, name: str, number: int) -> None:
        self._lose_writers(name)
        copies = self.now.copies[name]
        copy = copies[number]
        self.instances[name].restore(copy.place)
        del copies[copy.moment + 1 :]
        self._put_facts(name, copy.facts)
        if name == "shop_all":
            self.now.dumps = [one for one in self.now.dumps if one.moment <= copy.moment]

    def _lose_writers(self, name: str) -> None:
        if name == "shop_all":
            self._drop_writers()

    def _went_back(self, name: str) -> None:
        """It may settle a refusal, or the refusal may now have another reason.

        Our own database knows which servers are docked, and who reads.
        """
        if name == "own":
            self._look_who_is_docked()
            self.now.forgotten |= self.now.withdrawn
        else:
            self.now.went_back = True
        if name == "shop_all":
            self.now.branches.append(self._clock())
        for (server, _), facts in self.now.flows.items():
            if name in ("shop_all", server) or facts.refused in OF_READERS:
                facts.refused = ""

    def _look_who_is_docked(self) -> None:
        found = query(self.installation.own, "select name from transfer_bonusserver")
        self.now.docked = {server for server, name in SERVERS.items() if (name,) in found}

    @step
    def clone(self, *, with_our_schema: bool, into: str = SECOND) -> None:
        """The machine of a bonus server is replaced by a copy of the other one, docked."""
        if into in self.now.docked:
            self._undock(into)
        (source,) = {*SERVERS} - {into}
        place = self.home / f"{into}.copies" / f"{len(self.now.steps)}.clone"
        self.instances[source].copy_to(place)
        self.instances[into].restore(place)
        self.instances[into].start()
        self._reach(into)
        query(self.dsn(into), "drop table if exists refuses_here")
        if into == SECOND:
            query(self.dsn(into), "create table refuses_here ()")
        self.now.copies[into].clear()
        if self.now.backup is not None and self.now.backup.server == into:
            self.now.backup = None
        for kind, then in self._facts_of(source).items():
            facts = replace(deepcopy(then), refused="", is_new=not with_our_schema)
            self.now.flows[into, kind] = facts
        if not with_our_schema:
            self._lose_our_schema(into)
        self._dock(into)

    def _lose_our_schema(self, server: str) -> None:
        """Its tables go up to the batch that each position names; nothing there says so.

        The rejects go with it: those that we mirror stay in our own database alone.
        """
        present = self.server, self.kind
        for flow in [flow for flow in self.now.flows if flow[0] == server]:
            self.go_to(*flow)
            self.facts.truth = self.whole_batch()
            rejects = {*dict(self._at(server)[1])} & self._history()
            self.facts.mirrored |= self._mirrored()
            self.facts.lost_rejects |= rejects - self._mirrored()
        self.go_to(*present)
        query(self.dsn(server), "drop schema if exists datatransfer cascade")
        self.now.copies["own"].clear()

    @step
    def undock(self, server: str) -> None:
        self._undock(server)

    @step
    def dock(self, server: str) -> None:
        self._dock(server)

    def _undock(self, server: str) -> None:
        self._do("undock", server=SERVERS[server])
        self.now.docked.discard(server)

    def _dock(self, server: str) -> None:
        result = self._do("command", arguments=self.docking(server))
        self._expect(result["code"] == 0, f"dock: {result}")
        self.now.docked.add(server)
        self.now.went_back = True

    @step
    def back_up_vendor(self) -> None:
        """The vendor copies his tables, without ours; in between two batches."""
        server, kind = present = self.server, self.kind
        rows, facts = {}, self._facts_of(server)
        for kind in facts:
            self.go_to(server, kind)
            rows[kind] = query(self.bonus, f"select * from {self.rows.target}")
            facts[kind].truth = self.whole_batch()
        self.go_to(*present)
        self.now.backup = Backup(server, rows, facts)

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
        bonus = self.dsn(backup.server)
        query(bonus, "truncate arrived")
        self._lose_our_schema(backup.server)
        for kind, rows in backup.rows.items():
            query(bonus, f"truncate {ROWS[kind].target}")
            with opened(bonus) as connection:
                for row in rows:
                    marks = ", ".join(["%s"] * len(row))
                    values = f"overriding system value values ({marks})"
                    run(connection, f"insert into {ROWS[kind].target} {values}", row)
        self._put_facts(backup.server, backup.facts)
        self._went_back(backup.server)

    def _is_known(self, batch: tuple[str, int] | None) -> bool:
        """Whether shop All's log has it, or our own history: else nobody knows what had arrived of
        the rows that wait.
        """
        if batch is None or query(self.shop_all, FIND, batch):
            return True
        (origin,) = query(self.shop_all, "select origin::text from datatransfer.origin")[0]
        return bool(query(self.installation.own, OF_BATCH, [*batch, origin]))

    def _burn(self, dsn: str, transactions: int) -> None:
        with opened(dsn) as connection:
            for _ in range(transactions):
                run(connection, "select pg_current_xact_id()")

    def _wait_for_the_dead(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for name in {"own", "shop_all", *(server for server, _ in self.now.flows)}:
            with opened(self.dsn(name)) as connection:
                while run(connection, ALIVE):
                    assert time.monotonic() < deadline
                    time.sleep(0.001)

    def _do(self, act: str, **arguments: Any) -> Any:
        outcome: Outcome = self.product.do(act, **arguments)
        self._wait_for_the_dead()
        self._expect(outcome.code == 0, f"{act}: {outcome.stderr}")
        return outcome.result
