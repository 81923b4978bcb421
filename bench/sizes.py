"""How large a run of the benchmark is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """`factor` 1 is the whole thing; quick, everything is tiny and asked once."""

    factor: float = 1.0
    rounds: int = 3
    before: str = ""  # the commit that the part `before` compares with
    servers: int = 5  # of the installation that pages and search are asked of
    registers: int = 0  # there, each with an account on every server; 0: by the factor

    @property
    def is_quick(self) -> bool:
        """Nobody looks at the figures."""
        return self.factor == QUICK

    @property
    def is_whole(self) -> bool:
        """Whether its figures belong into RESULTS.md."""
        return self.factor == 1 and self.servers == 5 and not self.registers

    def of(self, full: int, least: int = 1) -> int:
        """What is `full` in the whole thing, here."""
        return max(int(full * self.factor), min(least, full))


QUICK = 0.0005
"""The factor of a quick run."""
