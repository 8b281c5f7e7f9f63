"""The verdict, from the readings and the policy, by the table of rules.

`judge` is pure and total: every combination of readings has exactly one verdict, that of the first rule that applies.
Three promises hold over the whole table, and are tested as properties:

1. A client with unknown readings is never called healthy.
2. A client is never called stuck, overdue or half-exited while something that may be a task sequence or an upgrade
   runs on the PC, nor while we cannot tell whether one runs.
3. Ages are counted by the PC's own clock, never by the controller's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.rules import RULES, Case, duration, live, needed_unread, why
from provmode.ccm.verdict import Assessment, Finding, Verdict, cause_of, passes, step_for
from provmode.ccm.waiting import too_long
from provmode.reading import Known, Unknown, known
from provmode.windows.model import told


def judge(state: ClientReadings, policy: Policy, now: datetime) -> Assessment:
    """Return the verdict on *state* under *policy*; *now* is the controller's time, UTC, for the clock finding only."""
    state = replace(state, service=told(state.service))
    case = Case(state, policy, *live(state, policy))
    rule = next(rule for rule in RULES if rule.applies(case))
    cause, next_step, passing = None, "", False
    if rule.verdict is Verdict.UNASSESSED:
        unread = case.unread if rule.name == "live-unread" else needed_unread(case)
        word = unread.cause if unread is not None else "malformed"  # a version that was read and is none
        cause, next_step, passing = cause_of(word), step_for(word), passes(word)
    return Assessment(
        rule.verdict,
        rule.reason(case),
        rule.name,
        _findings(case, rule.verdict, now),
        age=state.age if state.in_mode else None,
        leaves_at=case.leaves_at if rule.verdict is Verdict.SELF_HEALING else None,
        cause=cause,
        next_step=next_step,
        passes=passing,
    )


def _findings(case: Case, verdict: Verdict, now: datetime) -> tuple[Finding, ...]:
    state, policy = case.state, case.policy
    found = []
    waited = too_long(case) if verdict is Verdict.IN_PROGRESS and case.signals else ""
    if waited:
        found.append(Finding("at-work-too-long", f"{waited}: look at the PC; provmode does not touch it"))
    skew = state.clock.value.now - now if isinstance(state.clock, Known) else None
    if skew is not None and abs(skew) > timedelta(minutes=policy.maximum_skew_minutes):
        ahead = "ahead" if skew > timedelta(0) else "behind"
        found.append(Finding("clock-skew", f"the PC's clock is {duration(abs(skew))} {ahead}"))
    orphans = known(state.task_sequences, ())
    if orphans and not case.signals and case.unread is None:
        names = ", ".join(item.package_name or item.content_id or "a task sequence" for item in orphans)
        found.append(Finding("orphaned-task-sequence", f"left behind and not running: {names}"))
    health = known(state.health_evaluation, None)
    if health is not None and health.notify_only == Known(True):
        found.append(Finding("notify-only", "the client's own repair (CcmEval) only notifies: it will not mend this"))
    service = known(state.service, None)
    if state.needs_more and case.service_disabled:
        found.append(Finding("service-disabled", "CcmExec is disabled"))
    elif state.in_mode and service is not None and service.state.lower() == "stopped":
        found.append(Finding("service-stopped", "CcmExec is stopped: no time limit fires before it runs again"))
    if state.needs_more and state.armed_files:
        paths = ", ".join(file.path for file in state.armed_files)
        found.append(Finding("tcf-armed", f"{paths} can bring the mode back: disarm it first"))
    if "ccmexec" in (name.lower() for name in known(state.agent_dependencies, ())):
        found.append(
            Finding(
                "agent-depends-on-client",
                "the task sequence agent (smstsmgr) depends on CcmExec: leaving the mode can fail with 0x80004005; "
                "operations.service.dependencies mends it",
            )
        )
    minutes = known(state.max_minutes, 0)
    if 0 < minutes < 60:
        found.append(
            Finding("short-max-minutes", f"ProvisioningMaxMinutes is {minutes}: it is checked every 60 minutes")
        )
    if state.needs_more and isinstance(state.tcf, Unknown) and state.tcf.cause == "shells-forbidden":
        text = "the PC's policy forbids remote shells: nothing can be changed there, and MobileClient.TCF was not read"
        found.append(Finding("shells-forbidden", text))
    elif state.needs_more and policy.check_tcf and isinstance(state.tcf, Unknown):
        found.append(Finding("tcf-unread", f"MobileClient.TCF could not be read: {why(state.tcf)}"))
    return tuple(found)
