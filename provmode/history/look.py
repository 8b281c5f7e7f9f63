"""What is kept of one look at one PC, and what of it is compared with the next look. Pure.

Two looks found the same if verdict, rule, codes of findings and facts are the same, without what changes with every
look: the time, the PC's clock, what runs at the moment, and how a question failed in detail. The words for a person
(reason, next step) have ages and ports in them; those of the first look are kept, and they are not compared.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode.ccm.verdict import AT_WORK_TOO_LONG, Outcome, Verdict, outcome
from provmode.reading import NOT_READ

TIME_OF_THE_LOOK = "observed_at"
CHANGES_WITH_EVERY_LOOK = ("clock", "processes", "process_starts")
"""Facts that are not compared and not kept."""
CHANGES_WITHIN = {"health_evaluation": "last_report"}
"""Parts of facts for which the same holds."""
_LEFT_OUT = frozenset({TIME_OF_THE_LOOK, *CHANGES_WITH_EVERY_LOOK})
_NOT_LISTED = _LEFT_OUT | {"computer"}
_NOT_READ = NOT_READ.to_json()
_BAD = frozenset(verdict.value for verdict in Verdict if outcome(verdict) in (Outcome.PENDING, Outcome.FAILED))


def needs_something(verdict: str, codes: tuple[str, ...] = ()) -> bool:
    """Return whether somebody has to do something about a PC with this verdict and these codes of findings."""
    return verdict in _BAD or AT_WORK_TOO_LONG in codes


@dataclass(frozen=True)
class State:
    """What is compared: a PC stays in it until a look finds another."""

    verdict: str
    rule: str
    cause: str | None
    """For `unassessed`: why."""
    codes: tuple[str, ...]
    """Codes of the findings, sorted."""
    facts: Mapping[str, Any]
    """As in the report, without what is not compared."""

    @property
    def assessed(self) -> bool:
        """Whether the PC was assessed."""
        return self.verdict != Verdict.UNASSESSED.value

    @property
    def bad(self) -> bool:
        """Whether somebody has to do something about the PC; an unassessed one is not known to be bad."""
        return needs_something(self.verdict, self.codes)

    def body(self) -> bytes:
        """Return codes and facts as they are stored."""
        return _packed([list(self.codes), self.facts])


@dataclass(frozen=True)
class Words:
    """What a report says to a person about a PC."""

    reason: str
    next_step: str = ""
    findings: tuple[tuple[str, str], ...] = ()
    """Code and text of each."""

    def body(self) -> bytes:
        """Return the words as they are stored."""
        return _packed([self.reason, self.next_step, [list(each) for each in self.findings]])

    @property
    def key(self) -> bytes:
        """The digest by which the same words are stored once."""
        return _digest([self.reason, self.next_step, self.findings])

    @classmethod
    def read(cls, stored: bytes) -> Words:
        """Return words that were stored."""
        reason, next_step, findings = _unpacked(stored)
        return cls(reason, next_step, tuple((code, text) for code, text in findings))


class Looks:
    """Turns the rows of a report into states. Most PCs of a fleet are in one of a few, so each is digested once.

    The computer's own name is left out of the facts if the host is named like it; `facts_of` puts it back.
    """

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes] = {}
        self._states: dict[bytes, State] = {}
        self._away: set[bytes] = set()

    def key(self, row: Mapping[str, Any]) -> bytes:
        """Return the digest of the state in a row of a report (`docs/audit.schema.json`)."""
        facts = row["facts"]
        asked = [(name, fact) for name, fact in facts.items() if name not in _NOT_LISTED and fact != _NOT_READ]
        if facts:
            computer = facts.get("computer", _NOT_READ)
            if computer.get("known") != row["host"].partition(".")[0].upper():  # `_computer`, without a call
                asked.append(("computer", computer))
        findings = row["findings"]
        codes = tuple(sorted({each["code"] for each in findings})) if findings else ()
        look = (row["verdict"], row["rule"], row.get("cause"), codes, asked)
        quick = marshal.dumps(look, 2)  # much faster than JSON, but other versions of Python may write it otherwise
        key = self._keys.get(quick)
        if key is None:
            key = self._keys[quick] = self._key_of(*look)
        return key

    def _key_of(
        self, verdict: str, rule: str, cause: str | None, codes: tuple[str, ...], asked: Sequence[tuple[str, Any]]
    ) -> bytes:
        if verdict == Verdict.UNASSESSED.value:
            state = State(verdict, rule, cause, (), {})
        else:
            state = State(verdict, rule, None, codes, compared(dict(asked)))
        key = _digest([state.verdict, state.rule, state.cause, state.codes, state.facts])
        self._states.setdefault(key, state)
        if not state.assessed:
            self._away.add(key)
        return key

    def assessed(self, key: bytes) -> bool:
        """Return whether a look with this digest assessed the PC."""
        return key not in self._away

    def state(self, key: bytes) -> State:
        """Return the state of a digest that `key` returned."""
        return self._states[key]


def compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a PC's facts is compared.

    A fact that nobody asked for is left out, but for the computer's name: without it, the host's name is put there.
    """
    kept: dict[str, Any] = {}
    for name, fact in facts.items():
        if name in _LEFT_OUT:
            continue
        if "unknown" in fact:
            cause = fact["unknown"]["cause"]
            if cause == NOT_READ.cause and name != "computer":
                continue
            fact = {"unknown": {"cause": cause, "detail": ""}}
        elif name in CHANGES_WITHIN and isinstance(fact.get("known"), Mapping):
            fact = {"known": {key: value for key, value in fact["known"].items() if key != CHANGES_WITHIN[name]}}
        kept[name] = fact
    return kept


def facts_of(stored: bytes, host: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return codes of findings and facts as `State.body` stored them, for a *host*."""
    codes, facts = _unpacked(stored)
    return tuple(codes), ({"computer": {"known": _computer(host)}, **facts} if facts else {})


def _computer(host: str) -> str:
    return host.partition(".")[0].upper()


_TYPICAL = json.dumps(
    [
        ["clock-skew", "notify-only", "service-disabled"],
        {
            "setup": {"known": {"command_line": "", "oobe_in_progress": False, "setup_phase": 0, "setup_type": 0}},
            "max_minutes": {"absent": True},
            "task_sequence_agent": {"known": {"name": "smstsmgr", "start_mode": "Manual", "state": "Stopped"}},
            "health_evaluation": {"known": {"notify_only": {"known": True}, "task": "Ready"}},
            "agent_dependencies": {"known": ["Winmgmt"]},
            "task_sequences": {"known": []},
            "tcf": {
                "known": [
                    {
                        "armed": False,
                        "encoding": "as shown by type",
                        "entries": [],
                        "path": "%windir%\\ccmsetup\\MobileClient.TCF",
                    }
                ]
            },
            "service": {"known": {"name": "CcmExec", "start_mode": "Auto", "state": "Running"}},
            "system_task_excludes": {
                "known": [
                    *("SchedulerStartup", "SchedulerShutdown", "SchedulerLogon", "SchedulerLogoff"),
                    "ClientRegistrationStartup",
                ]
            },
            "provisioning_mode": {"known": True},
            "enabled_time": {"known": "2026-11-24T20:37:17+00:00"},
            "client_version": {"known": "5.00.9128.1007"},
        },
        "in provisioning mode since 2026-11-24 20:37 UTC (1 day 9 h), nothing runs; it should have left by 2026-11-22 "
        "13:37 UTC: take it out",
    ],
    sort_keys=True,
    separators=(",", ":"),
).encode()
"""What nearly every state has, for the compression: it halves the file. It is part of the format and never changes."""


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(_canonical(value), digest_size=16).digest()


def _packed(value: Any) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_TYPICAL)
    return squeeze.compress(_canonical(value)) + squeeze.flush()


def _unpacked(stored: bytes) -> Any:
    return json.loads(zlib.decompressobj(-15, zdict=_TYPICAL).decompress(stored))
