"""The address of an administration port. Models keep it without loading the client."""

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
