"""What can go wrong while rows are moved, and which of it is a refusal."""

from transfer.engine.errors.rows import (
    CommitUnconfirmed,
    RowsChanged,
    RowsLostOnTheWay,
    RowsSwallowed,
    TooManyRefused,
)
from transfer.engine.errors.tables import (
    GuardsOfAnother,
    GuardsOutdated,
    NoRightForSchema,
    NotInitialised,
    RightsMissing,
    RowsUndecided,
    SequenceBehind,
    StagingTableChanged,
    TablesForeign,
    TableUnlogged,
    TargetTableMissing,
    TooManyTriggers,
    WrongColumns,
)

__all__ = [
    "CommitUnconfirmed",
    "GuardsOfAnother",
    "GuardsOutdated",
    "NoRightForSchema",
    "NotInitialised",
    "RightsMissing",
    "RowsChanged",
    "RowsLostOnTheWay",
    "RowsSwallowed",
    "RowsUndecided",
    "SequenceBehind",
    "StagingTableChanged",
    "TableUnlogged",
    "TablesForeign",
    "TargetTableMissing",
    "TooManyRefused",
    "TooManyTriggers",
    "WrongColumns",
]
