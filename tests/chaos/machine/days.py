"""Days of a history, and the machine's own count of each, which statements must say, too.

A day passes when all that is stamped moves a day back: the lines of the log, our own daily sums and
their copies. A copy of a database remembers its day, and moves as far when it is put back.

What is counted here comes from the tables of shop All and of the bonus servers by plain SQL, and
from the facts. Nothing of it goes back when our own database does: that is for the product to find.
"""

from collections import Counter, defaultdict
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils import timezone

from tests.chaos.machine.facts import Wrong
from tests.chaos.machine.world import BALANCES, HISTORY, STAGING, World
from transfer.models import Settings
from transfer.statements.count import count_period
from transfer.statements.keep import keep_days
from transfer.statements.period import Period

Sum = tuple[int, Decimal]
NOTHING: Sum = (0, Decimal(0))
LINES = """
    select number, mark::text, changeset::text, gone, withdrawn from datatransfer.log
     where kind = %s and xid is not null order by number
"""
# The rows of a line, at the step in which it was added.
ROWS = """
    select coalesce(staged.line, staged.id), {amount} from {table} as staged
      join datatransfer.log using (xid, started) where kind = %s and changeset = %s::uuid
"""
TOTALS = """
    select server::text, began_at::text, rows_applied + rows_unchanged + rows_rejected,
           amount_applied + amount_rejected
      from datatransfer.position where kind = %s
"""
# Where the counting began of the position's name, as the server's database itself remembers.
FROM = """
    select rows, amount from counted_from where kind = %s and server = %s and began_at = %s
"""
SET_FROM = """
    insert into counted_from (kind, server, began_at, rows, amount) values (%s, %s, %s, %s, %s)
        on conflict (kind) do update
       set server = excluded.server, began_at = excluded.began_at, rows = excluded.rows,
           amount = excluded.amount
 returning true
"""
# Rows that a server does without from now on: see `Days.skip`.
LACKS = """
    select rows - gone from datatransfer.log where kind = %s and changeset = %s::uuid
"""
RECEIVED_OF = """
    select coalesce(rows, 0) from datatransfer.exception
     where kind = %s and changeset = %s::uuid
"""
PURGED = """
    select coalesce(sum(purged), 0) from datatransfer.log
     where kind = %s and not withdrawn and purged > 0
"""
MOVE_LOG = "update datatransfer.log set appended_at = appended_at - make_interval(days => %s)"
# In two steps, since names would be there twice meanwhile.
MOVE_COPIES = """
    create temporary table moved on commit drop as
        select installation, what, content,
               (select string_agg(case when part ~ '^[0-9]{4}-' then (part::date - %s)::text
                                       else part end, ' ' order by place)
                  from unnest(string_to_array(name, ' ')) with ordinality as one (part, place)
               ) as name
          from datatransfer.kept where what <> 'statement';
    delete from datatransfer.kept where what <> 'statement';
    insert into datatransfer.kept (installation, what, name, content)
        select installation, what, name, content from moved
"""
EFFECTS = {"replaces": "corrections", "reverses": "taken_back", "sets": "changed"}


@dataclass
class Line:
    """A line of the log: of which day, its rows with their amounts, and what is wrong with it."""

    day: int
    number: int
    changeset: str
    rows: dict[int, Decimal]
    gone: int = 0
    withdrawn: bool = False


Sample = tuple[str, Sum]
"""The name that a position gives its server, and what the server has received by that name."""

Lines = dict[str, dict[tuple[str, str], Line]]  # kind → mark and changeset → the line


@dataclass
class Account:
    """What the product was told that a server has received of a kind, by days.

    `seen` is how often it was told. `is_behind`: our own database went back, and has not looked yet
    what shop All has copies of. `is_vague`: some of it counts on a later day. `is_lost`: what a
    copy has received by the name of another server was forgotten before it got its own one.
    """

    uid: str = ""
    days: dict[int, Sum] = field(default_factory=dict)
    skipped: Counter[int] = field(default_factory=Counter)
    seen: int = 0
    is_behind: bool = False
    is_vague: bool = False
    is_lost: bool = False


class Days:
    def __init__(self, world: World) -> None:
        self.world = world
        self.today = 0
        self.lines: Lines = {kind: {} for kind in HISTORY}
        self.accounts: dict[tuple[str, str], Account] = defaultdict(Account)
        # Of a kind and a name: what the product was told last, and of which server.
        self.told: dict[tuple[str, str], tuple[Sum, str]] = {}
        self.copied: Counter[tuple[str, str]] = Counter()  # of `seen`: what shop All has copies of
        self.kept: dict[int, tuple[int, Lines, Counter[tuple[str, str]]]] = {}

    # The log

    def look(self) -> None:
        """Note the lines that were added since the last step, with their rows."""
        for kind in HISTORY:
            known, there = self.lines[kind], set()
            for number, mark, changeset, gone, withdrawn in self.world.ask(LINES, [kind]):
                key = (mark, changeset)
                there.add(key)
                if key not in known:
                    known[key] = Line(self.today, number, changeset, self._rows(kind, changeset))
                known[key].gone, known[key].withdrawn = gone, withdrawn
        # What is not there any more has reached the end of its lifetime: `restored` drops others.

    def _rows(self, kind: str, changeset: str) -> dict[int, Decimal]:
        amount = "staged.amount" if kind == BALANCES else "0"
        query = ROWS.format(amount=amount, table=STAGING[kind])
        return {row: Decimal(value or 0) for row, value in self.world.ask(query, [kind, changeset])}

    def shop_is_copied(self, number: int) -> None:
        self.look()
        self.kept[number] = (self.today, deepcopy(self.lines), self.copied.copy())

    def shop_is_restored(self, number: int) -> None:
        day, lines, copied = self.kept[number]
        self.lines, self.copied = deepcopy(lines), copied.copy()
        self._note_vague()
        self._move_shop(self.today - day)

    # Servers

    def sample(self, name: str, kind: str) -> Sample | None:
        """Return what a server has received by the name that its position has.

        A position that was not seen before has just begun, or has just got this name.
        """
        if (found := self._position(name, kind)) is None:
            return None
        uid, began_at, totals = found
        if not (before := self.world.ask_server(name, FROM, [kind, uid, began_at])):
            self.world.ask_server(name, SET_FROM, [kind, uid, began_at, *totals])
            return uid, NOTHING
        return uid, minus(totals, before[0])

    def has_begun(self, name: str, kind: str) -> None:
        """There was no position before a run: what it has now, the run has moved."""
        if (found := self._position(name, kind)) is not None:
            self.world.ask_server(name, SET_FROM, [kind, *found[:2], *NOTHING])

    def _position(self, name: str, kind: str) -> tuple[str, str, Sum] | None:
        found = self.world.ask_server(name, "select to_regclass('datatransfer.position')::text")
        rows = self.world.ask_server(name, TOTALS, [kind]) if found[0][0] else []
        return (rows[0][0], rows[0][1], (int(rows[0][2]), rows[0][3])) if rows else None

    def note(self, name: str, kind: str, sampled: Sample | None) -> None:
        """A run has told the product where the server is."""
        if sampled is None:
            return
        account, (uid, received) = self.accounts[name, kind], sampled
        before, teller = self.told.get((kind, uid), (NOTHING, name))
        of_teller = self.accounts[teller, kind]
        if account.uid not in ("", uid) and account.is_vague:
            account.is_lost = True
        if teller != name and (account.is_vague or of_teller.is_vague):
            account.is_lost = of_teller.is_lost = True
        gained = minus(received, before)
        account.days[self.today] = plus(account.days.get(self.today, NOTHING), gained)
        account.uid, account.is_behind = uid, False
        account.seen += 1
        self.told[kind, uid] = received, name

    def skip(self, name: str, kind: str, changesets: set[str]) -> None:
        """Somebody has said that a server does without these."""
        rows = 0
        for changeset in changesets:
            ((whole,),) = self.world.ask(LACKS, [kind, changeset])
            part = self.world.ask_server(name, RECEIVED_OF, [kind, changeset])
            rows += whole - (part[0][0] if part else 0)
        self.accounts[name, kind].skipped[self.today] += rows

    def begin_without(self, name: str, kind: str) -> None:
        """A server begins with nothing: what is purged, it does without."""
        ((rows,),) = self.world.ask(PURGED, [kind])
        if rows:
            self.accounts[name, kind].skipped[self.today] += int(rows)

    def own_is_restored(self, day: int) -> None:
        """Our own database has lost what it was told and shop All has no copies of."""
        for account in self.accounts.values():
            account.is_behind = True
        self._note_vague()
        self._move_own(self.today - day)

    def _note_vague(self) -> None:
        for key, account in self.accounts.items():
            if account.is_behind and account.seen > self.copied[key]:
                account.is_vague = True

    # Time

    def copy_days(self) -> None:
        """The task keeps the days that are over, here and in shop All."""
        keep_days(timezone.now())
        for account in self.accounts.values():
            account.is_behind = False
        self.copied = Counter({key: one.seen for key, one in self.accounts.items()})

    def pass_a_day(self) -> None:
        self.look()
        self.copy_days()
        self._move_shop(1)
        self._move_own(1)
        self.today += 1

    def _move_shop(self, days: int) -> None:
        if days:
            self.world.ask(MOVE_LOG + " returning 1", [days])
            self.world.ask(MOVE_COPIES + " returning 1", [days])

    def _move_own(self, days: int) -> None:
        with connection.cursor() as cursor:
            for table in ("transfer_serverday", "transfer_logday"):
                for moved in (days + 10_000, -10_000):
                    cursor.execute(f"update {table} set day = day - %s", [moved])

    # Comparing

    def compare(self) -> None:
        """Raise Wrong where a statement says something else, of all days and of each."""
        self.look()
        self.copy_days()
        zone = Settings.load().zone
        now = timezone.now().astimezone(zone).date()

        def of(first: int, last: int) -> dict[str, Any]:
            days = [now - timedelta(self.today - day) for day in (first, last)]
            return count_period(Period(days[0], days[1], zone), None)

        self._compare(of(0, self.today), range(self.today + 1), whole=True)
        for day in range(self.today + 1):
            if any(line.day <= day for lines in self.lines.values() for line in lines.values()):
                self._compare(of(day, day), range(day, day + 1), whole=False)

    def _compare(self, said: dict[str, Any], days: range, *, whole: bool) -> None:
        for kind in said["kinds"]:
            if kind["kind"] in HISTORY:
                self._compare_log(kind["kind"], kind["log"], days)
                self._compare_servers(kind["kind"], kind["servers"], days, whole=whole)

    def _compare_log(self, kind: str, said: dict[str, Any], days: range) -> None:
        lines = [one for one in self.lines[kind].values() if one.day in days]
        facts = self.world.facts[kind].rows
        staged, withdrawn, gone = NOTHING, NOTHING, 0
        effects: Counter[str] = Counter()
        for line in lines:
            of_line = {
                row: facts[line.changeset, row]
                for row in line.rows
                if (line.changeset, row) in facts
            }
            # As staged: a row may have been changed before its line was added.
            amounts = [
                Decimal(of_line[row].values[0]) if row in of_line and kind == BALANCES else amount
                for row, amount in line.rows.items()
                if row not in of_line or of_line[row].effect not in ("reverses", "sets")
            ]
            counted = (len(line.rows), sum(amounts, Decimal(0)))
            staged = plus(staged, counted)
            if line.withdrawn:
                withdrawn = plus(withdrawn, counted)
            else:
                gone += line.gone
                effects.update(one.effect for one in of_line.values() if one.effect)
        wrong = {
            "staged": (staged, as_sum(said["staged"])),
            "withdrawn": (withdrawn, as_sum(said["withdrawn"])),
            "deleted_by_hand": (gone, said["deleted_by_hand"]["rows"]),
            "unknown_days": ([], said["unknown_days"]),
            "closing": (
                max((one.number for one in lines), default=0) <= said["closing"]["number"],
                True,
            ),
            **{name: (effects[effect], said[name]["rows"]) for effect, name in EFFECTS.items()},
        }
        refuse(f"{kind}, day {[*days]} of {self.today}, log", wrong)

    def _compare_servers(
        self, kind: str, said: list[dict[str, Any]], days: range, *, whole: bool
    ) -> None:
        for name in self.world.servers:
            account = self.accounts[name, kind]
            if account.is_lost or (account.is_vague and not whole):
                continue
            self.world.counts["periods of servers compared"] += 1
            counted, skipped = NOTHING, 0
            for one in said:
                if one["server"]["name"] == name:
                    net = minus(as_sum(one["received"]), as_sum(one["lost_by_restore"]))
                    counted = plus(counted, net)
                    skipped += one["skipped"]["rows"]
            expected = NOTHING
            for day in days:
                expected = plus(expected, account.days.get(day, NOTHING))
            wrong: dict[str, Any] = {"received": (expected, counted)}
            if not account.is_vague:
                wrong["skipped"] = (sum(account.skipped[day] for day in days), skipped)
            refuse(f"{name} {kind}, day {[*days]} of {self.today}", wrong)


def plus(one: Sum, other: Sum) -> Sum:
    return one[0] + other[0], one[1] + other[1]


def minus(one: Sum, other: Sum) -> Sum:
    return one[0] - other[0], one[1] - other[1]


def as_sum(said: dict[str, Any]) -> Sum:
    return said["rows"], Decimal(said["amount"])


def refuse(about: str, wrong: dict[str, tuple[Any, Any]]) -> None:
    """Raise Wrong if a pair of what was counted here and what was said differs."""
    differ = {name: pair for name, pair in wrong.items() if pair[0] != pair[1]}
    if differ:
        raise Wrong(f"a statement says something else: {about}: (counted, said) {differ}")
