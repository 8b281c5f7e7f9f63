"""The three possible answers to a question to a PC: known, known absent, could not tell.

A value that could not be read never becomes a default. Every fact returns one of these, and every rule of the verdict
handles all three.

As JSON::

    {"known": false}                                             the PC returned this value
    {"absent": true}                                             the PC answered that there is no such value
    {"unknown": {"cause": "access-denied", "detail": "..."}}     could not tell, and why
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, Union

from provmode.text import shortened

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Known(Generic[T]):
    """The PC answered."""

    value: T
    """The PC's answer."""

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
    """The value could not be read, and why."""

    cause: str
    """One word to filter by: ``access-denied``, ``not-read``, ``malformed``, ``fault`` and so on."""
    detail: str = ""
    """One sentence: what was tried and what came back; shortened if it is long."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", shortened(self.detail))

    def to_json(self) -> dict[str, Any]:
        """Return ``{"unknown": {"cause": ..., "detail": ...}}``."""
        return {"unknown": {"cause": self.cause, "detail": self.detail}}


Reading = Union[Known[T], Absent, Unknown]
"""One answer; ``match`` it, or use `known`."""

NOT_READ = Unknown("not-read", "not needed for the verdict")
"""The PC was not asked."""


def known(reading: Reading[T], default: U) -> T | U:
    """Return the known value, or *default* if it is absent or unknown.

    Only for display, and for rules that have already handled the other two cases.
    """
    return reading.value if isinstance(reading, Known) else default


def from_json(document: dict[str, Any], value: Callable[[Any], T]) -> Reading[T]:
    """Rebuild a reading from the output of ``to_json``; *value* rebuilds the known value from its JSON form.

    Raises:
        ValueError: *document* has none of the three shapes.
    """
    if "known" in document:
        return Known(value(document["known"]))
    if "absent" in document:
        return Absent()
    if "unknown" in document:
        return Unknown(str(document["unknown"]["cause"]), str(document["unknown"].get("detail", "")))
    raise ValueError(f"not a reading: expected known, absent or unknown, got {sorted(document)!r}")


def plain(value: Any) -> Any:
    """Return *value* as data for JSON: by its ``to_json`` if it has one, times as ISO 8601, bytes as hex.

    A time span becomes its seconds.
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
