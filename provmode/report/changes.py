"""A plan, an apply and an undo on a terminal: what would change, what changed, what was left alone and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from provmode.ccm.verdict import OTHER_COMPUTER, Verdict
from provmode.fleet.apply import ApplyResult
from provmode.fleet.apply_host import HostResult
from provmode.fleet.approvals import Approval
from provmode.fleet.lowered import LoweredOn
from provmode.fleet.plan import Planned
from provmode.fleet.plan_file import Plan, PlanRefused
from provmode.fleet.results import APPLY_OUTCOMES, MEANINGS, UNDO_OUTCOMES, HostOutcome
from provmode.fleet.undo import HostUndoResult, UndoResult
from provmode.reading import Known, Reading, Unknown, known
from provmode.remediation.steps import CLIENT, Step
from provmode.report.lines import (
    and_left_out,
    count_of,
    fold,
    is_wide,
    line,
    names_of,
    print_left_out,
    print_missing,
)
from provmode.report.planned import Row, lowered_in, rows_in, rows_of
from provmode.report.terminal import case_of, print_lowered, said
from provmode.signing.keys import ED25519
from provmode.wsman.notation import NotationError, format_operation

_STYLES = {
    HostOutcome.FAILED: "bold red",
    HostOutcome.STALE: "bold yellow",
    HostOutcome.UNREACHED: "bold yellow",
    HostOutcome.NOT_STARTED: "bold cyan",
    HostOutcome.DEFERRED: "bold cyan",
    HostOutcome.ALREADY: "green",
    HostOutcome.CHANGED: "bold green",
}
_WORST_FIRST = tuple(_STYLES)


def print_plan(planned: Planned, console: Console) -> None:
    """Print what would change (identical changes folded), what that sets off, and what is left alone and why."""
    audit = planned.audit
    missing = audit.missing if audit.interrupted else ()
    print_rows(rows_of(planned), audit.lowered, len(audit.selected), console, missing, audit.excluded)


def print_plan_file(
    plan: Plan,
    console: Console,
    *,
    checked: bool,
    now: datetime,
    approved: Callable[[Approval], bool] = lambda _: False,
) -> None:
    """Print a plan that was read: who made and approved it, until when it holds, and what it says of every host.

    *checked* says whether its signature was compared with a key, *approved* whether an approval is one of an approver.

    Raises:
        PlanRefused: it is not a whole plan.
    """
    try:
        rows, lowered = rows_in(plan), lowered_in(plan.document)
    except (LookupError, TypeError, ValueError) as error:
        raise PlanRefused(f"it is not a whole plan: {error}", next_step="plan anew") from None
    line(f"plan {plan.id}", console, 0, "bold")
    line(f"made {plan.created:%Y-%m-%d %H:%M:%S UTC} by {plan.by}", console, 2)
    expired = "expired" if now >= plan.expires else "expires"
    line(f"{expired} {plan.expires:%Y-%m-%d %H:%M:%S UTC}", console, 2)
    limit = plan.document.get("limit") or ()
    exclude = plan.document.get("exclude") or ()
    limited = f", limited to {', '.join(map(str, limit))}" if limit else ""
    without = f", without {', '.join(map(str, exclude))}" if exclude else ""
    line(f"inventory {plan.inventory}{limited}{without}", console, 2)
    if plan.change:
        line(f"change {plan.change}", console, 2)
    if not plan.signed:
        line("not signed: anybody can have written it", console, 2)
    elif checked and plan.author is not None:
        name = f" {plan.author.fingerprint}" if plan.author.algorithm == ED25519 else ""
        line(f"signed with the given key{name}", console, 2)
    else:
        line("signed; not checked, because no key was given: anybody can have changed it", console, 2)
    for approval in plan.approvals:
        proved = "" if approved(approval) else "; not checked, because it is not one of the approvers'"
        line(f"approved {approval.time} by {approval.by}, key {approval.key}{proved}", console, 2)
    console.print()
    missing, excluded = (tuple(map(str, plan.document.get(field) or ())) for field in ("missing", "excluded"))
    print_rows(rows, lowered, len(rows) + len(missing), console, missing, excluded)


def print_rows(
    rows: Sequence[Row],
    lowered: Sequence[LoweredOn],
    total: int,
    console: Console,
    missing: Sequence[str] = (),
    excluded: Sequence[str] = (),
) -> None:
    """Print what a plan says of *total* hosts: *missing* are those that an interrupted run did not look at.

    *excluded* are hosts that are none of them, because the user left them out.
    """
    changing = [row for row in rows if row.steps]
    line(f"changes  {len(changing)} of {total}", console, 0, "bold")
    steps = [(step, row) for row in changing for step in row.steps]
    for _, members in fold(steps, lambda pair: "\n".join((str(pair[0].properties[0]), *_commands(pair[0])))):
        step = members[0][0]
        line(f"{count_of(len(members))}: {step.properties[0]}", console, 2, "bold")
        line(names_of([row.host for _, row in members], console), console, 6)
        for command in _commands(step):
            line(command, console, 6, "dim")
    _diffs(steps, console)
    _why([row for row in changing if any(step.about == CLIENT for step in row.steps)], console)
    _impact(changing, console)
    console.print()
    _left_alone(rows, console)
    _waived(rows, console)
    _which_pc(rows, console)
    if missing:
        print_missing(missing, total, console)
    print_left_out(excluded, console)
    print_lowered(lowered, console)
    counts = f"{count_of(total)}: {len(changing)} to change, {len(rows) - len(changing)} left alone"
    not_seen = f", {len(missing)} not looked at" if missing else ""
    line(f"{counts}{not_seen}{and_left_out(excluded)}", console, 0, "bold")


def _commands(step: Step) -> list[str]:
    """Return how a step is done, as lines that can be pasted into a Windows prompt, or in words."""
    found = []
    for operation in step.operations:
        try:
            found.append(format_operation(operation))
        except NotationError:
            continue  # cannot be pasted into a Windows prompt
    return [*found, step.in_words] if step.in_words else found


def _diffs(steps: Sequence[tuple[Step, Row]], console: Console) -> None:
    files = [(step, row) for step, row in steps if step.text_diff()]
    for diff, members in fold(files, lambda pair: "\n".join((f"({pair[0].diff_encoding()})", *pair[0].text_diff()))):
        encoding, *lines = diff.split("\n")
        line(f"{names_of([row.host for _, row in members], console)}: {encoding}", console, 2, "bold")
        for text in lines:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(text[:1], "")
            line(text, console, 6, style)


def _why(changing: Sequence[Row], console: Console) -> None:
    if changing:
        line("why", console, 0, "bold")
    if is_wide(console):
        for row in changing:
            line(f"{row.host}: {row.assessment.verdict.value}: {row.assessment.reason}", console, 2)
            _findings([row], console)
        return
    for _, members in fold(changing, lambda row: f"{row.assessment.verdict.value}: {_case(row)}"):
        reason = members[0].assessment.reason if len(members) == 1 else _case(members[0])
        line(f"{count_of(len(members))} {members[0].assessment.verdict.value}: {reason}", console, 2)
        line(names_of([row.host for row in members], console), console, 6)
        _findings(members, console)


def _case(row: Row) -> str:
    return case_of(row.assessment.reason, row.host)


def _findings(rows: Sequence[Row], console: Console) -> None:
    """Print the findings of *rows*, without those that `_which_pc` prints, or that say why a host is left alone."""
    found = [
        (item.text, row.host)
        for row in rows
        for item in row.assessment.findings
        if item.code not in _WHICH_PC and not (item.code in _STAYS and item.text in row.left_alone)
    ]
    for text, pairs in fold(found, lambda pair: pair[0]):
        line(f"! {names_of([host for _, host in pairs], console, 3)}: {text}", console, 6)


def _impact(changing: Sequence[Row], console: Console) -> None:
    """Print what leaving the mode sets off: the blast radius."""
    leaving = [(row, row.impact) for row in changing if row.impact]
    if not leaving:
        return
    line("what that sets off", console, 0, "bold")
    starting = [row for row, impact in leaving if impact.starts_installs]
    line(
        f"{count_of(len(starting))} would start installing at once"
        + (f": {names_of([row.host for row in starting], console)}" if starting else ""),
        console,
        2,
        "bold yellow" if starting else "",
    )
    for name, members in fold(
        ((name, row) for row, impact in leaving for name in known(impact.past_due, ())), lambda pair: pair[0]
    ):
        names = f": {names_of([row.host for _, row in members], console)}" if is_wide(console) else ""
        line(f"{name} on {count_of(len(members))}{names}", console, 6)
    _untold("could not tell what would start", [(row, impact.past_due) for row, impact in leaving], console)
    for words, readings in (
        ("a restart is pending", [(row, impact.reboot_pending) for row, impact in leaving]),
        ("a maintenance window is open", [(row, impact.window_open) for row, impact in leaving]),
    ):
        chosen = [row.host for row, reading in readings if reading == Known(True)]
        if chosen:
            line(f"{count_of(len(chosen))}: {words}: {names_of(chosen, console)}", console, 2)
        _untold(f"could not tell whether {words}", readings, console)


def _untold(words: str, readings: Sequence[tuple[Row, Reading[Any]]], console: Console) -> None:
    """Print on which hosts something could not be told, and why."""
    unknown = [(reading, row.host) for row, reading in readings if isinstance(reading, Unknown)]
    for why, pairs in fold(unknown, lambda pair: case_of(pair[0].detail or pair[0].cause, pair[1])):
        reason = pairs[0][0].detail if len(pairs) == 1 and pairs[0][0].detail else why
        line(f"{count_of(len(pairs))}: {words}: {names_of([host for _, host in pairs], console)}", console, 2)
        line(reason, console, 6)


def _left_alone(rows: Sequence[Row], console: Console) -> None:
    alone = [row for row in rows if row.left_alone]
    if alone:
        line("left alone", console, 0, "bold")
    for title, members in fold(alone, lambda row: f"{row.assessment.verdict.value}: {row.left_alone}"):
        line(f"{count_of(len(members))} {title}", console, 2)
        verdict = members[0].assessment.verdict
        if is_wide(console):
            for row in members:
                line(f"{row.host}: {said(row.assessment)}", console, 6)
        elif verdict is Verdict.UNASSESSED:
            for reason, same in fold(members, lambda row: said(replace(row.assessment, reason=_case(row)))):
                words = said(same[0].assessment) if len(same) == 1 else reason
                line(f"{names_of([row.host for row in same], console)}: {words}", console, 6)
        elif verdict not in (Verdict.HEALTHY, Verdict.NO_CLIENT):
            line(names_of([row.host for row in members], console), console, 6)
        _findings(members, console)
    kept = [
        (finding.text, row)
        for row in rows
        if row.steps
        for finding in row.assessment.findings
        if finding.code in _STAYS
    ]
    if kept:
        line("stays all the same", console, 0, "bold")
    for text, pairs in fold(kept, lambda pair: pair[0]):
        line(f"{names_of([row.host for _, row in pairs], console)}: {text}", console, 2)
    console.print()


def _waived(rows: Sequence[Row], console: Console) -> None:
    """Print the hosts with findings that waivers cover."""
    waived = [row for row in rows if row.waived]
    if not waived:
        return
    line("waived", console, 0, "bold")
    for words, members in fold(waived, lambda row: row.waived):
        line(f"{names_of([row.host for row in members], console)}: {words}", console, 2)
    console.print()


_STAYS = ("trace-kept", "package-left")
"""Findings about what a plan leaves as it is on a host that it changes, and why."""
_WHICH_PC = ("other-name", "same-computer")
"""Findings about which PC a host is."""


def _which_pc(rows: Sequence[Row], console: Console) -> None:
    """Print where another PC than the name says answers, and which hosts are one PC."""
    found = [
        (finding.text, row.host) for row in rows for finding in row.assessment.findings if finding.code in _WHICH_PC
    ]
    found += [(row.assessment.reason, row.host) for row in rows if row.assessment.cause == OTHER_COMPUTER]
    if found:
        line("which PC", console, 0, "bold")
        for text, pairs in fold(found, lambda pair: pair[0]):
            line(f"{names_of([host for _, host in pairs], console)}: {text}", console, 2)
        console.print()


def print_apply(result: ApplyResult, console: Console) -> None:
    """Print how every host ended, failures first; identical cases folded."""
    total = len(result.hosts)
    for outcome in _WORST_FIRST:
        members = [host for host in result.hosts if host.outcome is outcome]
        if not members:
            continue
        heading = Text(outcome.value, style=_STYLES[outcome])
        heading.append(f"  {len(members)} of {total}", style="bold")
        heading.append(f"  {MEANINGS[outcome]}")
        line(heading, console)
        if is_wide(console):
            for host in members:
                line(f"{host.host}: {_whole(host)}", console, 2)
        else:
            for _, hosts in fold(members, lambda host: "\n".join((_detail(host), host.next_step, host.cause or ""))):
                line(names_of([host.host for host in hosts], console), console, 2, "bold")
                detail = hosts[0].detail if len(hosts) == 1 and outcome in _SAID_WHOLE else _detail(hosts[0])
                if detail:
                    line(detail, console, 6)
                if hosts[0].next_step:
                    line(f"-> {hosts[0].next_step}", console, 6)
        console.print()
    if result.retried_until is not None:
        retried = [host for host in result.hosts if host.tries > 1]
        reached = sum(host.outcome is not HostOutcome.UNREACHED for host in retried)
        came = f"{count_of(len(retried))} begun again, {reached:,} of them reached" if retried else "no round began"
        line(f"tried again until {result.retried_until:%Y-%m-%d %H:%M}: {came}", console)
    if result.looked_again.found:
        found = result.looked_again.to_json()
        seen = f"{found['holds']} of them hold, {found['relapsed']} relapsed"
        away = f"; {found['not-seen']} could not be looked at, which is no failure" if found["not-seen"] else ""
        line(f"looked again at {count_of(len(result.looked_again.found))} of earlier waves: {seen}{away}", console)
    _ended_early(result, console)
    print_left_out(result.excluded, console)
    counts = ", ".join(f"{result.count(each)} {each.value}" for each in APPLY_OUTCOMES if result.count(each))
    line(f"{count_of(total)}: {counts or 'nothing to do'}{and_left_out(result.excluded)}", console, 0, "bold")


def _ended_early(result: ApplyResult | UndoResult, console: Console) -> None:
    """Print why a run ended before its last host, and what to do if a guard ended it."""
    if result.ended_early:
        line(f"ended early: {result.ended_early}", console, 0, "bold red")
        if result.stopped is not None and result.stopped.next_step:
            line(f"-> {result.stopped.next_step}", console, 2)


def _detail(result: HostResult) -> str:
    if result.outcome is HostOutcome.CHANGED:
        return "; ".join(result.steps) or result.detail
    if result.outcome is HostOutcome.STALE:  # so that all hosts on which others are at work fold
        return re.sub(r" since [^(]*\(lease \S+\)", "", result.detail)
    return case_of(result.detail, result.host)  # so that the same answer of many PCs folds


def _whole(result: HostResult) -> str:
    """Return everything that is said of a host."""
    cause = f"{result.cause}: " if result.cause else ""
    parts = [f"{cause}{result.detail}" if result.detail or cause else "", *result.steps]
    return "; ".join(filter(None, parts)) + (f" -> {result.next_step}" if result.next_step else "")


_SAID_WHOLE = frozenset({HostOutcome.UNREACHED, HostOutcome.FAILED, HostOutcome.ALREADY, HostOutcome.STALE})
"""Outcomes of which a single host's detail is printed as it is, with its own name and times."""


def _undone(result: HostUndoResult) -> tuple[str, ...]:
    """Return what is said of a host after an undo, without what differs from host to host."""
    step = f"-> {result.next_step}" if result.next_step else ""
    return (*result.restored, case_of(result.detail, result.host), *result.cannot, step)


def print_undo(result: UndoResult, console: Console) -> None:
    """Print what was restored, and what cannot be undone."""
    for outcome, members in fold(result.hosts, lambda host: host.outcome.value):
        line(f"{outcome}  {len(members)} of {len(result.hosts)}", console, 0, "bold")
        if is_wide(console):
            for host in members:
                cause = f"{host.cause}: " if host.cause else ""
                parts = (*host.restored, f"{cause}{host.detail}" if host.detail else "", *host.cannot)
                step = f" -> {host.next_step}" if host.next_step else ""
                line(f"{host.host}: {'; '.join(filter(None, parts))}{step}".removesuffix(": "), console, 2)
            continue
        for lines, hosts in fold(members, lambda host: "\n".join(_undone(host))):
            line(names_of([host.host for host in hosts], console), console, 2, "bold")
            for text in filter(None, lines.split("\n")):
                line(text, console, 6)
    _ended_early(result, console)
    print_left_out(result.excluded, console)
    counts = ", ".join(f"{result.count(each)} {each.value}" for each in UNDO_OUTCOMES if result.count(each))
    total = count_of(len(result.hosts))
    line(f"{total}: {counts or 'nothing to do'}{and_left_out(result.excluded)}", console, 0, "bold")
