"""How the rows of a chunk land in a bonus server's database. No Django.

Good rows that are only appended go straight into its table, and the others into the temporary
table `incoming`. So does the whole chunk where rows are upserted, or where the table refuses one
of them: which one, is found there.
"""

import psycopg2
from psycopg2 import errors, sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import RowsLostOnTheWay
from transfer.engine.kinds import Kind
from transfer.engine.move.refusals import Bisection, Statement, is_refusal
from transfer.engine.move.stream import Refused, Sending, receive, receive_bytes, stream_rows
from transfer.engine.move.survey import Last, Portion, Survey, Surveyor
from transfer.engine.position import Totals
from transfer.engine.shop_all.reader import ShopAll

IS_GOOD = "fault is null"
IS_BAD = "fault is not null"
GOOD = """
    with good as not materialized (
        select xid, id, {good}, ctid as line from incoming where {rows}
    )
"""

# No plan may hang on statistics: rows are looked up by index whatever the planner believes.
PLANS = "set local enable_seqscan = off; set local jit = off; set local work_mem = '64MB'"


def land(
    portion: Portion, surveyor: Surveyor, source: ShopAll, target: BonusDatabase
) -> tuple[Totals, Last | None]:
    """Applies the good rows of the chunk, and has the others in `incoming`.

    Returns what became of all, and which was the last.
    """
    kind = portion.kind
    made = surveyor.survey(portion)
    surveyor.look_ahead(made)
    with made.snapshot:
        if is_appended(made) and append(made, target):
            return made.totals, made.last
        is_filled = made.sending is not None and fill_sent(made, made.sending, target)
    last = made.last if is_filled else fill(portion, source, target)
    changed = apply(kind, target) if last else 0
    good, *others = target.one(f"select {kind.counts} from incoming")
    if kind.appends and changed != good:
        raise target.swallowed(kind)
    return Totals(changed, good - changed, *others), last


def is_appended(made: Survey) -> bool:
    """Whether the good rows may go into the server's table as they come."""
    kind = made.portion.kind
    return kind.appends and kind.is_held_as_carried and not made.has_replacing


def append(made: Survey, target: BonusDatabase) -> bool:
    """Copies the good rows into the server's table, and the others into `incoming`.

    What was surveyed was sent, and has landed. False, and nothing is done, where the table takes
    no COPY, or refuses a row. Raises RowsSwallowed, RowsLostOnTheWay.
    """
    kind, surveyed = made.portion.kind, made.totals
    target.execute("savepoint untouched; set constraints all immediate")
    try:
        rejected = copy_bad(made, target) if surveyed.rejected else 0
        applied = copy_good(made, target)
    except Refused:
        applied = -1
    if applied < 0 or target.has_rules(kind):  # a COPY would pass them by
        target.execute("rollback to savepoint untouched")
        return False
    if (applied, rejected) != (surveyed.applied, surveyed.rejected):
        raise RowsLostOnTheWay(sent=surveyed.read, received=applied + rejected)
    return True


def copy_good(made: Survey, target: BonusDatabase) -> int:
    kind = made.portion.kind
    now = sql.SQL("{}::timestamptz").format(sql.Literal(target.value("select now()")))
    held = kind.held_names
    rows = sql.SQL("select {} from ({}) as judged {}").format(
        sql.SQL(", ").join(
            now if column is kind.stamps else sql.Identifier(column.name) for column in held
        ),
        made.query,
        sql.SQL(f"where {IS_GOOD}" if made.totals.rejected else ""),
    )
    into = sql.SQL("{} ({})").format(
        kind.bonus_server.identifier, sql.SQL(", ").join(map(sql.Identifier, held.values()))
    )
    try:
        return stream_rows(Sending(made.source, rows), target, into, takes_none)
    except RowsLostOnTheWay as lost:
        raise target.swallowed(kind, lost) from None


def takes_none(error: psycopg2.Error) -> bool:
    """Whether the table refuses a row, or every COPY: it may be a view, or have policies."""
    no_copy = (errors.FeatureNotSupported, errors.WrongObjectType)
    return is_refusal(error) or isinstance(error, no_copy)


def copy_bad(made: Survey, target: BonusDatabase) -> int:
    kind = made.portion.kind
    rows = sql.SQL(f"select * from ({{}}) as judged where {IS_BAD}").format(made.query)
    target.execute(f"drop table if exists pg_temp.incoming; {kind.incoming}")
    return receive(kind, Sending(made.source, rows), target)


def fill_sent(made: Survey, sending: Sending, target: BonusDatabase) -> bool:
    """Fills `incoming` with what is being sent; False, and nothing is there, if a text is none."""
    kind = made.portion.kind
    target.execute(f"drop table if exists pg_temp.incoming; {kind.incoming}; savepoint empty")
    try:
        received = receive(kind, sending, target)
    except Refused:
        target.execute("rollback to savepoint empty")
        return False
    if received != made.totals.read:
        raise RowsLostOnTheWay(sent=made.totals.read, received=received)
    return True


def fill(portion: Portion, source: ShopAll, target: BonusDatabase) -> Last | None:
    """Fills `incoming` with the rows of the chunk, and returns the last of them."""
    kind = portion.kind
    target.execute(f"drop table if exists pg_temp.incoming; {kind.incoming}; savepoint empty")
    for way in (receive, receive_bytes):
        with source.snapshot():
            try:
                query = portion.query(source)
                sending = Sending(source, query)
                last = source.last_of(query, way(kind, sending, target))
                if last and kind.appends:
                    refuse_accepted(portion, last, source, target)
                return last
            except Refused:
                target.execute("rollback to savepoint empty")
    raise AssertionError


# The rows are looked up by place: nothing is compared each with each.
REFUSE_ACCEPTED = """
    update incoming set fault = 'accepted_before'
     where fault is null and xid = %(xid)s and id = %(id)s
       and not exists (select from datatransfer.reject
                        where origin = any(%(origins)s::uuid[]) and kind = %(kind)s
                          and staging_id = %(old_id)s)
"""


def refuse_accepted(portion: Portion, last: Last, source: ShopAll, target: BonusDatabase) -> None:
    """Rejects rows that were sent in place of one which this server, unlike others, accepted."""
    rows = source.replacing(portion.kind, portion.before.oldest_unread, last[0])
    if rows:
        target.execute("create index on incoming (xid, id)")
    for xid, id_, origins, old_id in rows:
        values = {"xid": xid, "id": id_, "origins": origins, "old_id": old_id}
        target.execute(REFUSE_ACCEPTED, values | {"kind": portion.kind.name})


def apply(kind: Kind, target: BonusDatabase) -> int:
    """Applies the good rows, and returns how many rows of the target changed.

    What the vendor's table refuses is marked in `incoming` as a reject.
    """

    def refuse(row: str, sqlstate: str, constraint: str | None) -> None:
        target.execute(
            "update incoming set fault = 'refused_by_server', sqlstate = %s, "
            f"constraint_name = %s where {row}",
            [sqlstate, constraint],
        )

    names = kind.target_names

    def over_good(text: str) -> Statement:
        statement = sql.SQL(GOOD + text)
        return lambda rows: statement.format(rows=sql.SQL(rows), **names)

    target.execute(f"{PLANS}; set constraints all immediate")
    statements = [over_good(text) for text in (*kind.refuse, *kind.apply)]
    return Bisection(target, "incoming", statements, refuse).run(IS_GOOD)


def count_reasons(target: BonusDatabase) -> dict[str, int]:
    """How many rows each check rejects, of those in `incoming`."""
    return dict(target.rows(f"select fault, count(*) from incoming where {IS_BAD} group by fault"))
