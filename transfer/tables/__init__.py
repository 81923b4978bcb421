from transfer.tables.base import (
    PAGE_SIZES,
    AmountColumn,
    DurationColumn,
    MomentColumn,
    NumberColumn,
    StateColumn,
    Table,
)

__all__ = [
    "PAGE_SIZES",
    "AmountColumn",
    "DurationColumn",
    "MomentColumn",
    "NumberColumn",
    "StateColumn",
    "Table",
]
