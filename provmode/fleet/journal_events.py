"""The events of a journal, as one table, and the state they add up to.

To add an event, write how it changes the state and give it a row in `EVENTS`. ``docs/journal.schema.json`` repeats the
table (a test compares them). An unknown event, of a later version, is skipped.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provmode.fields import ANY_TEXT, BOOLEAN, DIGEST, NUMBER, OBJECT, TEXT, Field, object_schema, one_of
from provmode.fleet.change_number import CHANGE
from provmode.fleet.waves import LIMITS, Limits
from provmode.remediation.steps import KINDS, Step, step_from_json


@dataclass
class StepRecord:
    """One step of one host, as the journal records it."""

    number: int
    step: Step
    previous: bytes | None
    """Bytes of the file before the change, if the step changes one."""
    ending: str | None = None
    """``changed``, ``already`` or ``stale`` (nothing was changed); ``None``: announced, and not known to have ended."""
    undone: bool = False
    undoing: bool = False
    """Whether its undo was announced: it might have been undone."""


@dataclass
class HostRecord:
    """What a journal says about one host."""

    steps: list[StepRecord] = field(default_factory=list)
    outcome: str | None = None
    """How the host ended; ``None`` if it did not."""
    leases: list[str] = field(default_factory=list)
    """Tokens of the lease that were announced since it was last released, the last one last."""

    @property
    def lease(self) -> str | None:
        """Token of the lease that was announced last and is not known to have been released."""
        return self.leases[-1] if self.leases else None

    @property
    def done(self) -> frozenset[int]:
        """Numbers of the steps that ended well."""
        return frozenset(record.number for record in self.steps if record.ending in ("changed", "already"))

    @property
    def begun(self) -> frozenset[int]:
        """Numbers of the steps that were announced and are not known to have ended: they might have happened."""
        return frozenset(record.number for record in self.steps if record.ending is None)

    @property
    def changed(self) -> bool:
        """Whether a step changed something, or might have."""
        return any(record.ending in ("changed", None) for record in self.steps)

    @property
    def undone(self) -> bool:
        """Whether a step was undone, or might have been."""
        return any(record.undone or record.undoing for record in self.steps)

    def record(self, number: int) -> StepRecord:
        """Return the record of a step.

        Raises:
            LookupError: the step was not announced.
        """
        for record in self.steps:
            if record.number == number:
                return record
        raise LookupError(f"step {number}, which was not announced")


@dataclass
class JournalState:
    """Everything a journal says."""

    plan_id: str = ""
    lines: int = 0
    torn: bool = False
    """Whether the last line was torn by a crash."""
    closed: bool = False
    """Whether the last run or undo finished."""
    hosts: dict[str, HostRecord] = field(default_factory=dict)
    first_hash: str = ""
    last_hash: str = ""
    """Hash of the last whole line."""
    size: int = 0
    """Bytes of whole lines."""
    signed: bool = False
    """Whether its lines are signed: only somebody with a key can write them."""
    signed_by: list[str] = field(default_factory=list)
    """The fingerprints of the keys that signed it, each once; the empty text is a shared key."""
    undoing: bool = False
    """Whether its last run is an undo."""
    stopped: str = ""
    """Why a guard stopped its last run; empty if none did."""
    deferred: bool = False
    """Whether the hosts that got no turn then have it in the next window; else somebody has to look first."""
    limits: Limits | None = None
    """Those of its last run or resume; ``None`` if the version that wrote it did not keep them."""


Line = Mapping[str, Any]


def _run_begins(state: JournalState, line: Line) -> None:
    state.plan_id, state.closed, state.undoing = line["plan"], False, False
    state.stopped, state.deferred = "", False
    state.limits = Limits.from_json(line["limits"]) if "limits" in line else None


def _undo_begins(state: JournalState, line: Line) -> None:
    state.plan_id, state.closed, state.undoing = line["plan"], False, True


def _ends(state: JournalState, line: Line) -> None:
    state.closed = True


def _host(state: JournalState, line: Line) -> HostRecord:
    return state.hosts.setdefault(line["host"], HostRecord())


def _lease_begun(state: JournalState, line: Line) -> None:
    _host(state, line).leases.append(line["token"])


def _lease_released(state: JournalState, line: Line) -> None:
    _host(state, line).leases.clear()


def _step_begun(state: JournalState, line: Line) -> None:
    host, number = _host(state, line), line["number"]
    previous = b64decode(line["previous"]) if "previous" in line else None
    record = next((record for record in host.steps if record.number == number), None)
    if record is None:
        host.steps.append(StepRecord(number, step_from_json(line["step"]), previous))
    else:
        record.ending, record.previous = None, record.previous if record.previous is not None else previous


def _step_ended(state: JournalState, line: Line) -> None:
    _host(state, line).record(line["number"]).ending = line["ending"]


def _step_undo_begun(state: JournalState, line: Line) -> None:
    _host(state, line).record(line["number"]).undoing = True


def _step_undone(state: JournalState, line: Line) -> None:
    _host(state, line).record(line["number"]).undone = True


def _host_relapsed(state: JournalState, line: Line) -> None:
    _host(state, line).outcome = "failed"


def _guard_tripped(state: JournalState, line: Line) -> None:
    state.stopped, state.deferred = line["why"] or line["guard"], line["deferred"]


def _host_ended(state: JournalState, line: Line) -> None:
    _host(state, line).outcome = line["outcome"]


@dataclass(frozen=True)
class Event:
    """One kind of line."""

    name: str
    meaning: str
    fields: Mapping[str, Field]
    """Its fields, without those that every line has."""
    apply: Callable[[JournalState, Line], None]
    """Changes the state by one line; the line has every field of `fields` that is not optional."""


_PLAN = {"plan": TEXT, "signed": BOOLEAN}
_NUMBERED = {"host": TEXT, "number": NUMBER}
_OPTIONAL_TEXT = replace(ANY_TEXT, optional=True)
_BEGINS = {**_PLAN, "key": replace(DIGEST, optional=True), "nonce": _OPTIONAL_TEXT, "limits": LIMITS, "change": CHANGE}

EVENTS: Mapping[str, Event] = {
    event.name: event
    for event in (
        Event("run-begun", "A run of `apply` begins.", _BEGINS, _run_begins),
        Event("run-resumed", "A run that did not finish is resumed.", _BEGINS, _run_begins),
        Event("run-ended", "The run finished.", {}, _ends),
        Event("undo-begun", "An undo begins.", _BEGINS, _undo_begins),
        Event("undo-ended", "The undo finished.", {}, _ends),
        Event(
            "claim-begun",
            "The lease on a PC is about to be taken, or renewed.",
            {"host": TEXT, "token": TEXT},
            _lease_begun,
        ),
        Event("claim-released", "The lease on a PC was released.", {"host": TEXT}, _lease_released),
        Event(
            "step-begun",
            "A step is about to be carried out; `previous` is the file before it, in base64.",
            {**_NUMBERED, "step": OBJECT, "previous": _OPTIONAL_TEXT},
            _step_begun,
        ),
        Event(
            "step-ended",
            "A step ended; `stale`: it was announced and nothing was changed.",
            {**_NUMBERED, "ending": one_of("changed", "already", "stale")},
            _step_ended,
        ),
        Event("step-undo-begun", "A step is about to be undone.", _NUMBERED, _step_undo_begun),
        Event("step-undone", "A step was undone.", {**_NUMBERED, "ending": one_of("changed", "already")}, _step_undone),
        Event(
            "host-ended",
            "The run finished on a host.",
            {"host": TEXT, "outcome": TEXT, "detail": ANY_TEXT},
            _host_ended,
        ),
        Event(
            "host-relapsed",
            "A host that was changed was looked at again after a soak, and needs a change again or is broken.",
            {"host": TEXT, "verdict": TEXT, "detail": ANY_TEXT},
            _host_relapsed,
        ),
        Event(
            "guard-tripped",
            "A guard stopped the run: no further host is begun.",
            {"guard": TEXT, "why": ANY_TEXT, "deferred": BOOLEAN},
            _guard_tripped,
        ),
    )
}
"""Every event. Never rename one: people keep their journals."""


def apply_line(state: JournalState, line: Line) -> None:
    """Change *state* by one line.

    Raises:
        LookupError, ValueError, TypeError: the line lacks a field, or a field has an impossible value.
    """
    name = line.get("event")
    event = EVENTS.get(name) if isinstance(name, str) else None
    if event is None:
        return  # a later version wrote it; its hash proves that nobody else did
    for field_name, allowed in event.fields.items():
        if field_name in line and not allowed.accepts(line[field_name]):
            raise ValueError(f"a valid {field_name}: {line[field_name]!r:.40}")
    event.apply(state, line)


def line_schema() -> dict[str, Any]:
    """Return the JSON schema of one line, made from the table."""
    chain: dict[str, Any] = {
        "time": {"$ref": "#/$defs/time"},
        "prev": {"$ref": "#/$defs/digest"},
        "hash": {"$ref": "#/$defs/digest"},
        "signature": {"$ref": "#/$defs/signature"},
    }
    rows = []
    for event in EVENTS.values():
        row = object_schema(event.meaning, event.fields)
        row["required"] = ["time", "event", *row["required"], "prev", "hash"]
        row["properties"] = {"event": {"const": event.name}, **row["properties"], **chain}
        if "step" in row["properties"]:
            row["properties"]["step"] = {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"enum": list(KINDS)}},
            }
        rows.append(row)
    return {"oneOf": rows}
