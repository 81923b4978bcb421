"""What our own database keeps for ever, as copies in shop All: daily sums, and statements.

A restore of our own database takes them back from here, and a restore of shop All gets them again
from there. Each installation has rows of its own. Nothing here decides which rows are moved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from psycopg2.extras import execute_values

from transfer.engine.postgres.database import Database

AT_ONCE = 500
"""Daily sums that are read or written at once."""
STATEMENTS_AT_ONCE = 3
LARGEST = 16 << 20
"""Characters of a copy that are read: this product writes no longer one."""


class What(StrEnum):
    """What a copy is of."""

    STATEMENT = "statement"
    LOG_DAY = "log_day"
    SERVER_DAY = "server_day"

    @property
    def at_once(self) -> int:
        return STATEMENTS_AT_ONCE if self == What.STATEMENT else AT_ONCE


@dataclass(frozen=True)
class Copy:
    """A copy. `name` tells those of one installation apart, and orders them; `content` is JSON."""

    name: str
    content: str
    installation: str = ""


# By the primary key, as all but the last two.
READ = """
    select name, left(content, %(largest)s), installation::text from datatransfer.kept
     where installation = %(installation)s and what = %(what)s and name >= %(beginning)s
       and name > %(after)s and name < %(before)s
     order by name limit %(most)s
"""
# Writes what is new, or says something else by now.
WRITE = """
    insert into datatransfer.kept as held (installation, what, name, content) values %s
        on conflict (installation, what, name) do update
       set content = excluded.content, kept_at = now() where held.content <> excluded.content
"""
COUNT = "select count(*) from datatransfer.kept where installation = %s and what = %s"
NAMES = "select name from datatransfer.kept where installation = %s and what = %s order by name"
# The last copy of each other installation; and all of theirs. Read the table.
LAST_OF_OTHERS = """
    select distinct on (installation) name, left(content, %s), installation::text
      from datatransfer.kept where installation <> %s and what = %s
     order by installation, name desc
"""
OF_OTHERS = """
    select name, left(content, %(largest)s), installation::text from datatransfer.kept
     where installation <> %(installation)s and what = %(what)s and name >= %(beginning)s
       and (name, installation::text) > (%(after)s, %(after_of)s) and name < %(before)s
     order by name, installation::text limit %(most)s
"""
# Lets one after the other write.
LOCK = "lock table datatransfer.kept in exclusive mode"

# Behind every name that begins with a text.
BEHIND = "\N{DELETE}"


class Kept:
    """Reads and writes the copies of one installation. The caller has a transaction."""

    def __init__(self, database: Database, installation: str) -> None:
        self.database = database
        self.installation = installation

    def lock(self) -> None:
        """Keep all copies as they are, but for what this transaction writes."""
        self.database.execute(LOCK)

    def read(self, what: What, beginning: str = "", after: str = "") -> Iterator[Copy]:
        """Yield the copies whose name begins with a text, those after a name, in their order."""
        values = {
            "installation": self.installation,
            "what": what.value,
            "beginning": beginning,
            "after": after,
            "before": f"{beginning}{BEHIND}",
            "largest": LARGEST,
            "most": what.at_once,
        }
        while found := [Copy(*row) for row in self.database.rows(READ, values)]:
            yield from found
            values["after"] = found[-1].name

    def write(self, what: What, copies: Sequence[Copy]) -> None:
        """Write copies; those that say the same are left as they are."""
        rows = [(self.installation, what.value, one.name, one.content) for one in copies]
        with self.database.explained(), self.database.connection.cursor() as cursor:
            execute_values(cursor, WRITE, rows, page_size=what.at_once)

    def count(self, what: What) -> int:
        return int(self.database.value(COUNT, [self.installation, what.value]))

    def names(self, what: What) -> list[str]:
        """Return the names of the copies, in their order."""
        found = self.database.rows(NAMES, [self.installation, what.value])
        return [name for (name,) in found]

    def last_of_others(self, what: What) -> list[Copy]:
        """Return the last copy of each other installation that reads from this shop All."""
        values = [LARGEST, self.installation, what.value]
        return [Copy(*row) for row in self.database.rows(LAST_OF_OTHERS, values)]

    def of_others(self, what: What, beginning: str = "") -> Iterator[Copy]:
        """Yield the copies of all other installations whose name begins with a text, by name."""
        values = {
            "installation": self.installation,
            "what": what.value,
            "after": "",
            "after_of": "",
            "beginning": beginning,
            "before": f"{beginning}{BEHIND}",
            "largest": LARGEST,
            "most": what.at_once,
        }
        while found := [Copy(*row) for row in self.database.rows(OF_OTHERS, values)]:
            yield from found
            values |= {"after": found[-1].name, "after_of": found[-1].installation}
