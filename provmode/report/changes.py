"""A plan, an apply and an undo on a terminal: what would change, what changed, what was left alone and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from provmode.ccm.verdict import OTHER_COMPUTER, Verdict
from provmode.fleet.apply import ApplyResult
from provmode.fleet.apply_host import HostResult
from provmode.fleet.plan import Planned, Proposal
from provmode.fleet.results import APPLY_OUTCOMES, MEANINGS, UNDO_OUTCOMES, HostOutcome
from provmode.fleet.undo import UndoResult
from provmode.reading import Known, Unknown, known
from provmode.remediation.steps import Step
from provmode.report.lines import count_of, fold, line, names_of
from provmode.report.terminal import case_of, print_lowered
from provmode.wsman.notation import NotationError, format_operation

_STYLES = {
    HostOutcome.FAILED: "bold red",
    HostOutcome.STALE: "bold yellow",
    HostOutcome.UNREACHED: "bold yellow",
    HostOutcome.NOT_STARTED: "bold cyan",
    HostOutcome.ALREADY: "green",
    HostOutcome.CHANGED: "bold green",
}
_WORST_FIRST = tuple(_STYLES)


def print_plan(planned: Planned, console: Console) -> None:
    """Print what would change (identical changes folded), what that sets off, and what is left alone and why."""
    changing, total = planned.changing, len(planned.audit.selected)
    line(f"changes  {len(changing)} of {total}", console, 0, "bold")
    steps = [(step, item) for item in changing if item.remediation for step in item.remediation.steps]
    for title, members in fold(steps, lambda pair: str(pair[0].properties[0])):
        line(f"{count_of(len(members))}: {title}", console, 2, "bold")
        line(names_of([item.report.host for _, item in members]), console, 6)
        _commands(members[0][0], console)
    _diffs(steps, console)
    if not planned.housekeeping:
        _why(changing, console)
    _impact(changing, console)
    console.print()
    _left_alone(planned, console)
    _which_pc(planned, console)
    print_lowered(planned.audit.lowered, console)
    line(f"{count_of(total)}: {len(changing)} to change, {total - len(changing)} left alone", console, 0, "bold")


def _commands(step: Step, console: Console) -> None:
    for operation in step.operations:
        try:
            line(format_operation(operation), console, 6, "dim")
        except NotationError:
            continue  # cannot be pasted into a Windows prompt
    if step.in_words:
        line(step.in_words, console, 6, "dim")


def _diffs(steps: Sequence[tuple[Step, Proposal]], console: Console) -> None:
    files = [(step, item) for step, item in steps if step.text_diff()]
    for diff, members in fold(files, lambda pair: "\n".join((f"({pair[0].diff_encoding()})", *pair[0].text_diff()))):
        encoding, *lines = diff.split("\n")
        line(f"{names_of([item.report.host for _, item in members])}: {encoding}", console, 2, "bold")
        for text in lines:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(text[:1], "")
            line(text, console, 6, style)


def _why(changing: Sequence[Proposal], console: Console) -> None:
    if changing:
        line("why", console, 0, "bold")
    for case, members in fold(changing, lambda item: case_of(item.report)):
        reason = members[0].report.assessment.reason if len(members) == 1 else case
        verdict = members[0].report.assessment.verdict.value
        line(f"{count_of(len(members))} {verdict}: {reason}", console, 2)
        if len(members) > 1:
            line(names_of([item.report.host for item in members]), console, 6)


def _impact(changing: Sequence[Proposal], console: Console) -> None:
    """Print what leaving the mode sets off: the blast radius."""
    leaving = [(item, item.remediation.impact) for item in changing if item.remediation and item.remediation.impact]
    if not leaving:
        return
    line("what that sets off", console, 0, "bold")
    starting = [item for item, impact in leaving if impact.starts_installs]
    unknown = [item for item, impact in leaving if isinstance(impact.past_due, Unknown)]
    line(
        f"{count_of(len(starting))} would start installing at once"
        + (f": {names_of([item.report.host for item in starting])}" if starting else ""),
        console,
        2,
        "bold yellow" if starting else "",
    )
    for name, members in fold(
        ((name, item) for item, impact in leaving for name in known(impact.past_due, ())), lambda pair: pair[0]
    ):
        line(f"{name} on {count_of(len(members))}", console, 6)
    if unknown:
        names = names_of([item.report.host for item in unknown])
        line(f"{count_of(len(unknown))}: could not tell what would start: {names}", console, 2)
    for words, readings in (
        ("a restart is pending", [(item, impact.reboot_pending) for item, impact in leaving]),
        ("a maintenance window is open", [(item, impact.window_open) for item, impact in leaving]),
    ):
        for label, chosen in (
            (words, [item for item, reading in readings if reading == Known(True)]),
            (f"could not tell whether {words}", [item for item, reading in readings if isinstance(reading, Unknown)]),
        ):
            if chosen:
                line(f"{count_of(len(chosen))}: {label}: {names_of([i.report.host for i in chosen])}", console, 2)


def _left_alone(planned: Planned, console: Console) -> None:
    alone = [item for item in planned.proposals if item.left_alone]
    quiet = (Verdict.HEALTHY, Verdict.NO_CLIENT)
    if alone:
        line("left alone", console, 0, "bold")
    for title, members in fold(alone, lambda item: f"{item.report.assessment.verdict.value}: {item.left_alone}"):
        line(f"{count_of(len(members))} {title}", console, 2)
        if members[0].report.assessment.verdict not in quiet:
            line(names_of([item.report.host for item in members]), console, 6)
    kept = [
        (finding.text, item)
        for item in planned.changing
        for finding in item.report.assessment.findings
        if finding.code == "trace-kept"
    ]
    if kept:
        line("stays all the same", console, 0, "bold")
    for text, pairs in fold(kept, lambda pair: pair[0]):
        line(f"{names_of([item.report.host for _, item in pairs])}: {text}", console, 2)
    console.print()


def _which_pc(planned: Planned, console: Console) -> None:
    """Print where another PC than the name says answers, and which hosts are one PC."""
    found = [
        (finding.text, item.report.host)
        for item in planned.proposals
        for finding in item.report.assessment.findings
        if finding.code in ("other-name", "same-computer")
    ]
    found += [
        (item.report.assessment.reason, item.report.host)
        for item in planned.proposals
        if item.report.assessment.cause == OTHER_COMPUTER
    ]
    if found:
        line("which PC", console, 0, "bold")
        for text, pairs in fold(found, lambda pair: pair[0]):
            line(f"{names_of([host for _, host in pairs])}: {text}", console, 2)
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
        for detail, hosts in fold(members, _detail):
            line(names_of([host.host for host in hosts]), console, 2, "bold")
            if detail:
                line(detail, console, 6)
            if hosts[0].next_step:
                line(f"-> {hosts[0].next_step}", console, 6)
        console.print()
    if result.ended_early:
        line(f"ended early: {result.ended_early}", console, 0, "bold red")
    counts = ", ".join(f"{result.count(each)} {each.value}" for each in APPLY_OUTCOMES if result.count(each))
    line(f"{count_of(total)}: {counts or 'nothing to do'}", console, 0, "bold")


def _detail(result: HostResult) -> str:
    if result.outcome is HostOutcome.CHANGED:
        return "; ".join(result.steps) or result.detail
    if result.outcome is HostOutcome.STALE:  # so that all hosts on which others are at work fold
        return re.sub(r" since [^(]*\(lease \S+\)", "", result.detail)
    if result.outcome is HostOutcome.UNREACHED and result.detail.startswith(f"{result.host} "):
        return f"it{result.detail[len(result.host) :]}"  # so that the same answer of many PCs folds
    return result.detail


def print_undo(result: UndoResult, console: Console) -> None:
    """Print what was restored, and what cannot be undone."""
    for outcome, members in fold(result.hosts, lambda host: host.outcome.value):
        line(f"{outcome}  {len(members)} of {len(result.hosts)}", console, 0, "bold")
        for lines, hosts in fold(members, lambda host: "\n".join((*host.restored, host.detail, *host.cannot))):
            line(names_of([host.host for host in hosts]), console, 2, "bold")
            for text in filter(None, lines.split("\n")):
                line(text, console, 6)
    if result.ended_early:
        line(f"ended early: {result.ended_early}", console, 0, "bold red")
    counts = ", ".join(f"{result.count(each)} {each.value}" for each in UNDO_OUTCOMES if result.count(each))
    line(f"{count_of(len(result.hosts))}: {counts or 'nothing to do'}", console, 0, "bold")
