"""A journal as runs of the history: each run, resume and undo that wrote to it is one, with how every host ended.

What a journal says is what happened, also of a run that was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from provmode import __version__
from provmode.fleet.journal import JournalDamaged, read
from provmode.fleet.results import HostOutcome
from provmode.history.run import STEPS, Change, NewRun
from provmode.remediation.steps import CLIENT, About, step_from_json
from provmode.signing.keys import Given, Keys

UNFINISHED = "unfinished"
"""How a host ended whose run was killed while it worked on it."""
_BEGINS = {"run-begun": "apply", "run-resumed": "apply", "undo-begun": "undo"}


@dataclass
class _Host:
    """What one run did on one host."""

    at: str
    steps: list[str] = field(default_factory=list)
    changed: bool = False
    open: bool = False
    outcome: str = ""
    detail: str = ""


@dataclass
class _Segment:
    """The lines of one run."""

    kind: str
    plan: str
    name: str
    began: str
    ended: str
    change: str = ""
    hosts: dict[str, _Host] = field(default_factory=dict)
    stopped: dict[str, Any] | None = None
    """The guard that ended it, and why."""


class _Reading:
    """Reads the lines of a journal, in order."""

    def __init__(self) -> None:
        self.segments: list[_Segment] = []
        self.abouts: set[About] = set()
        """What the steps are for."""
        self._words: dict[tuple[str, int], str] = {}

    def add(self, line: Mapping[str, Any]) -> None:
        """Add one line."""
        event, time = line.get("event"), str(line.get("time", ""))
        if event in _BEGINS:
            plan = str(line["plan"])
            name = f"{plan[:30]}:{line.get('nonce') or str(line['hash'])[:32]}"
            self.segments.append(_Segment(_BEGINS[str(event)], plan, name, time, time, line.get("change", "")))
        if not self.segments:
            return
        segment = self.segments[-1]
        segment.ended = time
        if event == "guard-tripped":
            segment.stopped = {name: line.get(name) for name in ("guard", "why", "deferred")}
        if "host" not in line:
            return
        host = segment.hosts.setdefault(str(line["host"]), _Host(time))
        host.at = time
        self._add_to(host, str(line["host"]), str(event), line)

    def _add_to(self, host: _Host, name: str, event: str, line: Mapping[str, Any]) -> None:
        if event == "step-begun":
            step = step_from_json(line["step"])
            self.abouts.add(step.about)
            self._words[name, line["number"]] = "; ".join(str(item) for item in step.properties)
            host.open = True
        elif event == "step-undo-begun":
            host.open = True
        elif event in ("step-ended", "step-undone"):
            host.open = False
            if line["ending"] == "changed":
                host.changed = True
                words = self._words.get((name, line["number"]), "")
                host.steps.append(words if event == "step-ended" else f"undone: {words}")
        elif event == "host-ended":
            host.outcome, host.detail = str(line["outcome"]), str(line["detail"])
        elif event == "host-relapsed":
            host.outcome, host.detail = str(HostOutcome.FAILED), str(line["detail"])


def runs_of(
    journal: Path,
    key: Given,
    *,
    inventory: str = "",
    by: str = "",
    kind: str | None = None,
    exit_code: int | None = None,
) -> list[NewRun]:
    """Return the runs that wrote to a journal, the earliest first. Without a *key* a signed one is read unchecked.

    *kind* and *exit_code* are those of the last one.

    Raises:
        JournalDamaged: a line was changed, is missing, was not written by provmode or was signed with another key.
        UsageError: the journal cannot be read.
    """
    reading = _Reading()
    state = read(journal, key, unchecked=True, each=reading.add)
    checked = Keys.of(key) is not None or not state.signed
    last = len(reading.segments) - 1
    return [
        NewRun(
            name=segment.name,
            kind=kind if kind is not None and number == last else segment.kind,
            began=_time(segment.began),
            ended=_time(segment.ended),
            inventory=inventory,
            complete=False,
            exit_code=exit_code if number == last else None,
            by=by,
            version=__version__,
            changes=tuple(_change(segment.kind, name, host) for name, host in segment.hosts.items()),
            plan=segment.plan[:64],
            about={
                **{"journal": str(journal), "signed": state.signed, "checked": checked, "keys": state.signed_by},
                **({"stopped": segment.stopped} if segment.stopped is not None else {}),
                **({"change": segment.change} if segment.change else {}),
                **({STEPS: sorted(reading.abouts)} if reading.abouts and CLIENT not in reading.abouts else {}),
            },
        )
        for number, segment in enumerate(reading.segments)
    ]


def _change(kind: str, name: str, host: _Host) -> Change:
    might_have = host.changed or (host.open and not host.outcome)
    outcome = host.outcome or _outcome_of(kind, host)
    return Change(name, _time(host.at), outcome[:16], might_have, host.detail, steps=tuple(host.steps))


def _outcome_of(kind: str, host: _Host) -> str:
    """Return how a host ended that the journal has no ending of: an undo writes none."""
    if kind == "undo" and not host.open:
        return str(HostOutcome.RESTORED if host.changed else HostOutcome.NOTHING)
    return UNFINISHED if host.steps or host.open else str(HostOutcome.NOT_STARTED)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise JournalDamaged(f"a line of the journal has no time that can be read: {text:.40}") from None
