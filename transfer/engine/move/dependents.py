"""Applies rows that depend on another one: those that replace a rejected row, take a row back, or
set its amount.

What such a row does is decided by what this server has received and recorded, so it is the same
after any restore, and in whichever order rows and their opposites come:

- A row that **replaces** another one applies where the reject of that one is open, and closes it.
- A row that **reverses** another one takes back the amount in effect, whichever row brought it: the
  original, a correction of it, or a change of its amount. The original then never applies here,
  even if it comes later.
- A row that **sets** an amount brings the amount in effect to it.

Elsewhere it does nothing: it becomes a closed reject. No two rows of a chunk depend on one another
or on the same original (`Rows.first_to_wait`), so all are decided from the state before the chunk.

In effect is what the table `seen` says; without a row there it is the original as it was staged, if
that was received and not rejected. `seen` also has the values beside the amount, since a correction
may have brought the amount to another account than the one that was staged.
"""

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import array
from transfer.engine.received import Position

# What becomes of a row that is not for this server, and of one that changes nothing.
NOT_HERE = "not_here"
NOTHING_TO_DO = "nothing"
KNOWN = "known"

# The dependent rows of the chunk, in the order and with the types of `Rows.dependents_query`.
CREATE = """
    create temporary table dependent (
        number bigint, "row" bigint, effect text, of_changeset uuid, of_row bigint,
        root_changeset uuid, root_row bigint, first numeric, root_number bigint
    ) on commit drop
"""
COLUMNS = """
    number, "row", effect, of_changeset, of_row, root_changeset, root_row, first, root_number
"""
# The lines of the chunk with rows that this server has a reject of before they come: they were
# taken back, or deleted by hand. By the index `reject_before_row`, then by the primary key.
LINES_WITH_KNOWN = """
    select number from pg_temp.line
     where exists (select from datatransfer.reject where origin = %(origin)s and kind = %(kind)s
                      and code in ('taken_back', 'gone'))
       and exists (select from datatransfer.reject where origin = %(origin)s and kind = %(kind)s
                      and reject.changeset = line.changeset and code in ('taken_back', 'gone'))
"""
# Marks these rows: they are not applied. By the primary key of rejects.
MARK_KNOWN = f"""
    update pg_temp.incoming as row set fault = '{KNOWN}'
      from pg_temp.line, datatransfer.reject
     where line.number = any(%(numbers)s) and line.number = row.number
       and reject.origin = %(origin)s and reject.kind = %(kind)s
       and reject.changeset = line.changeset and reject."row" = row."row"
"""
# Which rows the dependent rows of the chunk are about: their changesets, and first and last row.
ABOUT = """
    select coalesce(array_agg(distinct of_changeset::text), '{}'), min(of_row), max(of_row),
           coalesce(array_agg(distinct root_changeset::text), '{}'), min(root_row), max(root_row)
      from pg_temp.dependent
"""
# Decides each dependent row that has no reject yet, from the state before the chunk. Reads what we
# have recorded of these rows by the primary keys, in ranges, and joins it by hash.
DECIDE = f"""
    create temporary table decided on commit drop as
    select dependent.*, line.changeset, row.amount as whole,
           of_reject."row" is not null and of_reject.resolved_by is null as of_is_open,
           coalesce(of_reject.effect = 'reverses', false) as of_reverses,
           root_reject."row" is not null as root_is_rejected,
           coalesce(root_reject.code = 'taken_back', false) as is_taken_back,
           opened.changeset as opened_changeset, opened."row" as opened_row,
           seen."row" is not null as is_seen, seen.others,
           case when seen."row" is not null then seen.amount
                when is_received and root_reject."row" is null then dependent.first
                else 0 end as in_effect,
           case when seen."row" is not null then seen.by_changeset
                when is_received and root_reject."row" is null then dependent.root_changeset
                end as holder_changeset,
           case when seen."row" is not null then seen.by_row
                when is_received and root_reject."row" is null then dependent.root_row
                end as holder_row
      from pg_temp.dependent
      join pg_temp.line using (number)
      join pg_temp.incoming as row on row.number = dependent.number and row."row" = dependent."row"
      left join datatransfer.reject as of_reject
        on of_reject.origin = %(origin)s and of_reject.kind = %(kind)s
       and of_reject.changeset = any(%(of)s::uuid[])
       and of_reject."row" between %(of_first)s and %(of_last)s
       and of_reject.changeset = of_changeset and of_reject."row" = of_row
      left join datatransfer.reject as root_reject
        on root_reject.origin = %(origin)s and root_reject.kind = %(kind)s
       and root_reject.changeset = any(%(roots)s::uuid[])
       and root_reject."row" between %(root_first)s and %(root_last)s
       and root_reject.changeset = dependent.root_changeset
       and root_reject."row" = dependent.root_row
      left join datatransfer.seen
        on seen.origin = %(origin)s and seen.kind = %(kind)s
       and seen.changeset = any(%(roots)s::uuid[])
       and seen."row" between %(root_first)s and %(root_last)s
       and seen.changeset = dependent.root_changeset and seen."row" = dependent.root_row
      left join datatransfer.exception
        on exception.origin = %(origin)s and exception.kind = %(kind)s
       and exception.changeset = any(%(roots)s::uuid[])
       and exception.changeset = dependent.root_changeset
     cross join lateral (
           select coalesce(dependent.root_row <= exception.last,
                           dependent.root_number <= %(number)s, false) as is_received) as received
      left join lateral (
           select changeset, "row"
             from (select changeset, "row", effect, resolved_by from datatransfer.reject
                    where origin = %(origin)s and kind = %(kind)s
                      and changeset = dependent.root_changeset and "row" = dependent.root_row
                    union all
                   select changeset, "row", effect, resolved_by from datatransfer.reject
                    where origin = %(origin)s and kind = %(kind)s
                      and root_changeset = dependent.root_changeset
                      and root_row = dependent.root_row) as one
            where dependent.effect = 'sets' and coalesce(one.resolved_by::text, '') = ''
              and (one.effect is null or one.effect = 'replaces')
            limit 1) as opened on true
     where row.fault is distinct from '{KNOWN}'
"""
# Never compares all rows of two tables with one another, whatever the statistics say.
HASHED = "set local enable_nestloop = off"
NOT_HASHED = "set local enable_nestloop = on"
# Gives each decided row the fault and the values with which it is applied. An opposite and a set
# amount go where the amount in effect is; what they were staged with need not pass any check.
PREPARE = f"""
    update pg_temp.incoming as row
       set fault = case
               when effect = 'replaces' then case when of_is_open then fault else '{NOT_HERE}' end
               when effect = 'sets' then case
                   when is_taken_back or opened_row is null and holder_row is null
                       then '{NOT_HERE}'
                   when fault <> 'amount_zero' then fault
                   when row.amount = in_effect then '{NOTHING_TO_DO}' end
               when is_taken_back or holder_row is null then '{NOT_HERE}'
               when in_effect = 0 then '{NOTHING_TO_DO}' end,
           amount = case effect when 'sets' then row.amount - in_effect
                                when 'reverses' then -in_effect else row.amount end
           {{others}}
      from pg_temp.decided
     where row.number = decided.number and row."row" = decided."row"
"""
# A column of those beside the amount: that of the row in effect.
OTHER = """,
           {name} = case when is_seen and effect <> 'replaces' and holder_row is not null
                         then (others ->> '{name}')::{type} else row.{name} end"""

# A change that the vendor's table refuses where the reject of the original is open: that one stays.
LEAVE_OLDER_OPEN = f"""
    update pg_temp.incoming as row set fault = '{NOT_HERE}' from pg_temp.decided
     where row.number = decided.number and row."row" = decided."row"
       and effect = 'sets' and opened_row is not null
       and fault not in ('{NOTHING_TO_DO}', '{NOT_HERE}')
"""
# What follows, once the vendor's table has taken or refused the rows: what was decided, and what
# became of the row. Each statement after these two reads all of it.
OUTCOME = f"""
    create temporary table outcome on commit drop as
    select decided.*, row.amount,
           case when effect <> 'reverses' then {{others}} end as row_others,
           row.fault is null or row.fault = '{NOTHING_TO_DO}' as is_applied,
           coalesce(row.fault, '') not in ('', '{NOTHING_TO_DO}', '{NOT_HERE}') as is_refused
      from pg_temp.decided join pg_temp.incoming as row
        on row.number = decided.number and row."row" = decided."row"
"""
# The rows whose original has no outcome in the vendor's tables any more: it was taken back.
TAKEN = """
    create temporary table taken on commit drop as
    select distinct on (root_changeset, root_row) root_changeset, root_row, root_is_rejected,
           outcome.changeset as by_name,
           seen.by_changeset as held_by_changeset, seen.by_row as held_by_row
      from pg_temp.outcome left join datatransfer.seen
        on seen.origin = %(origin)s and seen.kind = %(kind)s
       and seen.changeset = outcome.root_changeset and seen."row" = outcome.root_row
     where outcome.effect = 'reverses' and not is_refused
        or outcome.effect = 'replaces' and of_reverses and is_applied
"""
# Look up rows of our tables by index, whatever the statistics say. Not where temporary tables are
# joined with one another, which have none.
BY_INDEX = "set local enable_hashjoin = off; set local enable_mergejoin = off"
BY_HASH = "set local enable_hashjoin = on; set local enable_mergejoin = on"
# Closes rejects: those that were replaced, and those whose amount is set now.
CLOSE = """
    with closed as (
        select of_changeset as changeset, of_row as "row", changeset as by_changeset
          from pg_temp.outcome
         where effect = 'replaces' and of_is_open
         union all
        select opened_changeset, opened_row, changeset from pg_temp.outcome
         where effect = 'sets' and is_applied and opened_row is not null
         union all
        select reject.changeset, reject."row", outcome.changeset
          from pg_temp.outcome join datatransfer.reject
            on reject.origin = %(origin)s and reject.kind = %(kind)s and reject.effect = 'sets'
           and reject.root_changeset = outcome.root_changeset
           and reject.root_row = outcome.root_row
         where outcome.effect = 'sets' and is_applied
    )
    update datatransfer.reject set resolved_by = by_changeset, changed_in = %(version)s
      from closed
     where reject.origin = %(origin)s and reject.kind = %(kind)s
       and reject.changeset = closed.changeset and reject."row" = closed."row"
       and reject.resolved_by is null
"""
# Closes the open rejects of all that depends on these, and of these themselves.
CLOSE_TAKEN = """
    with named as (
        select root_changeset as changeset, root_row as "row", by_name from pg_temp.taken
         union all
        select reject.changeset, reject."row", by_name
          from pg_temp.taken join datatransfer.reject
            on reject.origin = %(origin)s and reject.kind = %(kind)s
           and reject.root_changeset = taken.root_changeset and reject.root_row = taken.root_row
    )
    update datatransfer.reject
       set resolved_by = by_name, code = 'taken_back', changed_in = %(version)s from named
     where reject.origin = %(origin)s and reject.kind = %(kind)s
       and reject.changeset = named.changeset and reject."row" = named."row"
       and reject.resolved_by is null
"""
# Records that they are taken back: of most nothing is recorded yet.
RECORD_TAKEN = """
    insert into datatransfer.reject (origin, kind, changeset, "row", code, resolved_by, changed_in)
    select %(origin)s::uuid, %(kind)s, root_changeset, root_row, 'taken_back', by_name,
           %(version)s::uuid
      from pg_temp.taken where not root_is_rejected
"""
# The same of those that have a reject, and of the rows that had brought the amount.
RECORD_TAKEN_TOO = """
    insert into datatransfer.reject (origin, kind, changeset, "row", code, root_changeset, root_row,
                                     resolved_by, changed_in)
    select %(origin)s::uuid, %(kind)s, root_changeset, root_row, 'taken_back', null, null, by_name,
           %(version)s::uuid from pg_temp.taken where root_is_rejected
     union all
    select %(origin)s::uuid, %(kind)s, held_by_changeset, held_by_row, 'taken_back', root_changeset,
           root_row, by_name, %(version)s::uuid from pg_temp.taken
     where held_by_row is not null
       and (held_by_changeset, held_by_row) <> (root_changeset, root_row)
        on conflict (origin, kind, changeset, "row") do update
       set code = 'taken_back', changed_in = excluded.changed_in
"""
# Records that nothing of them is in effect, where `seen` says what is. By the primary key.
# Elsewhere their rejects say it.
FORGET_AMOUNT = """
    update datatransfer.seen set amount = 0, others = '{{}}', by_changeset = null, by_row = null
      from pg_temp.taken
     where seen.origin = %(origin)s and seen.kind = %(kind)s
       and seen.changeset = root_changeset and seen."row" = root_row and held_by_row is not null
"""
# Records what is in effect since a correction or a set amount was applied.
RECORD_AMOUNT = """
    insert into datatransfer.seen (origin, kind, changeset, "row", amount, others, by_changeset,
                                   by_row)
    select distinct on (root_changeset, root_row)
           %(origin)s::uuid, %(kind)s, root_changeset, root_row, whole,
           case when effect = 'sets' and is_seen and holder_row is not null then others
                else row_others end,
           case when effect = 'sets' then coalesce(holder_changeset, changeset) else changeset end,
           case when effect = 'sets' then coalesce(holder_row, "row") else "row" end
      from pg_temp.outcome
     where is_applied and (effect = 'sets' or effect = 'replaces' and not of_reverses)
        on conflict (origin, kind, changeset, "row") do update
       set amount = excluded.amount, others = excluded.others,
           by_changeset = excluded.by_changeset, by_row = excluded.by_row
"""
# Records the amounts of rows that were changed before they were read: they are not what was staged.
RECORD_CHANGED = """
    insert into datatransfer.seen (origin, kind, changeset, "row", amount, others, by_changeset,
                                   by_row)
    select %(origin)s::uuid, %(kind)s, line.changeset, row."row", row.amount, {others},
           line.changeset, row."row"
      from pg_temp.incoming as row join pg_temp.line using (number)
     where row.first is not null and row.fault is null {and_not_dependent}
        on conflict do nothing
"""
AND_NOT_DEPENDENT = """
       and not exists (select from pg_temp.dependent as other
                        where other.number = row.number and other."row" = row."row")
"""
# A refused row says the amount that it sets, and not the difference.
RESTORE_WHOLE = """
    update pg_temp.incoming as row set amount = whole from pg_temp.outcome
     where row.number = outcome.number and row."row" = outcome."row"
       and effect = 'sets' and is_refused
"""
# Writes the rejects of dependent rows: open ones, which people correct, and closed ones, of rows
# that are not for this server. A correction of an opposite is one itself.
ADD_REJECTS = f"""
    insert into datatransfer.reject (origin, kind, changeset, "row", code, sqlstate,
                                     constraint_name, payload, effect, root_changeset, root_row,
                                     resolved_by, changed_in)
    select %(origin)s::uuid, %(kind)s, changeset, "row", fault, sqlstate, constraint_name,
           case when fault <> '{NOT_HERE}' then payload end,
           case when of_reverses then 'reverses' else effect end, root_changeset, root_row,
           case when fault = '{NOT_HERE}' then changeset end, %(version)s::uuid
      from pg_temp.decided
      join (select number, "row", fault, sqlstate, constraint_name,
                   coalesce(as_json, {{payload}}) as payload
              from pg_temp.incoming) as came using (number, "row")
     where fault not in ('{KNOWN}', '{NOTHING_TO_DO}')
        on conflict do nothing
"""
# Takes the dependent rows out of what `Rejects.add` writes.
SET_ASIDE = f"""
    update pg_temp.incoming as row set fault = '{KNOWN}' from pg_temp.decided
     where row.number = decided.number and row."row" = decided."row" and row.fault is not null
"""
# Closes the rejects that rows of a kind replace whose last row wins: such a row is for all servers.
CLOSE_REPLACED = """
    update datatransfer.reject set resolved_by = line.changeset, changed_in = %(version)s
      from pg_temp.dependent join pg_temp.line using (number)
     where reject.origin = %(origin)s and reject.kind = %(kind)s
       and reject.changeset = of_changeset and reject."row" = of_row
       and reject.resolved_by is null
"""


class Dependents:
    """Decides the dependent rows of one chunk, and records what became of them.

    `before` is the position when the chunk begins, `version` the one that it gets. The rows are in
    the temporary table `dependent`, the changesets of the lines in `line`.
    """

    def __init__(self, kind: Kind, before: Position, version: str, target: BonusDatabase) -> None:
        self.kind = kind
        self.database = target.database
        self.values = {
            "origin": before.origin,
            "kind": kind.name,
            "number": before.place.number,
            "version": version,
        }

    def decide(self) -> None:
        """Decide what each row does, and prepare `incoming` for it. Only for balance changes."""
        names = ("of", "of_first", "of_last", "roots", "root_first", "root_last")
        about = dict(zip(names, self.database.only_row(ABOUT), strict=True))
        for several in ("of", "roots"):
            about[several] = array(about[several])
        self.database.execute(HASHED)
        self.database.execute(DECIDE, self.values | about)
        self.database.execute(NOT_HASHED)
        values = "".join(
            OTHER.format(name=column.name, type=column.carried_as)
            for column in self.kind.beside_amount
        )
        self.database.execute(PREPARE.format(others=values))

    def settle(self) -> None:
        """Decide which refused rows become rejects, after the vendor's table has refused them."""
        self.database.execute(LEAVE_OLDER_OPEN)

    def record(self) -> None:
        """Record what became of the rows, once they are applied and counted."""
        others = others_as_json(self.kind)
        for statement in (
            OUTCOME,
            BY_INDEX,
            TAKEN,
            CLOSE,
            CLOSE_TAKEN,
            RECORD_TAKEN,
            RECORD_TAKEN_TOO,
            FORGET_AMOUNT,
            RECORD_AMOUNT,
            BY_HASH,
            RESTORE_WHOLE,
            ADD_REJECTS,
        ):
            text = statement.format(others=others, payload=self.kind.payload)
            self.database.execute(text, self.values)
        self.database.execute(SET_ASIDE)

    def close_replaced(self) -> None:
        """Close the rejects that rows of a kind replace whose last row wins."""
        self.database.execute(CLOSE_REPLACED, self.values)


def record_changed(
    kind: Kind, position: Position, target: BonusDatabase, *, has_dependents: bool
) -> None:
    """Record the amounts of ordinary rows of the chunk that were changed before they were read."""
    text = RECORD_CHANGED.format(
        others=others_as_json(kind),
        and_not_dependent=AND_NOT_DEPENDENT if has_dependents else "",
    )
    target.database.execute(text, {"origin": position.origin, "kind": kind.name})


def mark_known(kind: Kind, position: Position, target: BonusDatabase) -> None:
    """Mark rows of the chunk of which this server has a reject before they come."""
    values = {"origin": position.origin, "kind": kind.name}
    numbers = [number for (number,) in target.database.rows(LINES_WITH_KNOWN, values)]
    if numbers:
        target.database.execute(MARK_KNOWN, values | {"numbers": numbers})


def others_as_json(kind: Kind) -> str:
    """Return the SQL of their values in a row of `incoming`, as JSON."""
    pairs = ", ".join(f"'{one.name}', row.{one.name}" for one in kind.beside_amount)
    return f"json_build_object({pairs})"
