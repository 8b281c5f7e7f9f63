"""The interface between a session and the HTTP connection below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from provmode.errors import AuthenticationFailed, Cause, HostError
from provmode.transport.target import Counters, Target
from provmode.windows.names import ComputerName


class ConnectionLost(HostError):
    """The connection is gone. `sent` is True if the PC might have received the request."""

    cause = Cause.PROTOCOL
    passes = True

    def __init__(self, what: str, *, sent: bool) -> None:
        super().__init__(what, next_step="try again; if it stays, look at the PC's firewall and WinRM service")
        self.sent = sent


class LogonForgotten(ConnectionLost):
    """The PC accepted the logon, and then answered a message as if there had been none."""

    passes = False


class LogonNotSent(AuthenticationFailed):
    """The PC refused before a password was sent. This says nothing about the account."""


class NotRenewed(Exception):
    """There is no newer password. The text ends a sentence about the refusal of the old one."""


class Connection(Protocol):
    """One TCP connection to one PC: `dial`, `authenticate`, `exchange` any number of times, `close`.

    After an error the connection is dead: every further `exchange` raises `ConnectionLost` with ``sent=False``.
    """

    @property
    def computer(self) -> ComputerName | None:
        """What the PC called itself while it authenticated us; ``None`` if it did not say."""

    def dial(self) -> None:
        """Resolve the name and open the TCP connection, within the connect deadline. Send nothing.

        Raises:
            Unreachable: the name does not resolve, nothing answered in time, or the connection was refused.
        """

    def authenticate(self) -> None:
        """Authenticate, and take the sealing keys if the scheme has any. Do nothing the second time.

        Raises:
            AuthenticationFailed: the PC refused the account or the password, or offers no common scheme.
            CertificateUntrusted: TLS failed.
            ProtocolError: the server that answered is not a WinRM listener.
            ConnectionLost: the PC closed the connection during the handshake.
            DeadlineExceeded: there was no answer within the read deadline.
        """

    def exchange(self, message: bytes) -> tuple[int, bytes]:
        """Send one SOAP message and return the HTTP status and the answer, unsealed.

        The status is 200, or 500 with a fault; a server that is not Windows may send a fault with another status.

        Raises:
            ConnectionLost: the connection broke.
            AuthenticationFailed: the PC refused the account only now, as with Basic and certificates.
            DeadlineExceeded: there was no answer within the read deadline; the PC might have received the message.
            ProtocolError: another status without a SOAP message, an empty answer, a plain-text answer although
                encryption is in force, or a broken seal.
        """

    def close(self) -> None:
        """Close the connection. Never raise; a second call does nothing."""


class Connect(Protocol):
    """A function that makes a connection to a PC, not yet dialled."""

    def __call__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Connection:
        """Return a connection to *target*, which adds its cost to *counters*; *seconds* is a monotonic clock.

        Raises:
            UsageError: the target's credentials would expose a secret or cannot work.
        """
