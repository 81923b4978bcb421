"""The staging database's side of sending rejected rows again. No Django."""

from transfer.incoming import GOOD, Incoming
from transfer.kinds import Kind

FAULTS = f"""
    select coalesce(unread, fault) as code, count(*) from incoming as line
     where not ({GOOD})
       and not exists (select from datatransfer.resent as note
                        where note.origin = line.origin and note.kind = %s
                          and note.old_id = line.old_id)
     group by code order by 2 desc, 1
"""


class ResendDoor(Incoming):
    """The rejected rows of one kind, each with the values that it shall have."""

    def __init__(self, dsn: str, kind: Kind) -> None:
        super().__init__(dsn, "resend", kind)

    def faults(self) -> dict[str, int]:
        """Code of the failed check → how many rows fail it, of those that were never sent."""
        return dict(self.rows(FAULTS, [self.kind.name]))
