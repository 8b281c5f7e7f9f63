"""The event log of a PC: channels, and the events in them.

The XML is what ``wevtutil`` and the event viewer show of an event; Microsoft, "Event Schema".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import IntEnum
from xml.sax.saxutils import escape

LOCAL_SYSTEM = "S-1-5-18"
_NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"


class Level(IntEnum):
    """The levels of events by Windows' numbers."""

    ERROR = 2
    WARNING = 3
    INFORMATION = 4


@dataclass(frozen=True)
class Provider:
    """Who writes events."""

    name: str
    guid: str


@dataclass(frozen=True)
class Event:
    """One event."""

    provider: Provider
    number: int
    level: Level
    when: datetime
    data: Mapping[str, str] = field(default_factory=dict)
    record: int = 0
    """Its number in its channel, from 1."""

    def xml(self, channel: str, computer: str) -> str:
        """Return the event as Windows writes it: one line, quotes of one stroke."""
        when = self.when.astimezone(timezone.utc)
        data = "".join(f"<Data Name='{_text(name)}'>{_text(value)}</Data>" for name, value in self.data.items())
        return (
            f"<Event xmlns='{_NAMESPACE}'><System><Provider Name='{_text(self.provider.name)}' "
            f"Guid='{self.provider.guid}'/><EventID>{self.number}</EventID><Version>0</Version>"
            f"<Level>{self.level:d}</Level><Task>0</Task><Opcode>0</Opcode><Keywords>0x8000000000000000</Keywords>"
            f"<TimeCreated SystemTime='{when:%Y-%m-%dT%H:%M:%S.%f}0Z'/><EventRecordID>{self.record}</EventRecordID>"
            f"<Correlation/><Execution ProcessID='4012' ThreadID='4180'/><Channel>{_text(channel)}</Channel>"
            f"<Computer>{_text(computer)}</Computer><Security UserID='{LOCAL_SYSTEM}'/></System>"
            f"<EventData>{data}</EventData></Event>"
        )


def _text(value: str) -> str:
    return escape(value, {"'": "&apos;", '"': "&quot;"})


class EventLog:
    """The channels of one PC; a channel that is not there cannot be read."""

    __slots__ = ("_channels", "_names")

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {name.lower(): name for name in names}
        self._channels: dict[str, list[Event]] = {}

    def write(self, channel: str, event: Event) -> None:
        """Append an event to a channel; the channel is made if it is not there."""
        name = self._names.setdefault(channel.lower(), channel)
        events = self._channels.setdefault(name, [])
        record = events[-1].record + 1 if events else 1
        events.append(Event(event.provider, event.number, event.level, event.when, event.data, record))

    def read(self, channel: str) -> tuple[str, list[Event]] | None:
        """Return a channel's name as it is spelled and its events, oldest first; ``None``: no such channel."""
        name = self._names.get(channel.lower())
        return None if name is None else (name, list(self._channels.get(name, ())))

    def remove(self, channel: str) -> None:
        """Take a channel away, as on a Windows that does not have it; for building a PC."""
        name = self._names.pop(channel.lower(), None)
        if name is not None:
            self._channels.pop(name, None)
