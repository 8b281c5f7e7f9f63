"""What can go wrong, and whose fault it is.

* ProvmodeError                 every error of ours; one line: what was tried, what came back, what to do next
  x UsageError (ValueError)     yours: an inventory, a policy, a flag, a file that cannot be used
  x HostError (OSError)         about one PC; carries the `Cause` that the report groups by
    + Unreachable               the network's: the name, the connection
    + CertificateUntrusted      yours or the PC's: TLS
    + AuthenticationFailed      yours: account or password. Never retried: accounts lock
    + AccessDenied              yours: the account may not do this
    + QuotaExceeded             the PC's: too many shells, operations, users
    + DeadlineExceeded (TimeoutError)  the network's or the PC's: no answer in time
    + ProtocolError             the PC's (or whoever answers for it): not WS-Management as specified
    + AnswerLost                the network's: the answer to a change was lost, it *may have happened*
    + RemoteFault               the PC's: it answered with a fault, whose code and text are kept
  x ReadOnlyRefused (PermissionError)  yours: a change was asked of a read-only session; nothing was sent

pyinfra contains ``OSError`` and ``TimeoutError`` to the host they concern; anything else would end the run for
every host, which is why `HostError` and `ReadOnlyRefused` are ``OSError``s.
"""

from __future__ import annotations

from enum import Enum

from provmode.text import visible


class Cause(str, Enum):
    """Why a PC could not be assessed; the words of the JSON report (contract)."""

    NAME_RESOLUTION = "name-resolution"
    CONNECT_TIMEOUT = "connect-timeout"
    REFUSED = "refused"
    TLS = "tls"
    AUTH = "auth"
    ACCESS_DENIED = "access-denied"
    QUOTA = "quota"
    PROTOCOL = "protocol"
    DEADLINE = "deadline"

    def __str__(self) -> str:
        """Return the word itself, so that it prints as it is written in JSON."""
        return self.value


class ProvmodeError(Exception):
    """Every error of ours. ``str()`` is one line and holds no secret."""

    def __init__(self, what: str, *, next_step: str = "") -> None:
        self.what = visible(" ".join(what.split()))
        """What was tried and what came back."""
        self.next_step = visible(" ".join(next_step.split()))
        """What to do about it."""
        super().__init__(self.what)

    def __str__(self) -> str:
        """Return what happened and, after it, what to do next."""
        return f"{self.what}; {self.next_step}" if self.next_step else self.what


class UsageError(ProvmodeError, ValueError):
    """Yours: an inventory, a policy, a flag or a file that cannot be used. Nothing was done."""


class HostError(ProvmodeError, OSError):
    """About one PC; the run for the others goes on."""

    cause: Cause = Cause.PROTOCOL

    def __init__(self, what: str, *, next_step: str = "", cause: Cause | None = None) -> None:
        super().__init__(what, next_step=next_step)
        if cause is not None:
            self.cause = cause


class Unreachable(HostError):
    """The network's: the name did not resolve, nothing answered, or the connection was refused."""

    cause = Cause.CONNECT_TIMEOUT


class CertificateUntrusted(HostError):
    """TLS could not be established: an unknown issuer, another host's name, an expired certificate."""

    cause = Cause.TLS


class AuthenticationFailed(HostError):
    """The PC refused the account or the password. Never retried: accounts lock."""

    cause = Cause.AUTH


class AccessDenied(HostError):
    """The account was recognised and may not do this."""

    cause = Cause.ACCESS_DENIED


class QuotaExceeded(HostError):
    """The PC's WinRM has no room: shells, operations or users. Transient."""

    cause = Cause.QUOTA


class DeadlineExceeded(HostError, TimeoutError):
    """No answer in time."""

    cause = Cause.DEADLINE


class ProtocolError(HostError):
    """What answered does not speak WS-Management as specified, or broke off in mid-answer."""

    cause = Cause.PROTOCOL


class AnswerLost(HostError):
    """The request was sent and the answer was lost: the change *may have happened*. Read back before repeating."""

    cause = Cause.PROTOCOL


class RemoteFault(HostError):
    """The PC answered with a fault."""

    cause = Cause.PROTOCOL

    def __init__(
        self, what: str, *, code: int | None, kind: str = "unknown", next_step: str = "", cause: Cause | None = None
    ) -> None:
        super().__init__(what, next_step=next_step, cause=cause)
        self.code = code
        """The fault's number (WS-Man, HRESULT or WMI), or ``None`` where it carried none."""
        self.kind = kind
        """The family of the fault, a word of `provmode.wsman.FaultKind`: ``not-found``, ``unavailable`` ..."""


class ReadOnlyRefused(ProvmodeError, PermissionError):
    """A change was asked of a read-only session; nothing was sent."""
