"""An address alone: who only keeps it, as our models do, need not load what calls it. No Django."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Endpoint:
    """Where a bonus server's administration port is, and the key to it."""

    name: str
    host: str
    port: int
    token: str = field(repr=False)
    tls: bool = False
    verify: bool = True
    ca: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"
