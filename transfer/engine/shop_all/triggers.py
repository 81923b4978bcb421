"""Our triggers on staging tables, see `guards`: what each is, in SQL and in the catalogue."""

import re
from dataclasses import dataclass

from psycopg2 import sql

from transfer.engine.kind import Kind

STAMP_TRIGGER = "datatransfer_stamp"

# Makes a trigger in place of an earlier one.
CREATE_TRIGGER = """
create or replace trigger {name} {event} on {{table}} for each {each} {when}
    execute function datatransfer.{function}({quoted});
"""
# Lets it fire in sessions that replicate, too.
ALWAYS = "alter table {{table}} enable always trigger {name};"


@dataclass(frozen=True)
class Trigger:
    name: str
    event: str
    each: str
    function: str
    type: int
    condition: str = ""
    is_always: bool = False  # fires in sessions that replicate, too
    arguments: tuple[str, ...] = ()

    @property
    def quoted(self) -> str:
        """The arguments as PostgreSQL writes them."""
        return ", ".join("'" + one.replace("'", "''") + "'" for one in self.arguments)

    def as_found(self) -> tuple[object, ...]:
        """The row of `guards.FOUND_TRIGGERS`."""
        enabled = "A" if self.is_always else "O"
        condition = plain(self.condition)
        return (self.name, self.type, enabled, self.function, condition, self.quoted, True)

    def create(self, table: sql.Composable) -> sql.Composed:
        """SQL: makes the trigger. A condition costs rows nothing that are written as intended."""
        when = f"when ({self.condition})" if self.condition else ""
        quoted = self.quoted.replace("{", "{{").replace("}", "}}")
        statement = CREATE_TRIGGER.format(**vars(self), when=when, quoted=quoted).strip()
        if self.is_always:
            statement += ALWAYS.format(name=self.name)
        return sql.SQL(statement).format(table=table)


# Two for the stamp, since what an insert may not choose and what an update may not change are
# different conditions.
STAMPS = (
    Trigger(
        *(STAMP_TRIGGER, "before insert", "row", "stamp", 1 + 2 + 4),
        condition="new.xid is distinct from pg_catalog.pg_current_xact_id()",
        is_always=True,
    ),
    Trigger(
        *(f"{STAMP_TRIGGER}_update", "before update", "row", "stamp", 1 + 2 + 16),
        condition="new.xid is distinct from old.xid or new.id is distinct from old.id",
        is_always=True,
    ),
)
# Their names come after those of the stamps, in whose order they fire.
CHANGE_TRIGGER = "datatransfer_values"
NOTES = (Trigger("datatransfer_writer", "after insert", "statement", "note_writer", 4),)


def notes_of_changes(kind: Kind) -> tuple[Trigger, ...]:
    """The triggers that note which transaction has changed the values of a row."""
    return (
        Trigger(
            *(f"{CHANGE_TRIGGER}_insert", "before insert", "row", "note_change", 1 + 2 + 4),
            condition="new.changed_xid is not null",
            is_always=True,
        ),
        Trigger(
            *(
                f"{CHANGE_TRIGGER}_update",
                "before update",
                "row",
                "note_changed_values",
                1 + 2 + 16,
            ),
            arguments=values_of(kind),
            is_always=True,
        ),
    )


def triggers_of(kind: Kind) -> tuple[Trigger, ...]:
    """All of our triggers of the kind's staging table."""
    return (*STAMPS, *NOTES, *notes_of_changes(kind))


def plain(condition: str) -> str:
    """A condition without what PostgreSQL writes in another way: brackets, spaces, quotes of names,
    casts to text, its schema.
    """
    return re.sub(r'[()\s"]|::text|pg_catalog\.', "", condition).lower()


def values_of(kind: Kind) -> tuple[str, ...]:
    """The arguments of a trigger: the columns of the values that a transfer reads.

    After an empty one come secrets. To empty a secret is no change: there is nothing to send, and
    blanking does so. A change of `changed_xid` itself counts, so a writer cannot hide one.
    """
    names = kind.shop_all.names(kind.columns)
    values = [name for column, name in names.items() if not column.secret]
    secrets = [name for column, name in names.items() if column.secret]
    return (*values, "changed_xid", "", *secrets)
