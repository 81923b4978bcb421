"""The guards of the design, each with how to take it out of the source, and what then breaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import scenarios, scenarios_of_servers
from tests.chaos.scenarios import Scenario

ENGINE = "transfer/engine"


@dataclass(frozen=True)
class Edit:
    """A passage of the source, which stands there exactly once, and what takes its place."""

    file: str
    passage: str
    instead: str

    def apply(self, tree: Path) -> None:
        path = tree / self.file
        text = path.read_text()
        assert text.count(self.passage) == 1, f"{self.file} no longer says: {self.passage}"
        path.write_text(text.replace(self.passage, self.instead))


@dataclass(frozen=True)
class Guard:
    name: str
    edits: Sequence[Edit]
    breaks: Scenario | None = None  # None: a transfer that breaks at one of its statements


GUARDS = [
    Guard(
        "the log is asked for the position's batch",
        [
            Edit(
                f"{ENGINE}/shop_all/batch_log.py",
                "        raise HistoryChanged(number=position.number)",
                "        pass",
            )
        ],
        scenarios.restored_copy_that_has_caught_up,
    ),
    Guard(
        "a batch counts only as it was written (xmin)",
        [
            Edit(
                f"{ENGINE}/shop_all/batch_log.py",
                'ORIGINAL = "xmin::text::bigint = xid::text::bigint & 4294967295"',
                'ORIGINAL = "true"',
            )
        ],
        scenarios.dump_of_all_restored_elsewhere,
    ),
    Guard(
        "the identity of shop All counts only as it was written",
        [
            Edit(
                f"{ENGINE}/shop_all/identity.py",
                "        if not is_original:\n",
                "        if False:\n",
            )
        ],
        scenarios.dump_of_all_restored_elsewhere,
    ),
    Guard(
        "a batch is flushed before its rows are read",
        [Edit(f"{ENGINE}/shop_all/batch_log.py", "in ('off', 'local')", "in ('never')")],
        scenarios.careless_database,
    ),
    Guard(
        "a replica is no source",
        [
            Edit(
                f"{ENGINE}/shop_all/batch_log.py", "        if is_standby:\n", "        if False:\n"
            ),
            Edit(
                f"{ENGINE}/shop_all/batch_log.py",
                "            except errors.ReadOnlySqlTransaction:\n"
                "                raise StandbyAsSource from None\n",
                "            except errors.ReadOnlySqlTransaction:\n"
                "                cursor.connection.rollback()\n"
                "                cursor.execute('select %(number)s + 1, %(token)s, "
                "pg_current_snapshot()::text', values)\n",
            ),
        ],
        scenarios.replica_as_source,
    ),
    Guard(
        "a position that is gone is not begun anew",
        [
            Edit(
                f"{ENGINE}/move/prepare.py",
                "if known.mine or target.positions.exist(kind) or logged - known.others:",
                "if False:",
            )
        ],
        scenarios_of_servers.vendor_restores_his_tables,
    ),
    Guard(
        "a purge notes what it removed, and for whom",
        [
            Edit(
                f"{ENGINE}/shop_all/batch_log.py",
                "        return int(rows)\n",
                "        return 0\n",
            )
        ],
        scenarios_of_servers.bonus_server_restored_to_before_a_purge,
    ),
    Guard(
        "a position that a rebase has handed on is not believed",
        [
            Edit(
                f"{ENGINE}/bonus_server/positions.py",
                "if since := self.rows_since(position):",
                "if False:",
            )
        ],
        scenarios.copy_restored_again_after_a_rebase,
    ),
    Guard(
        "rows landed = rows sent",
        [
            Edit(
                f"{ENGINE}/move/chunk.py",
                "if kind.appends and changed !=",
                "if False and changed !=",
            ),
            Edit(f"{ENGINE}/move/stream.py", "    if sent != received:\n", "    if False:\n"),
        ],
        scenarios_of_servers.row_swallowed_by_the_vendor,
    ),
    Guard(
        "a row that the vendor refuses is a reject",
        [Edit(f"{ENGINE}/move/refusals.py", 'in ("22", "23") or code == "P0001"', "in ()")],
        scenarios_of_servers.row_refused_by_the_vendor,
    ),
    Guard(
        "a later batch that our own history knows is asked about",
        [
            Edit(
                f"{ENGINE}/restore/set_position.py",
                "            _check_later(source, target, request, readers.batches,"
                " plan.position)\n",
                "",
            )
        ],
        scenarios_of_servers.vendor_restores_his_tables_where_shop_all_went_back,
    ),
    Guard(
        "rejects are written in the chunk's transaction",
        [
            Edit(
                f"{ENGINE}/move/chunk.py",
                "        numbers = target.rejects.add(plan.kind, plan.before)\n"
                "        if source.corrections.has_notes(plan.kind, origin, *numbers):",
                "        if False:",
            ),
            Edit(
                f"{ENGINE}/move/chunk.py",
                "        commit(plan.kind, target, plan.before, after)\n    return",
                "        commit(plan.kind, target, plan.before, after)\n"
                "        if totals.rejected:\n"
                "            target.rejects.add(plan.kind, plan.before)\n"
                "            target.database.commit()\n"
                "    return",
            ),
            Edit(f"{ENGINE}/kinds.py", "as_json json) on commit drop", "as_json json)"),
        ],
    ),
    Guard(
        "the position moves in the chunk's transaction",
        [
            Edit(
                f"{ENGINE}/move/chunk.py",
                "    if not target.positions.advance(plan.before, after):\n"
                "        raise PositionMoved\n"
                "    if not plan.dry_run:\n",
                "    if not plan.dry_run:\n        target.database.commit()\n"
                "    if not target.positions.advance(plan.before, after):\n"
                "        raise PositionMoved\n"
                "    if not plan.dry_run:\n",
            )
        ],
    ),
    Guard(
        "the source is asked how its half of a stream ended, and how many rows it sent",
        [
            Edit(
                f"{ENGINE}/move/stream.py",
                "        if self.error is not None:\n"
                "            raise SourceFailed from self.error\n",
                "",
            ),
            Edit(f"{ENGINE}/move/stream.py", "    if sent != received:\n", "    if False:\n"),
        ],
    ),
    Guard(
        "a commit whose answer is lost is looked up",
        [
            Edit(
                f"{ENGINE}/move/commit.py",
                "        if held is None or held.key != after.key:\n"
                "            raise CommitUnconfirmed(database=target.name) from error\n",
                "",
            )
        ],
    ),
]
