"""The data of the administration port's contract. They are the same for each vendor's protocol.

Models use the address without loading the client and its library.
"""

from dataclasses import dataclass, field
from datetime import datetime


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


@dataclass(frozen=True)
class Status:
    """What a bonus server says of itself."""

    name: str
    version: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A register's account, as the bonus server has it; `secret` only when it is new."""

    register: str
    login: str
    created: datetime
    last_seen: datetime | None
    blocked: bool
    secret: str = field(default="", repr=False)
