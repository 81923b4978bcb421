"""What people and programs do in shop All with the help of our own role."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from tests.databases import query
from tests.flow import INSTALLATION, Flow
from transfer.engine.shop_all import undo as undoing
from transfer.engine.shop_all.changes import Changed, Changes
from transfer.engine.shop_all.copy_text import as_array, copied
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import NOTHING_BESIDE, StagingImport

Row = tuple[str, int]  # changeset and row


@contextmanager
def shop_of(flow: Flow) -> Iterator[ShopAll]:
    with ShopAll(flow.shop_all, "tests", secret=False) as shop_all:
        yield shop_all


def line(number: int, flow: Flow, values: Sequence[Any], beside: str = NOTHING_BESIDE) -> str:
    texts = [None if value is None else str(value) for value in values]
    texts += [None] * (len(flow.spec.names) - len(texts))
    return copied(str(number), *texts, beside=beside)


def load(flow: Flow, *rows: Sequence[Any], taken_back: Sequence[str] = (), first: int = 2) -> str:
    """Load these rows as a file whose first row is in line `first`; return the changeset."""
    with shop_of(flow) as shop_all, shop_all.database.transaction():
        staged = StagingImport(shop_all, flow.spec)
        staged.receive(line(number, flow, values) for number, values in enumerate(rows, first))
        name = shop_all.names.of_file(flow.spec, staged.digest(), taken_back).free
        staged.stage("tests", name)
        return name


def call(flow: Flow, key: str, *rows: Sequence[Any]) -> str | None:
    """Send these rows by the API with this key; return the changeset, or None if it is there."""
    with shop_of(flow) as shop_all, shop_all.database.transaction():
        staged = StagingImport(shop_all, flow.spec)
        staged.receive(line(number, flow, values) for number, values in enumerate(rows, 1))
        if shop_all.loads.of_call(shop_all.names.call(key)):
            return None
        name = shop_all.names.of_call(flow.spec, key, staged.digest())
        staged.stage("tests", name, call=shop_all.names.call(key))
        return name


def correct(flow: Flow, *corrections: tuple[Row, dict[str, Any]], **options: Any) -> Any:
    """Correct these rows in one changeset, with these values; the others are kept.

    Returns the import, whose transaction has committed.
    """
    lines = []
    for number, ((changeset, row), typed) in enumerate(corrections, 1):
        values = [typed.get(name) for name in flow.spec.names]
        kept = as_array([name for name in flow.spec.names if name not in typed])
        beside = copied(*[None] * 5, changeset, str(row), kept)
        lines.append(line(number, flow, values, beside="\t" + beside.rstrip("\n")))
    with shop_of(flow) as shop_all, shop_all.database.transaction():
        staged = StagingImport(shop_all, flow.spec)
        staged.receive(iter(lines), **options)
        staged.rows = staged.stage("tests")
        staged.refused = staged.faults()
    return staged


def undo(flow: Flow, load: str) -> undoing.TakenBack:
    with shop_of(flow) as shop_all:
        return undoing.undo(shop_all, flow.spec, load, "undone", "tests")


def changed(flow: Flow) -> list[Changed]:
    with shop_of(flow) as shop_all, shop_all.database.transaction(commit=False):
        return Changes(shop_all).rows(flow.spec, 100)


def send_changes(flow: Flow, rows: Sequence[Changed] | None = None) -> int:
    rows = changed(flow) if rows is None else rows
    with shop_of(flow) as shop_all, shop_all.log_writer.held(flow.spec):
        return Changes(shop_all).send(flow.spec, rows)


def leave_changes(flow: Flow, rows: Sequence[Changed] | None = None) -> int:
    rows = changed(flow) if rows is None else rows
    with shop_of(flow) as shop_all, shop_all.log_writer.held(flow.spec):
        return Changes(shop_all).leave(flow.spec, rows)


def set_values(flow: Flow, of: str, **values: Any) -> None:
    """Change the first staged row of an account in place, as a writer would."""
    table = flow.spec.staging
    for name, value in values.items():
        query(
            flow.shop_all,
            f'update "{table}" set {name} = %s'
            f' where id = (select min(id) from "{table}" where account = %s)',
            [value, of],
        )


def named(flow: Flow, account: str) -> Row:
    """The name of the first staged row of this account in the log."""
    ((changeset, row),) = query(
        flow.shop_all,
        f'select log.changeset::text, coalesce(line, id) from "{flow.spec.staging}" as staged'
        " join datatransfer.log on log.kind = %s and log.xid = staged.xid"
        " and log.started = staged.started where account = %s order by log.number limit 1",
        [flow.kind, account],
    )
    return changeset, row


def confirm(flow: Flow) -> None:
    with flow.open() as (source, _), source.database.transaction():
        source.log_writer.confirm(flow.spec, INSTALLATION)


def sums(flow: Flow) -> dict[str, Decimal]:
    """Account → its sum on the bonus server, without accounts of zero."""
    rows = query(flow.bonus, "select account, sum(amount) from asset group by 1 order by 1")
    return {account: amount for account, amount in rows if amount}


def rejects(flow: Flow) -> list[tuple[str, int, str, bool]]:
    """Changeset, row, code, and whether it is open, of each reject."""
    return query(
        flow.bonus,
        'select changeset::text, "row", code, resolved_by is null from datatransfer.reject'
        ' where kind = %s order by rejected_at, changeset, "row"',
        [flow.kind],
    )


def opened(flow: Flow) -> list[Row]:
    return [(changeset, row) for changeset, row, _, is_open in rejects(flow) if is_open]


def refuse(flow: Flow, condition: str) -> None:
    """The vendor's table refuses balance changes like this from now on."""
    accept(flow)
    query(
        flow.bonus,
        f"alter table asset add constraint refusing check (not ({condition})) not valid",
    )


def accept(flow: Flow) -> None:
    query(flow.bonus, "alter table asset drop constraint if exists refusing")
