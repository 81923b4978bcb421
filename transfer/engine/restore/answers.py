"""The administrator's answers about rows that may or may not have been moved.

The answer to one transfer's rows says nothing about another's: each was lost at a time of its own,
and somebody has to look into each bonus server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Flow = tuple[str, str]  # the names of a bonus server and of a kind


@dataclass(frozen=True)
class Answers:
    """What is known of rows in doubt.

    `moved`: of the flows that were asked about, whether their rows in doubt were moved.
    `none_prepared`: no transaction that was prepared when the copy was made was committed since.
    """

    moved: Mapping[Flow, bool] = field(default_factory=dict)
    none_prepared: bool = False


NO_ANSWERS = Answers()
