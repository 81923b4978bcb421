"""A kind of transfer as data: its tables, columns and checks, and the SQL that applies good rows.

It opens no connections: the engine runs what is defined here. A chunk arrives in the temporary
table `incoming` (see `Kind.incoming`), whose column `fault` holds the code of the first check that
a row fails, or null; `refuse` sets it where a check needs the target's rows. `refuse`, `quick` and
`apply` see the others as `good`, in the form that the target's table has them in. They look rows of
the target up one by one, by the index on its key or by their place, and join nothing else, so stale
statistics cannot slow a chunk. Every SQL text here is a constant; values never enter it. The
target's names are in braces, under ours, and `Kind.target_names` puts them in.
"""

import re
from dataclasses import dataclass

from psycopg2 import sql

from transfer.engine.checks import Check, Repair
from transfer.engine.table_mapping import TEXT, Column, TableMapping, TableName

MASK = "••••"
# A card linked without a status may only earn until a row says more: the one default that lets no
# money out.
DEFAULT_STATUS = 0
TIMESTAMP = "timestamp with time zone"


def text(name: str, secret: bool = False) -> Column:
    return Column(name, "varchar(100)", TEXT, "text", secret)


def plain(name: str, type_: str, *others: str) -> Column:
    """A column of this type; a table of another may have one of `others`."""
    return Column(name, type_, frozenset({type_, *others}), type_)


def stamp(name: str) -> Column:
    """A column that takes the time of a chunk: COPY would write it into any eight bytes."""
    types = frozenset({TIMESTAMP, "timestamp without time zone", "date"})
    return Column(name, "timestamptz", types, TIMESTAMP)


# The temporary table that a chunk, or the lines of a load, arrive in.
INCOMING = """
    create temporary table incoming (
        number bigint, "row" bigint, {columns}, fault text, sqlstate text, constraint_name text,
        as_json json
    ) on commit drop
"""

CHANGED_AT = stamp("changed_at")
# Our own columns of a staging table that statements read.
OURS_READ = ("xid", "started", "id", "line", "staged_by", "changes")


@dataclass(frozen=True)
class Kind:
    name: str
    title: str
    means: str  # what a row does, for people
    by_hand: str  # the link to the form of one row
    shop_all: TableMapping
    bonus_server: TableMapping
    columns: tuple[Column, ...]
    checks: tuple[Check, ...]
    needed: tuple[tuple[str, ...], ...]  # a row has a value in at least one column of each group
    # Statements that count how many rows they changed, or select that and how many rows did not
    # land although they had to.
    apply: tuple[str, ...]
    # The same in less time, where no other session writes these rows meanwhile. If one of them
    # fails, or a row does not land, it is taken back, and `apply` decides.
    quick: tuple[str, ...] = ()
    late_checks: tuple[Check, ...] = ()  # those that need the target's rows: `refuse` makes them
    refuse: tuple[str, ...] = ()  # statements that set `fault` in incoming, and select 0
    amount: str = "null::numeric"  # SQL over a row: what the totals add up
    appends: bool = False  # each good row becomes a row of the target, and none may go missing
    unique: tuple[str, ...] = ()  # columns of the target that an upsert holds on to
    rights: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE")  # on the target's table
    stamps: Column = CHANGED_AT  # the column of the target that tells when

    @property
    def beside_amount(self) -> tuple[Column, ...]:
        """The columns that say where an amount counts, of a kind with amounts."""
        return tuple(one for one in self.columns if one.name not in ("amount", "comment"))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that name cards and accounts; the first of them names the row."""
        return tuple(name for name in self.names if name in ("card", "account"))

    @property
    def staging(self) -> str:
        """The table of shop All."""
        return self.shop_all.table

    @property
    def staging_table(self) -> TableName:
        return self.shop_all.identifier

    @property
    def target(self) -> str:
        """The table of a bonus server."""
        return self.bonus_server.table

    @property
    def quoted_staging(self) -> str:
        """The table of shop All as messages name it."""
        return self.staging_table.quoted

    @property
    def quoted_target(self) -> str:
        """The table of a bonus server as messages name it."""
        return self.target_table.quoted

    @property
    def target_table(self) -> TableName:
        return self.bonus_server.identifier

    @property
    def staged(self) -> sql.Composed:
        """SQL for a FROM: the rows of the staging table by our names, with the name of each.

        A row is named by its transaction (`xid`, `started`) and by `row`: the line of the file of a
        load, or else the table's own `id`. Of balance changes, `first` is the amount as it was
        staged, of a row that was changed since; else null.
        """
        named: dict[str, sql.Composable] = {"row": sql.SQL("coalesce(line, id)")}
        if self.appends:
            named["first"] = self._first_amount
        return self.shop_all.rows(self.columns, *OURS_READ, named=named)

    @property
    def _first_amount(self) -> sql.Composed:
        """SQL over a row of the staging table: see `staged`."""
        (amount,) = (column for column in self.columns if column.name == "amount")
        name = self.shop_all.name(amount)
        unit = sql.SQL(" * 0.01" if self.shop_all.is_in_minor_units(amount) else "")
        return sql.SQL(
            "case when changes is not null then"
            " coalesce((changes -> 'first' ->> {})::numeric{}, {}) end"
        ).format(sql.Literal(name), unit, self.shop_all.read(amount))

    @property
    def sums(self) -> sql.Composed:
        """SQL for a FROM: the names of the rows, and the amounts as they were staged."""
        amount = sql.SQL("coalesce(first, amount) as amount, " if self.appends else "")
        return sql.SQL('(select {}xid, started, "row", staged_by from {}) as ours').format(
            amount, self.staged
        )

    @property
    def held(self) -> sql.Composed:
        """The same of the target's."""
        return self.bonus_server.rows((*self.columns, self.stamps))

    @property
    def held_names(self) -> dict[Column, str]:
        """The target's columns that a transfer fills, without those of fixed values."""
        return self.bonus_server.names((*self.columns, self.stamps))

    @property
    def target_names(self) -> dict[str, sql.Composable]:
        """The values for the braces of `refuse`, `quick` and `apply`."""
        mapping = self.bonus_server
        held = mapping.names(self.columns)
        stamps = [sql.Identifier(name) for name in mapping.names([self.stamps]).values()]
        further = mapping.further()
        more = [*stamps, *map(sql.Identifier, further)]
        values = [*[sql.SQL("now()") for _ in stamps], *further.values()]
        return {
            **{column.name: sql.Identifier(name) for column, name in held.items()},
            "table": mapping.identifier,
            "columns": sql.SQL(", ").join(map(sql.Identifier, held.values())),
            "values": sql.SQL(", ").join(sql.Identifier(column.name) for column in held),
            "more": sql.SQL("").join(sql.SQL(", {}").format(one) for one in more),
            "more_values": sql.SQL("").join(sql.SQL(", {}").format(one) for one in values),
            "stamped": sql.SQL("").join(sql.SQL(", {} = now()").format(one) for one in stamps),
            "default_status": sql.Literal(mapping.words.get(DEFAULT_STATUS, DEFAULT_STATUS)),
            "status_type": sql.SQL("text" if mapping.words else "integer"),
            "good": sql.SQL(", ").join(
                one.named(mapping.write(one, sql.Identifier(one.name))) for one in self.columns
            ),
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def sending_order(self) -> str:
        """SQL: the order in which rows are sent and inserted.

        By the key of the bonus server's index, whose first column is the kind's first; with equal
        keys in the order of staging.
        """
        return f'{self.names[0]} collate "C", number, "row"'

    @property
    def secrets(self) -> frozenset[str]:
        """The columns whose values are never shown, nor quoted in an error."""
        return frozenset(column.name for column in self.columns if column.secret)

    @property
    def all_checks(self) -> tuple[Check, ...]:
        return self.checks + self.late_checks

    def check(self, code: str) -> Check | None:
        """Return the check of this code; None if the kind has none, as of a server's own reason."""
        return next((one for one in self.all_checks if one.code == code), None)

    def repair_of(self, code: str) -> Repair | None:
        """Return the repair of most rows that fail the check of this code; None without one."""
        check = self.check(code)
        return check.repair if check else None

    def columns_of(self, code: str) -> list[str]:
        """Return the columns that the check of this code looks at; empty without such a check."""
        check = self.check(code)
        if check is None:
            return []
        return [name for name in self.names if re.search(rf"\b{name}\b", check.fails)]

    @property
    def fault(self) -> str:
        """SQL: the code of the first check that a row fails, or null."""
        cases = " ".join(f"when {check.fails} then '{check.code}'" for check in self.checks)
        return f"case {cases} end"

    @property
    def counts(self) -> str:
        """SQL over rows with their `fault`: how many are good, how many are not, and both sums."""
        good, bad = (f"filter (where fault is {state})" for state in ("null", "not null"))
        sums = (f"coalesce(sum({self.amount}) {rows}, 0)" for rows in (good, bad))
        return ", ".join([f"count(*) {good}", f"count(*) {bad}", *sums])

    @property
    def sent(self) -> tuple[str, ...]:
        """The columns of `incoming` that shop All sends, beside the number and the row."""
        return (*self.names, *(["first"] if self.appends else []), "fault")

    @property
    def incoming(self) -> str:
        """SQL: creates the temporary table `incoming`."""
        columns = [f"{column.name} {column.carried_as}" for column in self.columns]
        if self.appends:
            columns.append("first numeric")
        return INCOMING.format(columns=", ".join(columns))

    @property
    def payload(self) -> str:
        """SQL: the row as it came, as JSON for a reject, secrets masked."""
        return self.payload_of("")

    def payload_of(self, alias: str) -> str:
        """Return the same over the rows of this alias; "": where no other table is in the way."""
        of = f"{alias}." if alias else ""

        def shown(name: str) -> str:
            masked = f"case when {of}{name} is not null then '{MASK}' end"
            return masked if name in self.secrets else f"{of}{name}::text"

        pairs = ", ".join(f"'{name}', {shown(name)}" for name in self.names)
        return f"json_build_object({pairs})"
