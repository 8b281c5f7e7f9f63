"""What every mechanism of a handshake is to a connection: tokens in, tokens out, then a user and keys.

One file each: ``ntlm`` and ``kerberos``. ``authentication`` chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from provmode.lab.server.sealing import SecurityContext


class CbtHardening(str, Enum):
    """``Service/Auth/CbtHardeningLevel`` (MS-WSMV 2.2.4.6): how channel binding tokens are checked over HTTPS."""

    NONE = "None"
    RELAXED = "Relaxed"
    """Windows' default: a wrong token is refused, a missing token accepted."""
    STRICT = "Strict"


@dataclass(frozen=True)
class ChannelBinding:
    """To what a client has to bind its handshake."""

    data: bytes | None = None
    """The application data of the right token; ``None``: nothing is checked."""
    required: bool = False
    """Whether a client without a token is refused."""


class Refused(Exception):
    """The handshake has failed; *token* is what the mechanism tells the client about it, empty: nothing."""

    def __init__(self, why: str, token: bytes = b"") -> None:
        super().__init__(why)
        self.token = token


class Mechanism(SecurityContext, Protocol):
    """One handshake and, once it is complete, the keys it has agreed on."""

    @property
    def complete(self) -> bool:
        """Whether the handshake is over and the user known."""

    @property
    def user(self) -> str | None:
        """The logon name of the account that logged on; ``None``: the user is genuine and may not use this service."""

    @property
    def delegated(self) -> bool:
        """Whether the client has handed over what the PC can log on elsewhere with; only after the handshake."""

    def step(self, token: bytes) -> bytes | None:
        """Take the client's token and return the answer, if there is one.

        Raises:
            Refused: the client is not who it says, or the token is not one.
        """


class Ticket(Mechanism, Protocol):
    """A handshake of Kerberos, whose keys seal for others than WinRM too."""

    def wrap(self, data: bytes) -> bytes:
        """Seal *data* as one message of GSS-API."""

    def unwrap(self, data: bytes) -> bytes:
        """Open such a message.

        Raises:
            SealBroken: it is not sealed, or not with these keys.
        """
