"""The machine of time by the product: its own database, runs, loads, pages' functions and commands.

`Transfers` and `People` call the engine as the product does. These call the product itself, so that
its own database takes part, which may go back in time like the others.
"""

import json
from typing import Any
from unittest.mock import patch

from django.test import Client
from psycopg2.extensions import parse_dsn

from tests.chaos import actions
from tests.chaos.machine import oracle
from tests.chaos.machine.clusters import Clusters
from tests.chaos.machine.days import Days
from tests.chaos.machine.facts import Key, Wrong
from tests.chaos.machine.people import People, is_bad, key_of
from tests.chaos.machine.steps import Machine
from tests.chaos.machine.transfers import Transfers
from tests.chaos.machine.world import HISTORY, Ours, World
from tests.own_database import OwnDatabases
from transfer.causes.ledger import (
    BEGINNING_UNDECIDED,
    COPY_OF,
    HISTORY_TOO_OLD,
    ROWS_DIFFER,
    ROWS_PURGED,
    SHOP_ALL_WENT_BACK,
)
from transfer.engine.begin import Answer
from transfer.engine.kinds import KINDS
from transfer.engine.shop_all.changes import Changed
from transfer.errors import TransferError
from transfer.loading import undo_load as undoing, upload_job
from transfer.loading.receive import receive
from transfer.models import (
    Actor,
    ApiKey,
    BonusServer,
    LeftBehind,
    RejectedRow,
    Settings,
    TransferRun,
    Upload,
)
from transfer.models.api_keys import Scope
from transfer.rejects import changed, resend
from transfer.runs import execute, lifetimes, undocking
from transfer.runs.left_behind import leave_behind
from transfer.runs.purge import purge

SOMEBODY = Actor("tests")
NOBODY_LISTENS = 1  # a port
# Of the log: which undo took which load back.
UNDOS = "select kind, changeset::text, undoes::text from datatransfer.load where undoes is not null"
HERE = "select true from datatransfer.log where kind = %s and changeset = %s::uuid"


class ProductsWorld(World):
    """Docked servers are those that our own database knows; a dead one does not answer there."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.days = Days(self)

    def copy_shop(self, how: str = "database") -> int:
        number = super().copy_shop(how)
        self.days.shop_is_copied(number)
        return number

    def restore_shop(self, number: int = -1, *, lags: bool = False) -> None:
        super().restore_shop(number, lags=lags)
        self.days.shop_is_restored(number % len(self.copies))

    def tell_product(self) -> None:
        """Dock, undock and move servers in our own database as the history has it."""
        for server in self.servers.values():
            docked = BonusServer.objects.filter(name=server.name).first()
            if docked is not None and not server.is_docked:
                undocking.undock(docked, SOMEBODY)
            elif server.is_docked:
                docked = docked or BonusServer(name=server.name, host="localhost")
                place = parse_dsn(self.dsn(server.name))
                docked.db_host, docked.db_name = place["host"], place["dbname"]
                docked.db_port = int(place["port"]) if server.is_alive else NOBODY_LISTENS
                docked.db_user = place["user"]
                if docked.pk:
                    docked.save()
                else:
                    docked.dock()
                server.uid = str(docked.uid)


class ProductsPeople(People):
    """What people do, by what pages, commands and the API call."""

    world: ProductsWorld

    def load(self, kind: str, rows: list[dict[str, Any]], of: Ours | None = None) -> str:
        names = [*rows[0]]
        lines = [";".join(names), *(";".join(str(row[name]) for name in names) for row in rows)]
        upload = receive(KINDS[kind], ["\n".join(lines).encode()], SOMEBODY, name="file.csv")
        upload_job.go_on(upload)
        upload.refresh_from_db()
        if upload.state == Upload.State.READY:
            upload.confirm(SOMEBODY)
            upload_job.go_on(upload)
            upload.refresh_from_db()
        good = [row for row in rows if not is_bad(kind, row)]
        if good and upload.state != Upload.State.LOADED:
            raise Wrong(f"the file is {upload.state}: {upload.explained} {upload.report}")
        if good:
            self._note_load(kind, str(upload.changeset), rows)
        return str(upload.changeset)

    def call(
        self, kind: str, key: str, rows: list[dict[str, Any]], of: Ours | None = None
    ) -> str | None:
        good = [row for row in rows if not is_bad(kind, row)]
        if not good:
            return None
        secret = ApiKey.make(
            SOMEBODY, name="1C", scopes=list(Scope.values), expires_at=None, limit=1000
        ).secret
        answer = Client(headers={"Authorization": f"Bearer {secret}"}).post(
            f"/api/v1/rows/{kind}",
            json.dumps([{**row, "amount": str(row["amount"])} for row in good]),
            content_type="application/json",
            headers={"Idempotency-Key": f"the call {key}"},
        )
        ApiKey.objects.all().delete()
        if answer.status_code not in (200, 201):
            self.world.say(f"{answer.status_code} {answer.json()['code']}")
            return None
        upload = Upload.objects.get(token=answer.json()["id"])
        self._note_load(kind, str(upload.changeset), good)
        return str(upload.changeset)

    def undo(self, kind: str, load: str, of: Ours | None = None) -> str | None:
        found = Upload.objects.filter(kind=kind, changeset=load).order_by("-pk").first()
        if found is None or not found.can_be_undone:
            return None
        try:
            ordered = undoing.order(found, SOMEBODY)
        except TransferError as error:
            self.world.say(error.code)
            return None
        upload_job.go_on(ordered)
        ordered.refresh_from_db()
        if ordered.state != Upload.State.LOADED:
            self.world.say(ordered.error_code or ordered.state)
            return None
        self.world.ours.taken_back.setdefault(kind, set()).add(load)
        self.note_undo(kind, load, str(ordered.changeset))
        self.world.say(f"{load[:8]} by {str(ordered.changeset)[:8]}")
        return str(ordered.changeset)

    def note_undos(self) -> None:
        """Note the undos that the product has staged again by itself."""
        for kind, undo, load in self.world.ask(UNDOS):
            facts = self.world.facts[kind]
            if undo not in facts.undos and load in facts.changesets:
                self.note_undo(kind, load, undo)

    def correct(self, kind: str, *keys: Key, account: str = "", bad: bool = False) -> str | None:
        """Correct these rejected rows, one after the other."""
        name = None
        for key in keys:
            row = self._corrected(kind, key, account, bad=bad)
            chosen = RejectedRow.objects.open().filter(kind=kind, changeset=key[0], row=key[1])
            typed = {name: str(value) for name, value in row.items()}
            if resend.resend(chosen, typed, SOMEBODY).sent:
                name = self._note_dependents(kind, {key: row})
        return name

    def discard(self, server: str, kind: str, key: Key) -> None:
        chosen = RejectedRow.objects.filter(kind=kind, changeset=key[0], row=key[1])
        if resend.discard(chosen, "why", SOMEBODY):
            self.world.facts[kind].discarded.add(key)

    def changed(self, kind: str) -> list[Changed]:
        found = {one.kind.name: one.rows for one in changed.undecided(seconds=None)}
        return [one for one in found.get(kind, []) if not one.reason]

    def send_changes(self, kind: str, rows: list[Changed]) -> str | None:
        name = None
        for one in rows:
            key = changed.key_of(one)
            if changed.decide(KINDS[kind], changed.Decision.SEND, SOMEBODY, key=key):
                name = self._note_dependents(kind, {key_of(one): self._now(kind, one)})
        return name

    def purge(self, kind: str, of: Ours | None = None) -> int:
        self.world.tell_product()
        tasks = actions.TransferTask.objects.filter(kind=kind).select_related("server")
        try:
            done = purge(KINDS[kind], tasks, 0, dry_run=False)
        except TransferError as error:
            self.world.say(error.code)
            return 0
        return done.rows

    def end_lifetimes(self, kind: str) -> int:
        self.world.lifetimes_ended = True
        at_once = Settings.load()
        at_once.log_days = 0
        with patch.object(lifetimes.Settings, "load", lambda: at_once):
            return self.purge(kind)

    def accept_gone(self, kind: str) -> int:
        return len(command_json("forget_rows", kind, "--yes"))

    def _note_seen(self, of: Ours) -> None:
        """The product notes itself what it has seen."""


class ProductsTransfers(Transfers):
    """Runs by the product, and answers by its commands."""

    world: ProductsWorld
    people: ProductsPeople

    def run(self, name: str, kind: str, rows: int = 3, most: int = 400) -> int:
        """Run a task; return how many chunks it has moved. Raises Refused."""
        self.world.tell_product()
        before, moved = self.world.days.sample(name, kind), 0

        def stopped() -> int:
            nonlocal moved
            moved += 1
            return int(moved >= most)

        done = execute.run_here(
            actions.task_of(kind, name),
            TransferRun.Trigger.MANUAL,
            chunk_rows=rows,
            stopped=stopped,
        )
        if before is None:
            self.world.days.has_begun(name, kind)
        if done.position_from is not None:
            self.world.days.note(name, kind, before)
            if "Died" not in done.error_technical:
                self.world.days.note(name, kind, self.world.days.sample(name, kind))
        if done.error_code:
            raise Refused(done)
        return moved

    def try_run(self, name: str, kind: str, rows: int = 3, most: int = 400) -> str:
        try:
            moved = self.run(name, kind, rows, most)
        except Refused as refused:
            return self.answer(name, kind, refused)
        return "moved" if moved == most else "done"

    def answer(self, name: str, kind: str, refused: "Refused") -> str:
        """Do what the refusal's page says; return its code."""
        code = refused.run.error_code
        if code == SHOP_ALL_WENT_BACK.code:
            self.answer_went_back(self.world.ours)
        elif code == COPY_OF.code:
            command("begin", name, kind, "--own")
            for each in HISTORY:
                self.world.days.sample(name, each)
        elif code == ROWS_PURGED.code:
            self.skip(name, kind)
        elif code in (BEGINNING_UNDECIDED.code, HISTORY_TOO_OLD.code):
            allowed = self.world.servers[name].without_position
            if not (allowed or (code == HISTORY_TOO_OLD.code and self.world.lifetimes_ended)):
                raise Wrong(f"{name} {kind}: {code}, and nobody has dropped its schema")
            self.replace(name)
        elif code == ROWS_DIFFER.code:
            if not self.people.accept_gone(kind):
                raise Wrong(f"{name} {kind}: nothing is missing")
        elif not self.world.disturbed and "Died" not in refused.run.error_technical:
            raise Wrong(f"{name} {kind}: {code} {refused.run.error_technical}")
        return code

    def confirm(self, of: Ours) -> None:
        if not command_json("confirm_shop_all", "--yes")[-1].get("confirmed"):
            raise Wrong("a run asks about a restore, and the command does not")
        self.people.note_undos()

    def skip(self, name: str, kind: str) -> None:
        """The server does without purged rows that it lacks: exactly those of the list."""
        expected = oracle.list_purged(self.world, name, kind)
        listed = {one["changeset"] for one in command_json("skip_rows", name, kind, "--dry-run")}
        if name not in self.world.may_lack:
            raise Wrong(f"{name} {kind}: rows were purged that it needs")
        if not listed <= expected:
            raise Wrong(f"{name} {kind}: lists {listed}, but lacks {expected}")
        self.world.days.skip(name, kind, listed)
        command("skip_rows", name, kind, "--yes")

    def begin(self, name: str, kind: str, answer: Answer) -> None:
        self._be_there(name)
        self.world.days.begin_without(name, kind)
        command("begin", name, kind, f"--{answer.value}")
        self.world.servers[name].without_position = False

    def begin_as(self, name: str, other: str, kind: str) -> None:
        self._be_there(name)
        command("begin", name, kind, "--as", other)
        self.world.servers[name].without_position = False

    def _be_there(self, name: str) -> None:
        """Dock the server, which answers, if it was not."""
        server = self.world.servers[name]
        server.is_alive = server.is_docked = True
        self.world.tell_product()

    def trim(self, name: str, kind: str, days: int) -> None:
        """A purge does so itself."""


class Refused(Exception):
    """A run of the product has failed."""

    def __init__(self, run: TransferRun) -> None:
        super().__init__(run.error_code)
        self.run = run


def command(*arguments: str) -> str:
    """Call a command; return what it has said. Raises Wrong where it fails."""
    done = actions.command(arguments=[*arguments])
    if done["code"]:
        raise Wrong(f"{arguments}: {done['code']} {done['cried']}")
    return str(done["said"])


def command_json(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in command(*arguments, "--json").splitlines()]


class ProductsMachine(Machine):
    """Takes the steps of the machine by the product, and lets our own database go back, too."""

    world: ProductsWorld

    def __init__(self, clusters: Clusters, own: OwnDatabases, seed: int) -> None:
        super().__init__(clusters, seed, ProductsWorld, ProductsPeople, ProductsTransfers)
        self.own = own
        # A run that is held up is one of the engine's; `make chaos` stops those of the product.
        self.weights |= {"suspend": 0, "resume": 0, "copy_ours": 2, "restore_ours": 1.5}
        self.weights |= {"pass_a_day": 3, "copy_days": 2, "leave_behind": 1.5}
        # Of our own database: where, what it knew, and the day.
        self.copies: list[tuple[str, Ours, int]] = []
        self.world.tell_product()

    def take(self, name: str) -> None:
        super().take(name)
        self.world.days.look()

    def step_copy_ours(self) -> None:
        if len(self.copies) < 4:
            day = self.world.days.today
            self.copies.append((self.own.copy(), self.world.ours.copy(), day))

    def step_restore_ours(self) -> None:
        if self.copies:
            place, known, day = self.random.choice(self.copies)
            self.own.restore(place)
            self.world.restore_ours(known.copy())
            self.world.days.own_is_restored(day)

    def step_leave_behind(self) -> None:
        """Purges no longer wait for a server that does not answer."""
        servers = self.world.servers.values()
        dead = [one for one in servers if one.is_docked and not one.is_alive]
        self.world.tell_product()
        found = BonusServer.objects.filter(name__in=[one.name for one in dead]).first()
        if found is not None and not LeftBehind.objects.filter(task__server=found).exists():
            leave_behind(found, SOMEBODY, "why")
            self.world.may_lack.add(found.name)
            self.world.say(found.name)

    def step_pass_a_day(self) -> None:
        self.world.days.pass_a_day()

    def step_copy_days(self) -> None:
        self.world.days.copy_days()

    def step_end_lifetimes(self) -> None:
        """Lines live for a day at least, so that each day is over when its lines go."""
        self.world.days.pass_a_day()
        super().step_end_lifetimes()

    def step_end(self) -> None:
        super().step_end()
        self.world.days.compare()
