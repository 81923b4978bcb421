"""What people and programs do in shop All with the help of the product."""

from typing import Any

from tests.chaos.machine.facts import Fact, Key, Wrong
from tests.chaos.machine.world import BALANCES, Ours, World, fact_of
from tests.engine import operations
from transfer.causes.loads import LOAD_KNOWN
from transfer.engine.bonus_server.rejects import RowName
from transfer.engine.kinds import KINDS
from transfer.engine.shop_all.changes import Changed
from transfer.engine.shop_all.gone import accept, missing
from transfer.engine.shop_all.lifetime import end_lifetimes
from transfer.engine.shop_all.purge import KnownServer, needs_from, purge
from transfer.errors import LoadNotUndoable, PurgeWaits, TransferError

Rows = list[dict[str, Any]]
OPEN = """
    select changeset::text, "row", effect from datatransfer.reject
     where kind = %s and resolved_by is null order by 1, 2
"""
LAST = """
    select changeset::text, "row", effect, of_changeset::text, of_row, root_changeset::text,
           root_row
      from datatransfer.dependent
     where kind = %s and changeset = (
           select changeset from datatransfer.log where kind = %s order by number desc limit 1)
     order by "row"
"""


class People:
    def __init__(self, world: World) -> None:
        self.world = world

    # Loads

    def load(self, kind: str, rows: Rows, of: Ours | None = None) -> str:
        """Load a file; return the changeset. Names that were taken back are left out."""
        of = of or self.world.ours
        name = operations.load(
            self.world.flow(kind), *map(values_of, rows), taken_back=of.taken_back.get(kind, ())
        )
        self._note_load(kind, name, rows)
        of.files[name] = (kind, name)
        self._note_seen(of)
        return name

    def call(self, kind: str, key: str, rows: Rows, of: Ours | None = None) -> str | None:
        """Call the API; return the changeset, or None where shop All says that it was loaded."""
        of = of or self.world.ours
        try:
            name = operations.call(self.world.flow(kind), key, *map(values_of, rows))
        except TransferError as error:
            if error.cause is not LOAD_KNOWN:
                raise
            return None
        if name is not None:
            self._note_load(kind, name, rows)
            of.files[name] = (kind, name)
            self._note_seen(of)
        return name

    def _note_load(self, kind: str, name: str, rows: Rows) -> None:
        good = [row for row in rows if not is_bad(kind, row)]
        self.world.note(kind, name, good, [*range(1, len(good) + 1)], committed=True)
        self.world.say(name[:8])

    def _note_seen(self, of: Ours) -> None:
        with self.world.shop() as source:
            of.note_seen(source)

    # Undo

    def undo(self, kind: str, load: str, of: Ours | None = None) -> str | None:
        """Take a load back; return the changeset of the undo, or None where it can't be."""
        of = of or self.world.ours
        try:
            done = operations.undo(self.world.flow(kind), load)
        except LoadNotUndoable as error:
            self.world.say(error.code)
            return None
        self.note_undo(kind, load, done.changeset)
        of.taken_back.setdefault(kind, set()).add(load)
        self._note_seen(of)
        self.world.say(f"{load[:8]} by {done.changeset[:8]}")
        return done.changeset

    def note_undo(self, kind: str, load: str, undo: str) -> None:
        facts = self.world.facts[kind]
        facts.undone.add(load)
        facts.undos[undo] = load
        if kind != BALANCES:
            return
        for key in [*facts.changesets[load].keys]:
            fact = facts.rows[key]
            opposite = Fact(
                kind, (undo, key[1]), fact.account, "undone", [], "reverses", key, key, fact.family
            )
            facts.add(opposite, committed=True)

    def undo_again(self, kind: Any, loads: Any) -> None:
        for load in loads:
            self.undo(kind.name, load)

    # Rejects

    def open_rejects(self, server: str, kind: str) -> list[tuple[Key, str]]:
        """Return the open rejects of a server: the row, and its effect."""
        if self.world.servers[server].without_position:
            return []
        found = self.world.ask_server(server, OPEN, [kind])
        return [((changeset, row), effect or "") for changeset, row, effect in found]

    def correct(self, kind: str, *keys: Key, account: str = "", bad: bool = False) -> str | None:
        """Correct these rejected rows in one changeset; return its name."""
        rows = {
            key: self._corrected(kind, key, account, bad=bad and not number)
            for number, key in enumerate(keys)
        }
        done = operations.correct(self.world.flow(kind), *rows.items())
        if not done.rows:
            self.world.say(done.refused)
            return None
        return self._note_dependents(kind, rows)

    def _corrected(self, kind: str, key: Key, account: str, *, bad: bool) -> dict[str, Any]:
        """What somebody types in place of a rejected row."""
        world = self.world
        fact, row = world.facts[kind].rows[key], world.draw_row(kind)
        if kind == BALANCES:
            class_ = account or world.random.choice(["a", "a", "a", "x1", "x2"])
            row["account"] = f"{class_}-{fact.family}.{world.counter}"
            if self._leads_to_opposite(fact):
                row["amount"] = -abs(row["amount"])
            if bad:
                row["amount"] = 0
        else:
            row["account"] = "a" + fact.account[fact.account.index("-") :]
        return row

    def _leads_to_opposite(self, fact: Fact) -> bool:
        return fact.effect == "reverses" or (
            fact.effect == "replaces"
            and fact.of is not None
            and self._leads_to_opposite(self.world.facts[fact.kind].rows[fact.of])
        )

    def _note_dependents(self, kind: str, rows: dict[Key, dict[str, Any]]) -> str:
        """Note the rows of the last line, which depend on these."""
        facts, name = self.world.facts[kind], ""
        for name, row, effect, of_name, of_row, root_name, root_row in self.world.ask(
            LAST, [kind, kind]
        ):
            of, root = (of_name, of_row), (root_name, root_row)
            fact = fact_of(kind, (name, row), rows[of])
            fact.effect, fact.of, fact.root = effect, of, root
            facts.add(fact, committed=True)
        self.world.say(name[:8])
        self._note_seen(self.world.ours)
        return name

    def discard(self, server: str, kind: str, key: Key) -> None:
        """Discard a reject of a server, as the next run writes it there."""
        with self.world.both(server) as (source, target), source.snapshot():
            origin = source.identity.origin()
            with target.database.transaction():
                position = target.positions.lock(origin, KINDS[kind])
                assert position is not None
                version = self.world.ours.installation.id
                target.rejects.discard(position, version, [RowName(*key)])
                assert target.positions.touch(position, version)
        self.world.facts[kind].discarded.add(key)

    # Changed rows

    def change(self, kind: str, fact: Fact, value: Any) -> bool:
        """Head office changes a row in place; return whether it is there."""
        column = "amount" if kind == BALANCES else "pincode"
        named = ("comment" if kind == BALANCES else "account", "account")
        values = (fact.payload if kind == BALANCES else fact.account, fact.account)
        table = f'"{KINDS[kind].staging}"'
        changed = self.world.ask(
            f"update {table} set {column} = %s where ctid = (select ctid from {table}"
            f" where {named[0]} = %s and {named[1]} = %s and {column}::text = %s"
            " order by started limit 1) returning 1",
            [value, *values, str(fact.values[-1])],
        )
        if changed:
            fact.values.append(value)
        return bool(changed)

    def changed(self, kind: str) -> list[Changed]:
        return [one for one in operations.changed(self.world.flow(kind)) if not one.reason]

    def send_changes(self, kind: str, rows: list[Changed]) -> str | None:
        """Send the present values of changed rows; return the changeset."""
        if not rows:
            return None
        if not operations.send_changes(self.world.flow(kind), rows):
            raise Wrong(f"nothing of {rows} was sent")
        return self._note_dependents(kind, {key_of(one): self._now(kind, one) for one in rows})

    def _now(self, kind: str, changed: Changed) -> dict[str, Any]:
        """Return a changed row as it is in shop All, which may have gone back since."""
        column = "amount" if kind == BALANCES else "pincode"
        ((value,),) = self.world.ask(
            f'select staged.{column} from datatransfer.log join "{KINDS[kind].staging}" as staged'
            " using (xid, started)"
            " where kind = %s and changeset = %s and coalesce(line, id) = %s",
            [kind, changed.changeset, changed.row],
        )
        fact = self.world.facts[kind].rows[key_of(changed)]
        if kind != BALANCES:
            return {"account": fact.account, "pincode": value}
        return {"account": fact.account, "amount": value, "comment": fact.payload}

    # Purges

    def known_servers(self, kind: str, of: Ours | None = None) -> list[KnownServer]:
        """What a purge knows of the docked servers of an installation."""
        of, known = of or self.world.ours, []
        for server in self.world.servers.values():
            if server.of is of and server.is_docked:
                if server.is_alive and not server.without_position:
                    known.append(self.world.read_known(server.name, kind))
                else:
                    known.append(server.known.get(kind, KnownServer.unknown(server.name)))
        return known

    def purge(self, kind: str, of: Ours | None = None) -> int:
        """Purge everything that nobody needs, however young; return how many rows."""
        of = of or self.world.ours
        with self.world.shop() as source:
            with source.snapshot():
                registered = source.installations.own(KINDS[kind], of.installation)
            try:
                done = purge(
                    KINDS[kind],
                    source,
                    self.known_servers(kind, of),
                    of.installation,
                    registered,
                    0,
                    (),
                    dry_run=False,
                )
            except PurgeWaits as error:
                self.world.say(error.code)
                return 0
        return done.rows

    def end_lifetimes(self, kind: str) -> int:
        """End the lifetimes of all lines that nobody stands below."""
        self.world.lifetimes_ended = True
        with self.world.shop() as source:
            try:
                return end_lifetimes(
                    KINDS[kind], source, self.known_servers(kind), self.world.ours.installation, 0
                )
            except PurgeWaits as error:
                self.world.say(error.code)
                return 0

    # Rows deleted by hand

    def delete(self, kind: str, fact: Fact) -> None:
        """Somebody deletes a row, and each that sets its amount: they look the same."""
        table = f'"{KINDS[kind].staging}"'
        column = "comment" if kind == BALANCES else "pincode"
        self.world.ask(
            f"delete from {table} where {column} = %s and account = %s",
            [fact.payload if kind == BALANCES else fact.values[-1], fact.account],
        )
        facts = self.world.facts[kind]
        facts.deleted |= {
            other.key
            for other in facts.rows.values()
            if (other.account, other.payload) == (fact.account, fact.payload)
        }

    def accept_gone(self, kind: str) -> int:
        """Say that nobody waits for what is missing and needed; return of how many changesets."""
        with self.world.shop() as source:
            with source.snapshot():
                try:
                    first = needs_from(KINDS[kind], source, self.known_servers(kind)).line
                except PurgeWaits:  # as `runs.missing` does
                    first = 1
                found = missing(KINDS[kind], source, first)
            return accept(KINDS[kind], source, [one.changeset for one in found])


def values_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the values of a row in the order of the kind's columns."""
    if "amount" in row:
        return row["account"], row["amount"], None, None, row["comment"]
    return row["account"], row["pincode"]


def key_of(changed: Changed) -> Key:
    return changed.changeset, changed.row


def is_bad(kind: str, row: dict[str, Any]) -> bool:
    """Return whether a check refuses a row."""
    return not row["amount"] if kind == BALANCES else not row["pincode"]
