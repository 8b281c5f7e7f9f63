"""The whole change that a journal records, in order: its runs, resumes and undos, and each host's steps and endings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provmode.fleet.journal import JournalState, read
from provmode.fleet.journal_events import StepRecord
from provmode.signing.keys import Given, Keys

_BEGINS = {"run-begun": "apply", "run-resumed": "apply --resume", "undo-begun": "undo"}
_OF_THE_CHAIN = frozenset({"time", "event", "prev", "hash", "signature", "plan", "signed", "nonce"})
"""Fields of a first line that say nothing about how the run was to be made."""


@dataclass
class RunOf:
    """One run that wrote to the journal."""

    command: str
    began: str
    settings: Mapping[str, Any]
    """What else its first line says, such as limits."""
    ended: str = ""
    """When it finished; empty if it did not."""


@dataclass(frozen=True)
class EndingOf:
    """How one run ended on a host."""

    time: str
    outcome: str
    detail: str


@dataclass
class StepTimes:
    """When a step was announced last, ended, and was undone; empty if it did not."""

    begun: str = ""
    ended: str = ""
    undone: str = ""


@dataclass
class History:
    """Everything that a journal says, and when."""

    journal: Path
    checked: bool
    """Whether it was compared with a key, or needs none."""
    state: JournalState = field(default_factory=JournalState)
    runs: list[RunOf] = field(default_factory=list)
    endings: dict[str, list[EndingOf]] = field(default_factory=dict)
    times: dict[tuple[str, int], StepTimes] = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)
    """Names of the hosts in the order in which they first occur."""

    def add(self, line: Mapping[str, Any]) -> None:
        """Add one line of the journal."""
        event, time = line.get("event"), str(line.get("time", ""))
        if event in _BEGINS:
            settings = {name: value for name, value in line.items() if name not in _OF_THE_CHAIN}
            self.runs.append(RunOf(_BEGINS[event], time, settings))
        elif event in ("run-ended", "undo-ended") and self.runs:
            self.runs[-1].ended = time
        if "host" not in line:
            return
        host = str(line["host"])
        self.hosts[host] = None
        if event == "host-ended":
            self.endings.setdefault(host, []).append(EndingOf(time, str(line["outcome"]), str(line["detail"])))
        elif event in ("step-begun", "step-ended", "step-undone"):
            times = self.times.setdefault((host, line["number"]), StepTimes())
            setattr(times, event.removeprefix("step-"), time)

    def steps(self) -> Iterator[tuple[str, StepRecord, StepTimes]]:
        """Yield every step with its host and times, host by host."""
        for host in self.hosts:
            record = self.state.hosts.get(host)
            for step in record.steps if record is not None else ():
                yield host, step, self.times[host, step.number]


def history_of(journal: Path, key: Given) -> History:
    """Read a journal to show it. Without a *key*, a signed one is read unchecked.

    Raises:
        JournalDamaged: a line was changed, is missing, was not written by provmode or was signed with another key.
        UsageError: the journal cannot be read.
    """
    found = History(journal, checked=True)
    found.state = read(journal, key, unchecked=True, each=found.add)
    found.checked = Keys.of(key) is not None or not found.state.signed
    return found
