"""The three answers a question to a PC can have: known, known absent, could not tell.

A value that could not be read never becomes a default. Every fact answers with one of these, and every rule of
the verdict takes all three.

As JSON::

    {"known": false}                                             the PC said so
    {"absent": true}                                             the PC said that there is none
    {"unknown": {"cause": "access-denied", "detail": "..."}}     could not tell, and why
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, Union

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Known(Generic[T]):
    """The PC answered."""

    value: T
    """What it answered."""

    def to_json(self) -> dict[str, Any]:
        """Return ``{"known": value}``; times as ISO 8601 with offset, values by their own ``to_json``."""
        return {"known": plain(self.value)}


@dataclass(frozen=True)
class Absent:
    """The PC answered that there is no such thing."""

    def to_json(self) -> dict[str, Any]:
        """Return ``{"absent": true}``."""
        return {"absent": True}


@dataclass(frozen=True)
class Unknown:
    """It could not be told, and why."""

    cause: str
    """One word an admin can filter by: ``access-denied``, ``not-read``, ``malformed``, ``fault`` and so on."""
    detail: str = ""
    """One sentence: what was tried and what came back."""

    def to_json(self) -> dict[str, Any]:
        """Return ``{"unknown": {"cause": ..., "detail": ...}}``."""
        return {"unknown": {"cause": self.cause, "detail": self.detail}}


Reading = Union[Known[T], Absent, Unknown]
"""One answer; ``match`` it, or use `known`."""

NOT_READ = Unknown("not-read", "not needed for the verdict")
"""The question was not put to the PC."""


def known(reading: Reading[T], default: U) -> T | U:
    """Return the known value, or *default* where it is absent or could not be told.

    Only for display and for rules that have treated the other two cases already.
    """
    return reading.value if isinstance(reading, Known) else default


def from_json(document: dict[str, Any], value: Callable[[Any], T]) -> Reading[T]:
    """Read back what ``to_json`` wrote; *value* rebuilds the known value from its JSON form.

    Raises:
        ValueError: *document* is none of the three shapes.
    """
    if "known" in document:
        return Known(value(document["known"]))
    if "absent" in document:
        return Absent()
    if "unknown" in document:
        return Unknown(str(document["unknown"]["cause"]), str(document["unknown"].get("detail", "")))
    raise ValueError(f"not a reading: expected known, absent or unknown, got {sorted(document)!r}")


def plain(value: Any) -> Any:
    """Return *value* as JSON-able data: ``to_json`` where it has one, ISO 8601 for times, hex for bytes.

    A span of time is its seconds.
    """
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
