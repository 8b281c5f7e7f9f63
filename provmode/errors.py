"""What can go wrong, and whose fault it is.

* ProvmodeError                 every error of provmode; one line: what was tried, what came back, what to do next
  x UsageError (ValueError)     yours: an inventory, a policy, a flag or a file that cannot be used
    + Mistakes                  several at once, such as all of one file
  x HostError (OSError)         concerns one PC; has the `Cause` that the report groups by
    + Unreachable               the network's: name or connection
    + CertificateUntrusted      yours or the PC's: TLS
    + AuthenticationFailed      yours: account or password. Never retried: accounts lock
    + AccessDenied              yours: the account lacks the rights
    + QuotaExceeded             the PC's: too many shells, operations or users
    + DeadlineExceeded (TimeoutError)  the network's or the PC's: no answer in time
    + ProtocolError             the PC's (or another server's at its address): not WS-Management as specified
    + SpeaksTls                   yours: plain HTTP was spoken to an HTTPS port
    + OtherComputer               yours or DNS's: the PC that answers is not the PC that was meant
    + AnswerLost                the network's: the answer to a change was lost, the change *may have happened*
    + RemoteFault               the PC's: it answered with a fault; the error keeps its code
  x ReadOnlyRefused (PermissionError)  yours: a read-only session was asked to make a change; nothing was sent

pyinfra keeps ``OSError`` and ``TimeoutError`` to the host they concern; any other error would end the run for every
host. So `HostError` and `ReadOnlyRefused` are ``OSError``s.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from provmode.text import SENTENCE, shortened, visible


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
    OTHER_COMPUTER = "other-computer"
    SHELLS_FORBIDDEN = "shells-forbidden"

    def __str__(self) -> str:
        """Return the value, so that it prints as in JSON."""
        return self.value


class ProvmodeError(Exception):
    """Base of every error of provmode. ``str()`` is one line and contains no secret."""

    def __init__(self, what: str, *, next_step: str = "") -> None:
        self.what = visible(shortened(" ".join(what.split()), SENTENCE))
        """What was tried and what came back."""
        self.next_step = visible(shortened(" ".join(next_step.split()), SENTENCE))
        """What to do about it."""
        super().__init__(self.what)

    def __str__(self) -> str:
        """Return what happened, followed by what to do next."""
        return f"{self.what}; {self.next_step}" if self.next_step else self.what


class UsageError(ProvmodeError, ValueError):
    """An inventory, a policy, a flag or a file cannot be used. Nothing was done."""


MISTAKES_SAID = 50
"""Mistakes that are said one by one; of more, the number."""


class Mistakes(UsageError):
    """Everything that is wrong with one thing. ``str()`` is the first of its mistakes, and how many more there are."""

    def __init__(self, mistakes: Sequence[UsageError]) -> None:
        self.mistakes = tuple(mistakes)
        first, more = self.mistakes[0], len(self.mistakes) - 1
        counted = f" (and {more:,} more mistake{'s' if more > 1 else ''})" if more else ""
        super().__init__(first.what + counted, next_step=first.next_step)

    @property
    def lines(self) -> list[str]:
        """Each mistake as a line; of very many the first, and how many more there are."""
        more = len(self.mistakes) - MISTAKES_SAID
        counted = [f"and {more:,} more mistakes"] if more > 0 else []
        return [*(str(mistake) for mistake in self.mistakes[:MISTAKES_SAID]), *counted]


class HostError(ProvmodeError, OSError):
    """An error that concerns one PC; the run goes on for the others."""

    cause: Cause = Cause.PROTOCOL
    to_mend: bool = False
    """Whether it is the operator's to mend although its cause does not say so, such as DNS that does not answer."""
    passes: bool = False
    """Whether it passes by itself although its cause does not say so, such as a PC that is starting."""

    def __init__(
        self, what: str, *, next_step: str = "", cause: Cause | None = None, passes: bool | None = None
    ) -> None:
        super().__init__(what, next_step=next_step)
        if cause is not None:
            self.cause = cause
        if passes is not None:
            self.passes = passes


class Unreachable(HostError):
    """The name did not resolve, nothing answered, or the connection was refused."""

    cause = Cause.CONNECT_TIMEOUT


class CertificateUntrusted(HostError):
    """TLS failed: an unknown issuer, another host's name or an expired certificate."""

    cause = Cause.TLS


class AuthenticationFailed(HostError):
    """The PC refused the account or the password. Never retried: accounts lock."""

    cause = Cause.AUTH


class AccessDenied(HostError):
    """The PC accepted the account, but the account lacks the rights for this."""

    cause = Cause.ACCESS_DENIED


class QuotaExceeded(HostError):
    """The PC's WinRM quota is used up: shells, operations or users. Transient."""

    cause = Cause.QUOTA


class DeadlineExceeded(HostError, TimeoutError):
    """No answer in time."""

    cause = Cause.DEADLINE


class ProtocolError(HostError):
    """The answer is not WS-Management as specified, or broke off."""

    cause = Cause.PROTOCOL


class SpeaksTls(ProtocolError):
    """Plain HTTP was spoken to a port that speaks TLS: the inventory has the wrong scheme or port."""

    to_mend = True


class OtherComputer(HostError):
    """The PC that answers is not the PC that was meant. It was asked nothing more, and nothing was changed there."""

    cause = Cause.OTHER_COMPUTER


class AnswerLost(HostError):
    """A change was sent and its answer was lost: it *may have happened*. Read back before you repeat it."""

    cause = Cause.PROTOCOL


class RemoteFault(HostError):
    """The PC answered with a fault."""

    cause = Cause.PROTOCOL

    def __init__(
        self, what: str, *, code: int | None, kind: str = "unknown", next_step: str = "", cause: Cause | None = None
    ) -> None:
        super().__init__(what, next_step=next_step, cause=cause, passes=kind == "unavailable")
        self.code = code
        """The fault's number (WS-Man, HRESULT or WMI), or ``None`` if it has none."""
        self.kind = kind
        """The kind of fault, a value of `provmode.wsman.FaultKind`: ``not-found``, ``unavailable`` ..."""


class ReadOnlyRefused(ProvmodeError, PermissionError):
    """A read-only session was asked to make a change; nothing was sent."""
