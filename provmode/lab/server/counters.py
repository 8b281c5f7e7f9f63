"""What reached a PC: requests by kind, processes started, bytes. Evidence for tests and benchmarks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counters:
    """The counters of one PC: counted at the server, not by the client under test."""

    connections: int = 0
    requests: int = 0
    """HTTP requests answered or dropped, authentication included."""
    handshakes: int = 0
    """Requests that only authenticated, or were refused without authentication."""
    bytes_in: int = 0
    bytes_out: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    """SOAP requests by the last part of their action (``Get``, ``Pull``, ``Command``, ``GetStringValue``)."""
    commands: list[str] = field(default_factory=list)
    """Command lines started, in order; each is a process on the PC."""
    refused_logins: int = 0
    delegated: int = 0
    """Logons with which a client has handed over its credentials."""

    def to_json(self) -> dict[str, Any]:
        """Return the counters as JSON-able data; ``processes`` is the number of command lines."""
        return {
            "connections": self.connections,
            "requests": self.requests,
            "handshakes": self.handshakes,
            "refused_logins": self.refused_logins,
            "delegated": self.delegated,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "actions": dict(self.actions),
            "commands": list(self.commands),
            "processes": len(self.commands),
        }
