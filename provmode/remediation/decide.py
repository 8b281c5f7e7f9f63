"""Which steps bring a client into compliance, in which order, and which clients are left alone and why. Pure.

The order is fixed: what would bring the mode back first (`MobileClient.TCF`), then what keeps the client from running
(the start mode of CcmExec, the service), then the exit by the client's own method with the wait for the client, then a
request for machine policy. Nothing that starts installs (schedules 121 and 108) is ever asked for.

A client that is `in-progress` is never touched. One that is `self-healing` is left alone; a policy that does not wait
makes it `stuck`, which is not. What could not be assessed is not changed.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provmode.ccm import tcf
from provmode.ccm.client import at_work, client_state
from provmode.ccm.impact import Impact, impact
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.rules import live, live_signals
from provmode.ccm.verdict import Assessment, Outcome, Verdict, outcome
from provmode.errors import HostError
from provmode.reading import NOT_READ, Unknown, known, plain
from provmode.remediation.execute import StaleStep
from provmode.remediation.steps import DisarmTcf, RequestPolicy, SetMode, SetServiceState, SetStartMode, Step
from provmode.windows.conversation import Conversation
from provmode.windows.files import read_file, sha256

LEFT_ALONE: dict[Verdict, str] = {
    Verdict.HEALTHY: "compliant: nothing to change",
    Verdict.NO_CLIENT: "compliant: there is no client to change",
    Verdict.IN_PROGRESS: "at work: never touched",
    Verdict.SELF_HEALING: "will leave the mode by itself, and the policy says to wait",
    Verdict.CLIENT_BROKEN: "the client is broken: repair or reinstall it, nothing here mends that",
    Verdict.UNASSESSED: "could not be assessed: nothing is changed on what is not known",
}


@dataclass(frozen=True)
class Remedy:
    """What is to be done about one client."""

    state: ClientReadings
    assessment: Assessment
    steps: tuple[Step, ...]
    """In order; empty where it is left alone."""
    left_alone: str = ""
    """Why nothing is done."""
    impact: Impact | None = None
    """What leaving the mode sets off; ``None`` where it is not left."""

    @property
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        return fingerprint(self.state)


def survey_remedy(now: Any, policy: Policy) -> Conversation[Remedy]:
    """Ask a client what the verdict needs, and where something is to be done what that needs and sets off.

    *now* is the controller's clock, as for `client_state`.
    """
    state: ClientReadings = yield from client_state(now, policy.legitimate_processes)
    assessment = judge(state, policy, now())
    files: dict[str, bytes] = {}
    try:
        if outcome(assessment.verdict) is Outcome.PENDING and policy.check_tcf:
            for file in state.armed_files:
                data = yield from read_file(file.path)
                if data is not None:
                    files[file.path] = data
        remedy = decide(state, assessment, files)
        if any(isinstance(step, SetMode) for step in remedy.steps):
            consequences = yield from impact(known(state.clock, None))
            remedy = Remedy(state, assessment, remedy.steps, impact=consequences)
    except HostError as error:  # the verdict stands all the same: the host stays pending
        return Remedy(state, assessment, (), f"what a change rests on could not be read: {error.what}")
    return remedy


def still_idle(now: Callable[[], datetime], policy: Policy) -> Conversation[None]:
    """Look once more whether something legitimate runs, as the last thing before the mode is left.

    Raises:
        StaleStep: something does.
        HostError: that could not be told.
    """
    state: ClientReadings = yield from at_work(ClientReadings(now()), policy.legitimate_processes)
    signals, unread = live(state, policy)
    if signals:
        raise StaleStep(f"{'; '.join(signals)}: at work now, and not touched", next_step="plan anew")
    if unread is not None:
        raise HostError(
            f"could not tell whether a task sequence or an upgrade runs: {unread.detail or unread.cause}",
            next_step="apply the plan again",
        )


def decide(state: ClientReadings, assessment: Assessment, files: Mapping[str, bytes]) -> Remedy:
    """Return the remedy for *state* as *assessment* has it; *files* are the bytes of the armed `MobileClient.TCF`."""
    if outcome(assessment.verdict) is not Outcome.PENDING:
        return Remedy(state, assessment, (), LEFT_ALONE[assessment.verdict])
    steps: list[Step] = [disarm(path, data) for path, data in files.items() if tcf.read(data).armed]
    if assessment.verdict is Verdict.ARMED:
        return Remedy(state, assessment, tuple(steps), "" if steps else "no armed file was there any more")
    service = known(state.service, None)
    if service is not None and service.disabled:
        steps.append(SetStartMode(service.name, service.start_mode, "Auto"))
    if service is not None and service.state.lower() == "stopped":
        steps.append(SetServiceState(service.name, service.state, "Running"))
    steps.append(SetMode(False, "true" if state.in_mode else "half-exited"))
    steps.append(RequestPolicy())
    return Remedy(state, assessment, tuple(steps))


def disarm(path: str, data: bytes) -> DisarmTcf:
    """Return the step that takes the entry out of the file *data* at *path*."""
    edited = tcf.disarm(data)
    read = tcf.read(data)
    return DisarmTcf(path, sha256(data), sha256(edited), read.encoding, text_diff(path, data, edited))


LONGEST_DIFF = 2000
"""Lines of two files together that are compared line by line: beyond, one PC's file would hold up all the others."""


def text_diff(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    """Return a unified diff of two files as text, without line endings; empty where nothing differs in it.

    Files of more than `LONGEST_DIFF` lines are told apart by their hashes alone.
    """
    lines = (tcf.text_of(before).splitlines(), tcf.text_of(after).splitlines())
    if sum(map(len, lines)) > LONGEST_DIFF and before != after:
        told = [f"{len(each)} lines, SHA-256 {sha256(data)}" for each, data in zip(lines, (before, after), strict=True)]
        return (f"--- {path}", f"+++ {path}", f"-({told[0]})", f"+({told[1]})")
    return tuple(line.rstrip("\n") for line in difflib.unified_diff(*lines, path, path, lineterm=""))


def fingerprint(state: ClientReadings) -> str:
    """Return a short hash over what a remedy rests on: what was seen, without what passes by itself (clock, times).

    Two readings of a client on which nothing happened have the same.
    """
    agent = known(state.task_sequence_agent, None)
    seen = {
        "computer": plain(state.computer),
        "client_version": plain(state.client_version),
        "provisioning_mode": plain(state.provisioning_mode),
        "system_task_excludes": plain(state.system_task_excludes),
        "service": plain(state.service),
        "tcf": plain(state.tcf),
        "enabled_time": plain(state.enabled_time),
        "max_minutes": plain(state.max_minutes),
        "setup": plain(state.setup),
        "agent": agent.state if agent is not None else None,
        "live": sorted(live_signals(state)),
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:32]


def still_compliant(assessment: Assessment) -> bool:
    """Whether nothing is left to do."""
    return outcome(assessment.verdict) is Outcome.COMPLIANT


_SEEN = (
    *("computer", "client_version", "provisioning_mode", "system_task_excludes", "service", "tcf", "enabled_time"),
    *("max_minutes", "setup"),
)
"""What a fingerprint is over, as far as it is one reading each."""


def not_read_again(before: Mapping[str, Any], now: ClientReadings) -> Unknown | None:
    """Return the first reading of *now* that could not be told, and that *before* (JSON of a state) has otherwise."""
    readings = ((name, getattr(now, name)) for name in _SEEN)
    return next(
        (
            item
            for name, item in readings
            if isinstance(item, Unknown) and item != NOT_READ and before.get(name) != item.to_json()
        ),
        None,
    )


def moved(before: Mapping[str, Any], now: ClientReadings, policy: Policy, at: datetime) -> str:
    """Return in words what differs between the facts *before* (JSON of a state) and *now*."""
    after = now.to_json()
    changed = [name.replace("_", " ") for name in _SEEN if before.get(name) != after.get(name)]
    verdict = judge(now, policy, at).verdict
    return f"{', '.join(changed) or 'what runs there'} changed since the plan; it is {verdict.value} now"
