"""The audit on a terminal: worst first, identical cases folded, at 80 columns and without colour as well."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from provmode.ccm.rules import duration
from provmode.ccm.verdict import NEXT_STEP, SEVERITY, Outcome, Verdict, outcome
from provmode.fleet.audit import Audit, HostReport
from provmode.shown import visible

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
"""One line a verdict, for headings and for the README."""

NAMES_SHOWN = 8
"""Host names shown of a folded case; all of them are in the JSON."""


def print_audit(audit: Audit, console: Console) -> None:
    """Print the whole report to *console*."""
    for verdict in SEVERITY:
        reports = [report for report in audit.reports if report.assessment.verdict is verdict]
        if reports:
            _section(verdict, reports, len(audit.selected), console)
    _missing(audit, console)
    _total(audit, console)


def _section(verdict: Verdict, reports: Sequence[HostReport], total: int, console: Console) -> None:
    heading = Text()
    heading.append(f"{verdict.value}", style=_STYLE[outcome(verdict)])
    heading.append(f"  {len(reports)} of {total}", style="bold")
    heading.append(f"  {MEANINGS[verdict]}")
    console.print(heading)
    if verdict is Verdict.UNASSESSED:
        _by_cause(reports, console)
    elif verdict is Verdict.HEALTHY:
        _findings(reports, console)
    else:
        _folded(reports, console)
    console.print()


def _folded(reports: Sequence[HostReport], console: Console) -> None:
    """Print each case once, with the hosts it holds for; the oldest first."""
    cases: dict[str, list[HostReport]] = defaultdict(list)
    for report in reports:
        cases[case_of(report)].append(report)
    for members in sorted(cases.values(), key=_oldest, reverse=True):
        _names(members, console)
        console.print(
            Padding(
                Text(visible(members[0].assessment.reason if len(members) == 1 else case_of(members[0]))), (0, 0, 0, 6)
            )
        )
        _findings(members, console)


_SINCE = re.compile(r" since \d{4}-\d\d-\d\d \d\d:\d\d UTC(?: \([^)]*\))?")
_BY = re.compile(r" by \d{4}-\d\d-\d\d \d\d:\d\d UTC")
_CLIENT = re.compile(r"client \d[\d.]* ")


def case_of(report: HostReport) -> str:
    """Return the reason without what differs from host to host: times and client versions."""
    reason = _SINCE.sub("", report.assessment.reason)
    return _CLIENT.sub("client ", _BY.sub(" in time", reason))


def _oldest(members: Sequence[HostReport]) -> float:
    return max(report.assessment.age.total_seconds() if report.assessment.age else 0.0 for report in members)


def _names(members: Sequence[HostReport], console: Console) -> None:
    shown = []
    for report in sorted(members, key=lambda item: _oldest([item]), reverse=True)[:NAMES_SHOWN]:
        age = report.assessment.age
        aged = f" ({duration(age)})" if age is not None and age.total_seconds() > 0 else ""
        shown.append(f"{report.host}{aged}")
    more = f" and {len(members) - NAMES_SHOWN} more" if len(members) > NAMES_SHOWN else ""
    count = f"{len(members)} hosts: " if len(members) > 1 else ""
    console.print(Padding(Text(visible(f"{count}{', '.join(shown)}{more}"), style="bold"), (0, 0, 0, 2)))


def _findings(members: Sequence[HostReport], console: Console) -> None:
    """Print findings below a case, each with the hosts that have it."""
    found: dict[str, list[str]] = defaultdict(list)
    for report in members:
        for finding in report.assessment.findings:
            found[finding.text].append(report.host)
    for text, hosts in found.items():
        whose = "" if len(hosts) == len(members) == 1 else f"{_few(hosts)}: "
        console.print(Padding(Text(visible(f"! {whose}{text}")), (0, 0, 0, 6)))


def _few(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - 3} more" if len(hosts) > 3 else ""
    return ", ".join(hosts[:3]) + more


def _by_cause(reports: Sequence[HostReport], console: Console) -> None:
    """Print unassessed hosts by cause, with the next thing to do about each."""
    causes: dict[str, list[HostReport]] = defaultdict(list)
    for report in reports:
        causes[report.assessment.cause or "protocol"].append(report)
    for cause in sorted(causes, key=lambda cause: (-len(causes[cause]), cause)):
        members = causes[cause]
        more = f" and {len(members) - NAMES_SHOWN} more" if len(members) > NAMES_SHOWN else ""
        names = Text(f"{', '.join(report.host for report in members[:NAMES_SHOWN])}{more}")
        console.print(Text(f"  {cause}  {len(members)}", style="bold"))
        console.print(Padding(names, (0, 0, 0, 6)))
        if len(members) == 1:
            console.print(Padding(Text(visible(members[0].assessment.reason)), (0, 0, 0, 6)))
        console.print(Padding(Text(f"-> {NEXT_STEP[cause]}"), (0, 0, 0, 6)))


def _missing(audit: Audit, console: Console) -> None:
    if audit.interrupted:
        missing = audit.missing
        more = f" and {len(missing) - NAMES_SHOWN} more" if len(missing) > NAMES_SHOWN else ""
        heading = Text("interrupted", style="bold red")
        heading.append(f"  {len(missing)} of {len(audit.selected)} not looked at", style="bold")
        console.print(heading)
        console.print(Padding(Text(f"{', '.join(missing[:NAMES_SHOWN])}{more}"), (0, 0, 1, 2)))


def _total(audit: Audit, console: Console) -> None:
    counts = Text(f"{len(audit.selected)} hosts: ", style="bold")
    parts = [(verdict, audit.count(verdict)) for verdict in SEVERITY if audit.count(verdict)]
    for number, (verdict, count) in enumerate(parts):
        counts.append(", " if number else "")
        counts.append(f"{count} {verdict.value}", style=_STYLE[outcome(verdict)])
    console.print(counts)
