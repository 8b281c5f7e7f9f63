"""Faults on request: what a test wants to go wrong, at which request of which PC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(str, Enum):
    """What goes wrong."""

    DROP_BEFORE = "drop-before"
    """The connection is closed and nothing is carried out."""
    DROP_AFTER = "drop-after"
    """The request is carried out and its answer lost."""
    CUT_ANSWER = "cut-answer"
    """The request is carried out and the connection closed inside the answer's body."""
    STALL = "stall"
    """Nothing is carried out and nothing is answered, until the client gives up."""
    FAULT = "fault"
    """A fault with ``code`` and ``text``."""
    QUOTA = "quota"
    """The quota of concurrent operations is exceeded."""
    SHELL_QUOTA = "shell-quota"
    """The quota of concurrent shells is exceeded."""
    ACCESS_DENIED = "access-denied"
    PLAIN_TEXT = "plain-text"
    """The request is carried out and its answer sent in clear where sealing is in force."""
    REDIRECT = "redirect"
    """307 to ``location``."""
    JUNK = "junk"
    """``text`` instead of a SOAP envelope, sealed like one."""
    STATUS = "status"
    """An empty answer with the HTTP status ``code``."""


@dataclass(frozen=True)
class RequestInfo:
    """What can be known of a request when it is decided whether it goes wrong."""

    number: int
    """From 1; counts the PC's SOAP requests."""
    action: str
    """The last part of the action URI: ``Get``, ``Enumerate``, ``Command``, or a method's name."""
    resource_uri: str


@dataclass
class Injection:
    """One thing to go wrong."""

    kind: Kind
    action: str = ""
    """Only at this action; empty for any."""
    skip: int = 0
    """How many matching requests pass before."""
    times: int | None = 1
    """How often it goes wrong; ``None`` for ever after."""
    code: int = 0
    text: str = ""
    location: str = ""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Injection:
        """Read an injection from its JSON form: the fields by name.

        Raises:
            ValueError: an unknown kind or field.

        """
        unknown = set(document) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown fields of an injection: {', '.join(sorted(unknown))}")
        return cls(**{**document, "kind": Kind(document["kind"])})

    def strikes(self, info: RequestInfo) -> bool:
        """Tell whether the request of *info* goes wrong, and count it."""
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
    """Everything that is to go wrong on one PC."""

    def __init__(self) -> None:
        self._pending: list[Injection] = []

    def add(self, injection: Injection) -> None:
        """Let *injection* happen from now on."""
        self._pending.append(injection)

    def clear(self) -> None:
        """Let everything go right again."""
        self._pending.clear()

    def strike(self, info: RequestInfo) -> Injection | None:
        """Return what goes wrong with the request of *info*, if anything."""
        return next((each for each in self._pending if each.strikes(info)), None)
