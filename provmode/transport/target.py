"""Where a PC is, who asks, whom to trust and how long to wait: plain values, nothing is opened here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Authentication = Literal["ntlm", "kerberos", "credssp", "certificate", "basic"]
AUTHENTICATIONS: tuple[Authentication, ...] = ("ntlm", "kerberos", "credssp", "certificate", "basic")


@dataclass(frozen=True)
class Endpoint:
    """Where a PC's WinRM listens."""

    name: str
    """The PC's name as the inventory has it; what errors say."""
    address: str
    """Name or IP address to connect to."""
    port: int = 5985
    scheme: Literal["http", "https"] = "http"
    path: str = "/wsman"

    @property
    def url(self) -> str:
        """The URL requests go to."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@dataclass(frozen=True)
class Credentials:
    """Who asks, and how that is proved. ``repr`` shows no secret."""

    authentication: Authentication
    user: str = ""
    """``DOMAIN\\user``, ``user@domain`` or a local account."""
    password: str = field(default="", repr=False)
    certificate: Path | None = None
    """PEM file of the client certificate (``certificate`` only)."""
    certificate_key: Path | None = None
    kerberos_host: str | None = None
    """The name in the service principal, where it is not the address."""
    kerberos_delegation: bool = False
    basic_over_http: bool = False
    """The user said by name that the password may cross the network readable."""


@dataclass(frozen=True)
class Trust:
    """Whose certificates are believed over HTTPS."""

    validate: bool = True
    ca: Path | None = None
    """PEM bundle; ``None``: the system's own store."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds."""

    connect: float = 5.0
    """For the name and the TCP connection together."""
    read: float = 30.0
    """For one answer."""
    host: float = 120.0
    """For everything asked of one PC in one conversation, retries included."""


@dataclass
class Counters:
    """What one PC cost; adds up over reconnects."""

    requests: int = 0
    """HTTP requests, those of the authentication included."""
    bytes_sent: int = 0
    """Bodies as sent, sealed."""
    bytes_received: int = 0
    retries: int = 0
    connections: int = 0
    seconds: float = 0.0
    """Time spent waiting for answers and connections."""

    def to_json(self) -> dict[str, float]:
        """Return the figures by name."""
        return dict(vars(self), seconds=round(self.seconds, 3))
