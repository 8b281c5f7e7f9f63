"""The ten verdicts, what each means for a run, and the answer about one host."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from provmode.reading import plain
from provmode.text import SENTENCE, shortened


class Verdict(str, Enum):
    """The verdict on a host: every host has one."""

    HEALTHY = "healthy"
    IN_PROGRESS = "in-progress"
    SELF_HEALING = "self-healing"
    STUCK = "stuck"
    OVERDUE = "overdue"
    HALF_EXITED = "half-exited"
    ARMED = "armed"
    CLIENT_BROKEN = "client-broken"
    NO_CLIENT = "no-client"
    UNASSESSED = "unassessed"

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


class Outcome(str, Enum):
    """What a verdict means for a run."""

    COMPLIANT = "compliant"
    """Nothing to do: the client is healthy, or the PC has no client."""
    LEFT_ALONE = "left-alone"
    """In the mode, rightly or for now; nothing to do yet."""
    PENDING = "pending"
    """A remediation would change the PC."""
    FAILED = "failed"
    """Broken in a way that provmode cannot repair."""
    UNASSESSED = "unassessed"


SEVERITY = (
    *(Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED, Verdict.ARMED, Verdict.CLIENT_BROKEN),
    *(Verdict.UNASSESSED, Verdict.SELF_HEALING, Verdict.IN_PROGRESS, Verdict.NO_CLIENT, Verdict.HEALTHY),
)
"""Worst first."""

_OUTCOMES = {
    **dict.fromkeys((Verdict.HEALTHY, Verdict.NO_CLIENT), Outcome.COMPLIANT),
    **dict.fromkeys((Verdict.IN_PROGRESS, Verdict.SELF_HEALING), Outcome.LEFT_ALONE),
    **dict.fromkeys((Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED, Verdict.ARMED), Outcome.PENDING),
    Verdict.CLIENT_BROKEN: Outcome.FAILED,
    Verdict.UNASSESSED: Outcome.UNASSESSED,
}


def outcome(verdict: Verdict) -> Outcome:
    """Return what *verdict* means for a run and its exit code; see also `Assessment.outcome`."""
    return _OUTCOMES[verdict]


@dataclass(frozen=True)
class Finding:
    """Something an admin should know that does not change the verdict."""

    code: str
    """One word to filter by."""
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", shortened(self.text, SENTENCE))

    def to_json(self) -> dict[str, str]:
        """Return both by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Assessment:
    """The answer about one host."""

    verdict: Verdict
    reason: str
    """A sentence: what was read, since when, what will happen or what to do."""
    rule: str
    """The name of the rule that decided."""
    findings: tuple[Finding, ...] = ()
    age: timedelta | None = None
    """Time in the mode, by the PC's clock."""
    leaves_at: datetime | None = None
    """The latest moment at which the client leaves by itself, UTC by the PC's clock."""
    cause: str | None = None
    """For `unassessed`: one of the eleven causes."""
    next_step: str = ""
    """For `unassessed`: the next thing to do."""
    to_mend: bool = False
    """For `unassessed`: whether it is the operator's to mend, whatever the cause says."""
    passes: bool = False
    """For `unassessed`: whether it passes by itself, whatever the cause says."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", shortened(self.reason, SENTENCE))

    @property
    def outcome(self) -> Outcome:
        """What it means for a run and its exit code.

        Some causes are the operator's to mend, and trying again does not help: nobody looked at that PC, and nobody
        will. That is a failure. So is a PC that is at work for longer than anything lasts: waiting does not help.
        """
        endless = any(finding.code == AT_WORK_TOO_LONG for finding in self.findings)
        failed = endless or self.to_mend or self.cause in TO_MEND
        return Outcome.FAILED if failed else outcome(self.verdict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name; ages in seconds, times ISO 8601."""
        document: dict[str, Any] = {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "rule": self.rule,
            "findings": [finding.to_json() for finding in self.findings],
        }
        if self.age is not None:
            document["age_seconds"] = round(self.age.total_seconds())
        if self.leaves_at is not None:
            document["leaves_at"] = plain(self.leaves_at)
        if self.cause is not None:
            document["cause"] = self.cause
            document["next_step"] = self.next_step
        return document


# -- hosts that could not be assessed ---------------------------------------------------------------------------

AT_WORK_TOO_LONG = "at-work-too-long"
"""The finding on a PC whose reason to wait has no end; it counts as failed."""
OTHER_COMPUTER = "other-computer"
"""The cause if the PC that answers is not the PC that was meant."""
TO_MEND = frozenset({"auth", "tls", "access-denied", OTHER_COMPUTER, "shells-forbidden"})
"""Causes that the operator has to mend: account, certificate, rights, name, policy. They count as failed, also for
`apply`."""
NEXT_STEP: dict[str, str] = {
    "name-resolution": "check the name in the inventory and in DNS",
    "connect-timeout": "the PC is off, away or behind a firewall: try again when it is on",
    "refused": "run `winrm quickconfig` on the PC, and check the port",
    "tls": "set winrm_ca to the CA that issued the certificate, and use a name it carries",
    "auth": "check user and password; not tried again, accounts lock",
    "access-denied": "give the account the rights that docs/reference.md lists, or use another",
    "quota": "wait for other sessions to end, or raise WinRM's quotas on the PC",
    "protocol": "look at the PC's WinRM and WMI event logs, and what answers on that port",
    "deadline": "the PC is overloaded or asleep: try again later, or raise the deadlines",
    "shells-forbidden": "allow it in the group policy 'Allow Remote Shell Access', or set check_tcf False in "
    "provmode_policy: then the verdict needs no shell",
    "other-computer": "check the name in DNS; if the PC that answers is meant, set winrm_computer to its name",
}
"""The eleven causes (contract) and what to do about each."""
CORRECT_THE_VALUE = "look at the value that the reason names, and correct it on the PC"
"""What to do if the PC answered, and a value is not what it should be. The cause is ``protocol`` then."""
_WRONG_VALUE = frozenset({"malformed", "type-mismatch", "too-large"})
"""Causes of an `Unknown` that was read and is not what it should be."""


def cause_of(word: str) -> str:
    """Return the contract's cause for the cause of an `Unknown`; any cause that is not known is ``protocol``."""
    if word in NEXT_STEP:
        return word
    return "deadline" if word == "timed-out" else "protocol"


def step_for(word: str) -> str:
    """Return what to do about a reading that is unknown; *word* is the cause of the `Unknown`."""
    return CORRECT_THE_VALUE if word in _WRONG_VALUE else NEXT_STEP[cause_of(word)]


def passes(word: str) -> bool:
    """Return whether the cause of an `Unknown` passes by itself although the contract's cause does not say so."""
    return word == "unavailable"  # the PC is busy, starting or stopping


def unassessed(cause: str, detail: str, next_step: str = "") -> Assessment:
    """Return the assessment of a host that could not be assessed; *cause* is one of the eleven."""
    cause = cause_of(cause)
    return Assessment(Verdict.UNASSESSED, detail, "unreached", cause=cause, next_step=next_step or NEXT_STEP[cause])
