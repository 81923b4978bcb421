"""Rows that were changed in place after they had been staged, and what is decided about them.

A trigger keeps the values before in `changes`, with the time of the last change. Bonus servers that
had read the row before that keep what they have received, until somebody decides:

- **send**: of a balance change, a row is staged that `sets` the new whole amount. Each server
  brings the amount in effect there to it, so it is right wherever the change was read before, also
  after any restore. PIN codes and cards are staged again as they are now.
- **leave**: the servers keep what they have.

A decision is about one state of the row. It is kept in `datatransfer.dependent`, as a row with the
effect `decided` and the time of the change in `first`; its changeset is derived from the row's, and
is in no log, so no server reads it. It goes with the row that it is about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2 import sql

from transfer.causes.loads import CHANGE_NOT_SENDABLE, CHANGES_MOVED
from transfer.engine.kind import Kind
from transfer.engine.shop_all.correction import check_repeatable
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import MAY_SET_LINE, OWN_NAME
from transfer.errors import TransferError

# The changeset under which decisions about the rows of a changeset are kept.
OF_DECISION = "md5('decided ' || {}::text)::uuid"
# When a row was changed last, in microseconds: `first` of a decision.
CHANGED_AT = "(extract(epoch from (changes ->> 'at')::timestamptz) * 1000000)::numeric(30, 0)"

# Rows with changes that nobody has decided about. Rows that are not in the log yet, and those of
# withdrawn lines, are left out. By the index on changed rows, then by the keys of our tables.
UNDECIDED = f"""
    (select *, {{reason}} as reason
       from (select ours.*, log.number, log.changeset, {CHANGED_AT} as at, {{set_amount}},
                    itself."row" is not null as depends
               from (select *, {{fault}} as fault from {{staged}} where changes is not null) as ours
               join datatransfer.log
                 on log.kind = {{kind}} and log.xid = ours.xid and log.started = ours.started
               left join datatransfer.dependent as itself
                 on itself.kind = {{kind}} and itself.changeset = log.changeset
                and itself."row" = ours."row"
              where not log.withdrawn) as changed
      where {{counts}}
        and not exists (select from datatransfer.dependent as decided
                         where decided.kind = {{kind}}
                           and decided.changeset = {OF_DECISION.format("changed.changeset")}
                           and decided."row" = changed."row" and decided.effect = 'decided'
                           and decided.first = changed.at)
    ) as undecided
"""
# The amount that the last row sets which was sent for a changed one. By the index `dependent_root`,
# the unique key of the log, and the index on (xid, started, row).
LAST_SET = """
    (select sent.amount
       from datatransfer.dependent as setting
       join datatransfer.log as sent_in
         on sent_in.kind = {kind} and sent_in.changeset = setting.changeset
       join (select xid, started, "row", coalesce(first, amount) as amount from {staged}) as sent
         on sent.xid = sent_in.xid and sent.started = sent_in.started
        and sent."row" = setting."row"
      where setting.kind = {kind} and setting.effect = 'sets'
        and setting.root_changeset = log.changeset and setting.root_row = ours."row"
      order by sent_in.number desc limit 1) as set_amount
"""
# Whether every server has the present amount, or gets it with the row that has set it last. An
# amount that was changed and changed back may have been read in between.
SAME_AMOUNT = """
    case when set_amount is not null then set_amount is not distinct from amount
         else not changes -> 'first' ? {amount} end
"""
# Which changes of a balance change count: those of the amount, and of where it is.
COUNTS = "(not {same} or changes -> 'first' ?| {others})"
# Why the present values can't be sent; empty if they can be.
REASON = """
    case when depends then 'dependent'
         when changes -> 'first' ? {account} then 'account_changed'
         when {same} then 'validity_changed'
         when fault <> 'amount_zero' then 'invalid'
         else '' end
"""
REASON_OF_OTHERS = "case when fault is not null then 'invalid' else '' end"
# A column beside the amount as it was staged: there the amount is in effect.
AS_STAGED = """
    case when changes -> 'first' ? {name} then (changes -> 'first' ->> {name})::{type}
         else {ours} end
"""

LIST = """
    select changeset::text, "row", number, at::text, {payload}, {before}, reason
      from {undecided} {chosen} order by number, "row" limit {most}
"""
COUNT = "select count(*) from {undecided} {chosen}"
CHOSEN = """
    join unnest({changesets}::uuid[], {rows}::bigint[], {ats}::numeric[])
         as chosen (of_changeset, of_row, of_at)
      on changeset = of_changeset and "row" = of_row and at = of_at
"""
UP_TO = "where number <= {number}"

# Notes decisions, in place of earlier ones about the same rows.
DECIDE = f"""
    insert into datatransfer.dependent (kind, changeset, "row", effect, of_changeset, of_row,
                                        root_changeset, root_row, first)
    select %(kind)s, {OF_DECISION.format("of_changeset")}, of_row, 'decided',
           of_changeset, of_row, of_changeset, of_row, of_at
      from unnest(%(changesets)s::uuid[], %(rows)s::bigint[], %(ats)s::numeric[])
           as chosen (of_changeset, of_row, of_at)
        on conflict (kind, changeset, "row") do update set first = excluded.first
"""
# The rows to send, numbered: each is the row of that line.
CREATE = """
    create temporary table sending on commit drop as
    select row_number() over (order by number, "row") as place, undecided.*
      from {undecided} {chosen} where reason = ''
"""
# Stages them, and notes what they are.
STAGE = "insert into {table} (line, {columns}) select place, {values} from pg_temp.sending"
NOTE = """
    insert into datatransfer.dependent (kind, changeset, "row", effect, of_changeset, of_row,
                                        root_changeset, root_row, first)
    select %s, %s::uuid, place, %s, changeset, "row", changeset, "row", {first} from pg_temp.sending
"""


@dataclass(frozen=True)
class Changed:
    """A staged row whose present values nobody has decided about.

    It is named by changeset and row; `number` is its line in the log, `at` the time of the change
    in microseconds. `payload` is the row as it is now, secrets masked. `before` is the amount that
    servers have which read the row before the change: the one that was sent last, or the first one;
    None of kinds without amounts.

    `reason` says why the present values can't be sent: `account_changed` (the amount would have to
    go from one account to another), `validity_changed` (and nothing else that counts), `dependent`
    (the row corrects, sets or takes back another one), `invalid` (it fails a check now). Empty if
    they can.
    """

    changeset: str
    row: int
    number: int
    at: str
    payload: dict[str, str | None]
    before: str | None
    reason: str


class Changes:
    """Lists changed rows of one shop All, sends their present values, or leaves them.

    The caller of `send` and `leave` holds the log, and commits: see `LogWriter.held`.
    """

    def __init__(self, shop_all: ShopAll) -> None:
        self.shop_all = shop_all
        self.database = shop_all.database

    def count(self, kind: Kind, up_to: int | None = None) -> int:
        """Return how many rows wait for a decision. `up_to`: see `rows`."""
        query = sql.SQL(COUNT).format(undecided=self._undecided(kind), chosen=_up_to(up_to))
        return int(self.database.value(query))

    def rows(self, kind: Kind, most: int, up_to: int | None = None) -> list[Changed]:
        """Return at most `most` rows that wait for a decision, in the order of the log.

        With `up_to`, those of lines up to this number: rows of later lines, which no server has
        read yet, arrive as they are.
        """
        query = sql.SQL(LIST).format(
            payload=sql.SQL(kind.payload),
            before=sql.SQL("coalesce(set_amount, first)::text" if kind.appends else "null::text"),
            undecided=self._undecided(kind),
            chosen=_up_to(up_to),
            most=sql.Literal(most),
        )
        return [Changed(*row) for row in self.database.rows(query)]

    def leave(self, kind: Kind, rows: Sequence[Changed]) -> int:
        """Decide that the servers keep what they have of these rows; return how many.

        Raises CHANGES_MOVED where one of them was changed or decided since it was listed.
        """
        query = sql.SQL(COUNT).format(undecided=self._undecided(kind), chosen=_chosen(rows))
        found = self.database.value(query)
        if found != len(rows):
            raise TransferError(CHANGES_MOVED, rows=len(rows) - found)
        return self._decide(kind, rows)

    def send(
        self, kind: Kind, rows: Sequence[Changed], *, name: str | None = None, by: str = ""
    ) -> int:
        """Stage the present values of these rows as one changeset; return how many.

        With a `name` it is a load of this name, staged for `by`, which shop All takes once; without
        one the changeset has the name of the transaction.

        Raises LOAD_KNOWN, CHANGE_NOT_SENDABLE where a row has a `reason`, CHANGES_MOVED,
        ROWS_NOT_REPEATABLE.
        """
        refused = sum(1 for row in rows if row.reason)
        if refused:
            raise TransferError(CHANGE_NOT_SENDABLE, rows=refused)
        if not rows:
            return 0
        check_repeatable(self.shop_all, kind)
        create = sql.SQL(CREATE).format(undecided=self._undecided(kind), chosen=_chosen(rows))
        found = self.database.execute(create)
        if found != len(rows):
            raise TransferError(CHANGES_MOVED, rows=len(rows) - found)
        self._stage(kind, name or self.database.value(OWN_NAME))
        if name is not None:
            self.shop_all.loads.add(kind, name, found, by)
        self._decide(kind, rows)
        self.shop_all.log_writer.append_own(kind)
        return found

    def _stage(self, kind: Kind, changeset: str) -> None:
        """Stage the rows that are in `sending`, as the changeset of this name."""
        mapping = kind.shop_all
        names = mapping.names(kind.columns)
        values = []
        for column, name in names.items():
            sent: sql.Composable = sql.Identifier(column.name)
            if kind.appends and column in kind.beside_amount:  # what counts, where it is in effect
                sent = sql.SQL(AS_STAGED).format(
                    name=sql.Literal(name), type=sql.SQL(column.carried_as), ours=sent
                )
            values.append(mapping.write(column, sent))
        stage = sql.SQL(STAGE).format(
            table=kind.staging_table,
            columns=sql.SQL(", ").join(map(sql.Identifier, [*names.values(), *mapping.fixed])),
            values=sql.SQL(", ").join([*values, *map(sql.Literal, mapping.fixed.values())]),
        )
        self.database.execute(MAY_SET_LINE)
        with self.database.vendors_path():
            self.database.execute(stage)
        effect = "sets" if kind.appends else "replaces"
        note = NOTE.format(first="first" if kind.appends else "null")
        self.database.execute(note, [kind.name, changeset, effect])

    def _decide(self, kind: Kind, rows: Sequence[Changed]) -> int:
        values = {
            "kind": kind.name,
            "changesets": [row.changeset for row in rows],
            "rows": [row.row for row in rows],
            "ats": [row.at for row in rows],
        }
        return self.database.execute(DECIDE, values)

    def _undecided(self, kind: Kind) -> sql.Composed:
        """Return the SQL for a FROM: the changed rows that nobody has decided about."""
        named = {"kind": sql.Literal(kind.name), "staged": kind.staged}
        parts: dict[str, sql.Composable] = {
            "set_amount": sql.SQL("null::numeric as set_amount"),
            "counts": sql.SQL("true"),
            "reason": sql.SQL(REASON_OF_OTHERS),
        }
        if kind.appends:
            names = {one.name: name for one, name in kind.shop_all.names(kind.columns).items()}
            literals = {name: sql.Literal(own) for name, own in names.items()}
            beside = [names[one.name] for one in kind.beside_amount if one.name in names]
            same = sql.SQL(SAME_AMOUNT).format(amount=literals["amount"])
            parts = {
                "set_amount": sql.SQL(LAST_SET).format(**named),
                "counts": sql.SQL(COUNTS).format(same=same, others=sql.Literal(beside)),
                "reason": sql.SQL(REASON).format(same=same, account=literals["account"]),
            }
        return sql.SQL(UNDECIDED).format(fault=sql.SQL(kind.fault), **named, **parts)


def _up_to(number: int | None) -> sql.Composable:
    return sql.SQL("") if number is None else sql.SQL(UP_TO).format(number=sql.Literal(number))


def _chosen(rows: Sequence[Changed]) -> sql.Composed:
    return sql.SQL(CHOSEN).format(
        changesets=sql.Literal([row.changeset for row in rows]),
        rows=sql.Literal([row.row for row in rows]),
        ats=sql.Literal([row.at for row in rows]),
    )
