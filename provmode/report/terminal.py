"""The audit as text: worst first, without colour as well.

At a terminal identical cases are folded, at 80 columns too. Elsewhere the text is wide: a line for each host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from provmode.ccm.rules import duration
from provmode.ccm.verdict import NEXT_STEP, SEVERITY, Assessment, Outcome, Verdict, outcome
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

if TYPE_CHECKING:
    from provmode.fleet.audit import Audit
    from provmode.fleet.looking import HostReport
    from provmode.fleet.lowered import LoweredOn

_STYLE = {
    Outcome.PENDING: "bold red",
    Outcome.FAILED: "bold magenta",
    Outcome.UNASSESSED: "bold yellow",
    Outcome.LEFT_ALONE: "bold cyan",
    Outcome.COMPLIANT: "bold green",
}

MEANINGS: dict[Verdict, str] = {
    Verdict.STUCK: "in provisioning mode and will not leave by itself",
    Verdict.OVERDUE: "should have left provisioning mode by itself and did not",
    Verdict.HALF_EXITED: "mode off in the registry, system tasks still excluded",
    Verdict.ARMED: "healthy now, MobileClient.TCF would bring the mode back",
    Verdict.CLIENT_BROKEN: "ConfigMgr client present but not answering",
    Verdict.UNASSESSED: "could not be looked at",
    Verdict.SELF_HEALING: "in provisioning mode, will leave by itself",
    Verdict.IN_PROGRESS: "in provisioning mode and at work: leave alone",
    Verdict.NO_CLIENT: "no ConfigMgr client on the PC",
    Verdict.HEALTHY: "not in provisioning mode",
}
"""One line a verdict, for headings and for the documents."""


def print_audit(audit: Audit, console: Console) -> None:
    """Print the whole report to *console*."""
    for verdict in SEVERITY:
        found = [report for report in audit.reports if report.assessment.verdict is verdict]
        reports = [report for report in found if report.waived is None]
        if reports:
            _section(verdict, reports, len(audit.selected), console, waived=len(found) - len(reports))
    _waived(audit, console)
    if audit.interrupted:
        print_missing(audit.missing, len(audit.selected), console)
    print_left_out(audit.excluded, console)
    print_lowered(audit.lowered, console)
    _retried(audit, console)
    _total(audit, console)


def _section(verdict: Verdict, reports: Sequence[HostReport], total: int, console: Console, *, waived: int = 0) -> None:
    heading = Text()
    heading.append(f"{verdict.value}", style=_STYLE[outcome(verdict)])
    heading.append(f"  {len(reports)} of {total}", style="bold")
    heading.append(f"  {MEANINGS[verdict]}" + (f" (and {waived:,} waived, below)" if waived else ""))
    line(heading, console)
    if is_wide(console):
        _each_host(reports, console)
    elif verdict is Verdict.UNASSESSED:
        _by_cause(reports, console)
    elif verdict is Verdict.HEALTHY:
        _findings(reports, console)
    else:
        _folded(reports, console)
    console.print()


def _waived(audit: Audit, console: Console) -> None:
    """Print the hosts with findings that waivers cover: who answers for them, and until when."""
    reports = [report for report in audit.reports if report.waived is not None]
    if not reports:
        return
    heading = Text("waived", style="bold cyan")
    heading.append(f"  {len(reports)} of {len(audit.selected)}", style="bold")
    heading.append("  known, and somebody answers for it: does not raise the exit code")
    line(heading, console)
    for words, members in fold(reports, lambda report: report.waived.words if report.waived is not None else ""):
        if is_wide(console):
            for report in members:
                line(f"{report.host}: {report.assessment.verdict.value}: {words}", console, 2)
        else:
            named = [f"{report.host} ({report.assessment.verdict.value})" for report in members]
            line(f"{count_of(len(named))}: {names_of(named, console)}", console, 2, "bold")
            line(words, console, 6)
    console.print()


def _each_host(reports: Sequence[HostReport], console: Console) -> None:
    """Print every host on a line of its own, with everything that is said of it; the oldest first."""
    for report in sorted(reports, key=lambda item: _oldest([item]), reverse=True):
        assessment = report.assessment
        tries = f" (looked at {report.tries} times)" if report.tries > 1 else ""
        line(f"{_aged(report)}: {said(assessment)}{tries}", console, 2)
        for finding in assessment.findings:
            line(f"! {report.host}: {finding.text}", console, 6)


def said(assessment: Assessment) -> str:
    """Return cause, reason and next step, as far as there are any, in one line."""
    cause = f"{assessment.cause}: " if assessment.cause else ""
    return f"{cause}{assessment.reason}" + (f" -> {assessment.next_step}" if assessment.next_step else "")


def _folded(reports: Sequence[HostReport], console: Console) -> None:
    """Print each case once, with its hosts; the oldest first."""
    for case, members in sorted(fold(reports, _case), key=lambda pair: _oldest(pair[1]), reverse=True):
        _names(members, console)
        line(members[0].assessment.reason if len(members) == 1 else case, console, 6)
        _findings(members, console)


_SINCE = re.compile(r" since \d{4}-\d\d-\d\d \d\d:\d\d UTC(?: \([^)]*\))?")
_BY = re.compile(r" by \d{4}-\d\d-\d\d \d\d:\d\d UTC")
_OLD_CLIENT = re.compile(r"\bclient \d[\d.]* \(before 1902\)")
_CLIENT = re.compile(r"\bclient \d[\d.]* ")


def case_of(reason: str, host: str) -> str:
    """Return a reason without what differs from host to host: name and address, times, the client's version."""
    case = reason
    if host.casefold() in reason.casefold():  # few reasons have it, and a pattern of its own for each PC takes time
        itself = re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)(?: \([^()\s]*:\d+\))?", re.IGNORECASE)
        case = itself.sub("the PC", reason)
    case = _BY.sub(" in time", _SINCE.sub("", case))
    return _CLIENT.sub("the client ", _OLD_CLIENT.sub("a client before 1902", case))


def _case(report: HostReport) -> str:
    return case_of(report.assessment.reason, report.host)


def _oldest(members: Sequence[HostReport]) -> float:
    return max(report.assessment.age.total_seconds() if report.assessment.age else 0.0 for report in members)


def _names(members: Sequence[HostReport], console: Console) -> None:
    shown = [_aged(report) for report in sorted(members, key=lambda item: _oldest([item]), reverse=True)]
    count = f"{count_of(len(members))}: " if len(members) > 1 else ""
    line(f"{count}{names_of(shown, console)}", console, 2, "bold")


def _aged(report: HostReport) -> str:
    """Return the host's name, with its time in the mode if it is known."""
    age = report.assessment.age
    return f"{report.host} ({duration(age)})" if age is not None and age.total_seconds() > 0 else report.host


def _findings(members: Sequence[HostReport], console: Console) -> None:
    """Print findings below a case, each with the hosts that have it."""
    found = [(finding.text, report.host) for report in members for finding in report.assessment.findings]
    for text, pairs in fold(found, lambda pair: pair[0]):
        names = "" if len(pairs) == len(members) == 1 else f"{names_of([host for _, host in pairs], console, 3)}: "
        line(f"! {names}{text}", console, 6)


def _by_cause(reports: Sequence[HostReport], console: Console) -> None:
    """Print unassessed hosts by cause, with the reasons below it, and the next step for those that share one."""
    for cause, members in fold(sorted(reports, key=_cause), _cause):
        line(f"{cause}  {len(members)}", console, 2, "bold")
        for step, hosts in fold(members, lambda report: report.assessment.next_step):
            cases = fold(hosts, _case)
            for case, same in cases[:CASES_SHOWN]:
                line(names_of([report.host for report in same], console), console, 6)
                line(same[0].assessment.reason if len(same) == 1 else case, console, 6)
                _findings(same, console)
            rest = [report.host for _, same in cases[CASES_SHOWN:] for report in same]
            if rest:
                words = f"{names_of(rest, console)}: {len(cases) - CASES_SHOWN} more reasons; --wide prints them"
                line(words, console, 6)
            line(f"-> {step or NEXT_STEP[cause]}", console, 6)


CASES_SHOWN = 8
"""How many reasons of one cause are printed at a terminal; wide reports and the JSON have all of them."""


def _cause(report: HostReport) -> str:
    return report.assessment.cause or "protocol"


def print_lowered(lowered: Sequence[LoweredOn], console: Console) -> None:
    """Print the settings that protect less than the defaults, each with the number of its hosts."""
    if not lowered:
        return
    line("set to protect less than usual", console, 0, "bold yellow")
    for item in lowered:
        names = f": {names_of(item.hosts, console)}" if is_wide(console) else ""
        line(f"{count_of(len(item.hosts))}: {item.setting.says} ({item.setting.setting}){names}", console, 2)
    console.print()


def _retried(audit: Audit, console: Console) -> None:
    """Print what came of trying hosts again, if the run did."""
    if audit.retried_until is None or not audit.selected:
        return
    retried = [report for report in audit.reports if report.tries > 1]
    assessed = sum(report.assessment.verdict is not Verdict.UNASSESSED for report in retried)
    came = f"{count_of(len(retried))} looked at again, {assessed:,} of them assessed" if retried else "no round began"
    line(f"tried again until {audit.retried_until:%Y-%m-%d %H:%M}: {came}", console)


def _total(audit: Audit, console: Console) -> None:
    counts = Text(f"{count_of(len(audit.selected))}: " if audit.selected else "no host", style="bold")
    parts = [(verdict, audit.count(verdict)) for verdict in SEVERITY if audit.count(verdict)]
    for number, (verdict, count) in enumerate(parts):
        counts.append(", " if number else "")
        counts.append(f"{count} {verdict.value}", style=_STYLE[outcome(verdict)])
    if audit.waived.by_host:
        counts.append(f"; {len(audit.waived.by_host)} of them waived", style="bold cyan")
    line(counts.append(and_left_out(audit.excluded)), console)
