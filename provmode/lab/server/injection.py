"""Injected faults: what is to go wrong, and at which request of a PC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple


class Kind(str, Enum):
    """What goes wrong."""

    DROP_BEFORE = "drop-before"
    """The connection is closed and the request is not carried out."""
    DROP_AFTER = "drop-after"
    """The request is carried out and its answer is lost."""
    CUT_ANSWER = "cut-answer"
    """The request is carried out and the connection is closed in the middle of the answer's body."""
    CLOSE_AFTER = "close-after"
    """The request is carried out, and its answer announces that the connection is closed after it."""
    STALL = "stall"
    """The request is neither carried out nor answered, until the client gives up."""
    FAULT = "fault"
    """The answer is a fault with ``code`` and ``text``."""
    QUOTA = "quota"
    """The quota of concurrent operations is exceeded."""
    SHELL_QUOTA = "shell-quota"
    """The quota of concurrent shells is exceeded."""
    ACCESS_DENIED = "access-denied"
    PLAIN_TEXT = "plain-text"
    """The request is carried out and its answer is sent unencrypted although encryption is required."""
    REDIRECT = "redirect"
    """The answer is a 307 redirect to ``location``."""
    JUNK = "junk"
    """The answer is ``text`` instead of a SOAP envelope, encrypted like one."""
    STATUS = "status"
    """The answer is empty, with the HTTP status ``code``."""
    FORGET = "forget"
    """The connection's logon is forgotten, as if WinRM were new: the answer is the 401 of a new connection."""
    HANDSHAKE_STATUS = "handshake-status"
    """The next request that logs on is answered with the HTTP status ``code``, empty, as by a broken acceptor."""


class RequestInfo(NamedTuple):
    """What an injection can match of a request."""

    number: int
    """The number of the PC's SOAP request, from 1."""
    action: str
    """The last part of the action URI: ``Get``, ``Enumerate``, ``Command``, or a method's name."""
    resource_uri: str


@dataclass
class Injection:
    """One fault to inject."""

    kind: Kind
    action: str = ""
    """Only for this action; empty: any action."""
    skip: int = 0
    """How many matching requests are left alone first."""
    times: int | None = 1
    """How often it goes wrong; ``None``: every time."""
    code: int = 0
    text: str = ""
    location: str = ""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Injection:
        """Read an injection from JSON: the fields by name.

        Raises:
            ValueError: an unknown kind or field.

        """
        unknown = set(document) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown fields of an injection: {', '.join(sorted(unknown))}")
        return cls(**{**document, "kind": Kind(document["kind"])})

    def triggers(self, info: RequestInfo) -> bool:
        """Return whether the request goes wrong, and count it."""
        if self.action and self.action.lower() != info.action.lower():
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class Injections:
    """The injections of one PC."""

    def __init__(self) -> None:
        self._pending: list[Injection] = []

    def add(self, injection: Injection) -> None:
        """Add *injection*."""
        self._pending.append(injection)

    def clear(self) -> None:
        """Remove all injections."""
        self._pending.clear()

    def triggered_by(self, info: RequestInfo) -> Injection | None:
        """Return the first injection that applies to the request, if any."""
        sealed = (each for each in self._pending if each.kind is not Kind.HANDSHAKE_STATUS)
        return next((each for each in sealed if each.triggers(info)), None)

    def triggered_by_handshake(self) -> Injection | None:
        """Return the first injection that applies to a request that logs on, if any; ``action`` is ignored."""
        handshakes = (each for each in self._pending if each.kind is Kind.HANDSHAKE_STATUS)
        return next((each for each in handshakes if each.triggers(RequestInfo(0, each.action, ""))), None)
