"""Which steps bring a client into compliance, in which order, and which clients are left alone and why. Pure.

The order is fixed: what would bring the mode back first (`MobileClient.TCF`), then what keeps the client from running
(the start mode of CcmExec, the service), then the exit by the client's own method with the wait for the client, then a
request for machine policy. Nothing that starts installs (schedules 121 and 108) is ever requested.

A client that is `in-progress` is never touched, and a client that could not be assessed is not changed. A client that
is `self-healing` is left alone; with a policy that does not wait, its verdict is `stuck` instead.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provmode.ccm import tcf
from provmode.ccm.client import activity, client_state
from provmode.ccm.impact import Impact, impact
from provmode.ccm.judge import judge
from provmode.ccm.machine import Machine
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.rules import live, live_signals
from provmode.ccm.verdict import Assessment, Outcome, Verdict, outcome
from provmode.errors import Cause, HostError
from provmode.reading import NOT_READ, Unknown, known, plain
from provmode.remediation.diff import text_diff
from provmode.remediation.execute import StaleStep
from provmode.remediation.steps import DisarmTcf, RequestPolicy, SetMode, SetServiceState, SetStartMode, Step
from provmode.windows.conversation import Conversation
from provmode.windows.files import read_file, sha256

LEFT_ALONE: dict[Verdict, str] = {
    Verdict.HEALTHY: "compliant: nothing to change",
    Verdict.NO_CLIENT: "compliant: there is no client to change",
    Verdict.IN_PROGRESS: "at work: never touched",
    Verdict.SELF_HEALING: "will leave the mode by itself, and the policy says to wait",
    Verdict.CLIENT_BROKEN: "the client is broken: repair or reinstall it; provmode cannot",
    Verdict.UNASSESSED: "could not be assessed: provmode changes only what it could assess",
}

ALLOW_SHELLS = "allow remote shells in the PC's group policy (Allow Remote Shell Access)"
NO_SHELL = (
    f"its policy forbids remote shells, and every change takes a lease, which needs one: {ALLOW_SHELLS}, and plan anew"
)


@dataclass(frozen=True)
class Remediation:
    """What is to be done about one client."""

    client: ClientReadings
    assessment: Assessment
    steps: tuple[Step, ...]
    """In order; empty if the client is left alone."""
    left_alone: str = ""
    """Why nothing is done; empty if something is."""
    impact: Impact | None = None
    """What leaving the mode sets off; ``None`` if the steps do not leave it."""
    machine: Machine | None = None
    """What is known of the PC beside its client; ``None`` if it was not asked."""
    counts_as: Outcome = Outcome.COMPLIANT
    """What a host without steps counts as, in a plan that is not about the clients."""

    @property
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        return fingerprint(self.client)


def plan_remediation(now: Callable[[], datetime], policy: Policy) -> Conversation[Remediation]:
    """Ask a client what the verdict needs. If something is to be done, ask what that needs and what it sets off.

    *now* is the controller's clock, as for `client_state`.
    """
    client: ClientReadings = yield from client_state(now, policy.legitimate_processes)
    assessment = judge(client, policy, now())
    files: dict[str, bytes] = {}
    try:
        if outcome(assessment.verdict) is Outcome.PENDING and policy.check_tcf:
            for file in client.armed_files:
                data = yield from read_file(file.path, tcf.MAX_BYTES)
                if data is not None:
                    files[file.path] = data
        remediation = decide(client, assessment, files)
        if any(isinstance(step, SetMode) for step in remediation.steps):
            consequences = yield from impact(known(client.clock, None))
            remediation = dataclasses.replace(remediation, impact=consequences)
    except HostError as error:  # the verdict is valid all the same: the host stays pending
        return Remediation(client, assessment, (), f"what the change depends on could not be read: {error.what}")
    return remediation


def check_idle(now: Callable[[], datetime], policy: Policy) -> Conversation[None]:
    """Look once more whether something legitimate runs: the last thing before the mode is left.

    Raises:
        StaleStep: something runs.
        HostError: what runs could not be read.
    """
    state: ClientReadings = yield from activity(ClientReadings(now()), policy.legitimate_processes)
    signals, unread = live(state, policy)
    if signals:
        raise StaleStep(f"{'; '.join(signals)}: at work now, and not touched", next_step="plan anew")
    if unread is not None:
        raise HostError(
            f"could not tell whether a task sequence or an upgrade runs: {unread.detail or unread.cause}",
            next_step="apply the plan again",
        )


def decide(client: ClientReadings, assessment: Assessment, files: Mapping[str, bytes]) -> Remediation:
    """Return what is to be done about *client*; *files* are the bytes of each armed `MobileClient.TCF` by its path."""
    if outcome(assessment.verdict) is not Outcome.PENDING:
        return Remediation(client, assessment, (), LEFT_ALONE[assessment.verdict])
    if isinstance(client.tcf, Unknown) and client.tcf.cause == Cause.SHELLS_FORBIDDEN.value:
        return Remediation(client, assessment, (), NO_SHELL)
    steps: list[Step] = [disarm(path, data) for path, data in files.items() if tcf.read(data).armed]
    if assessment.verdict is Verdict.ARMED:
        return Remediation(client, assessment, tuple(steps), "" if steps else "no file is armed any more")
    service = known(client.service, None)
    if service is not None and service.disabled:
        steps.append(SetStartMode(service.name, service.start_mode, "Auto"))
    if service is not None and service.state.lower() == "stopped":
        steps.append(SetServiceState(service.name, service.state, "Running"))
    steps.append(SetMode(False, "true" if client.in_mode else "half-exited"))
    steps.append(RequestPolicy())
    return Remediation(client, assessment, tuple(steps))


def disarm(path: str, data: bytes) -> DisarmTcf:
    """Return the step that takes the entry out of the file *data* at *path*."""
    edited = tcf.disarm(data)
    read = tcf.read(data)
    return DisarmTcf(path, sha256(data), sha256(edited), read.encoding, text_diff(path, data, edited))


def fingerprint(client: ClientReadings) -> str:
    """Return a short hash of the facts that a remediation depends on, without values that change by themselves (clock,
    times).

    Two looks at a client have the same fingerprint if nothing happened there in between.
    """
    agent = known(client.task_sequence_agent, None)
    facts = {name: plain(getattr(client, name)) for name in _COMPARED}
    facts |= {"agent": agent and agent.state, "live": sorted(live_signals(client))}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


_COMPARED = (
    "computer",
    "client_version",
    "provisioning_mode",
    "system_task_excludes",
    "service",
    "tcf",
    "enabled_time",
    "max_minutes",
    "setup",
)
"""The readings that `fingerprint` covers, as far as each is one field."""


def unread_now(planned: Mapping[str, Any], client: ClientReadings) -> Unknown | None:
    """Return the first reading that is unknown now and differs from the *planned* facts (JSON of a client)."""
    for name in _COMPARED:
        reading = getattr(client, name)
        if isinstance(reading, Unknown) and reading != NOT_READ and planned.get(name) != reading.to_json():
            return reading
    return None


def what_changed(planned: Mapping[str, Any], client: ClientReadings, policy: Policy, at: datetime) -> str:
    """Return in words what differs between the *planned* facts (JSON of a client) and the client now."""
    today = client.to_json()
    changed = [name.replace("_", " ") for name in _COMPARED if planned.get(name) != today.get(name)]
    verdict = judge(client, policy, at).verdict
    return f"{', '.join(changed) or 'what runs there'} changed since the plan; it is {verdict.value} now"
