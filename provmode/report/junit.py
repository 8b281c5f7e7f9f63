"""An audit as JUnit's XML, for the test reports of GitLab and its like.

GitLab takes a file of less than 30 MB and of at most 250,000 elements, and of cases with equal names only the first.
So a host that needs nothing has no case of its own unless that is asked for: its verdict has one, with a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timezone
from xml.sax.saxutils import escape

from provmode.ccm.verdict import SEVERITY, Outcome, Verdict
from provmode.fleet.audit import Audit
from provmode.fleet.looking import HostReport
from provmode.report.lines import count_of
from provmode.text import one_line, shortened

MOST_BYTES = 29_900_000
MOST_ELEMENTS = 249_900
"""What the cases of hosts may take; the rest is for the suite and the few cases that count hosts."""
LONGEST_NAME = 255

_ELEMENT = {Outcome.PENDING: "failure", Outcome.FAILED: "failure", Outcome.UNASSESSED: "error"}
"""The element in the case of a host, by what its verdict means; there is none in the others."""


def element_of(report: HostReport) -> str:
    """Return ``failure`` if something is to be done, ``error`` if nobody could look, and nothing if all is well.

    It is ``skipped`` if a waiver covers what was found.
    """
    if report.waived is not None:
        return "skipped"
    if report.assessment.verdict is Verdict.UNASSESSED:
        return "error"
    return _ELEMENT.get(report.assessment.outcome, "")


@dataclass
class _Suite:
    """The cases of a file, and what they take."""

    name: str
    cases: list[str] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    """The names of the cases, each with how many wanted it."""
    counts: Counter[str] = field(default_factory=Counter)
    size: int = 0
    elements: int = 0

    def add(self, name: str, element: str = "", kind: str = "", says: Sequence[str] = (), seconds: float = 0) -> bool:
        """Add a case if there is room for it, and return whether there was.

        *says* are the lines in its *element*; the first is its message too.
        """
        name = self._unused(shortened(one_line(name), LONGEST_NAME))
        head = f'<testcase classname="{_attribute(self.name)}" name="{_attribute(name)}" time="{seconds:.3f}"'
        case = f"{head}/>\n"
        if element:
            lines = [escape(one_line(line)) for line in says]
            type_of = f' type="{_attribute(kind)}"' if kind else ""
            inner = f'<{element} message="{_attribute(one_line(says[0]))}"{type_of}>'
            case = f"{head}>{inner}{chr(10).join(lines)}</{element}></testcase>\n"
        size, elements = len(case.encode()), 2 if element else 1
        if self.size + size > MOST_BYTES or self.elements + elements > MOST_ELEMENTS:
            return False
        self.cases.append(case)
        self.counts[element] += 1
        self.size += size
        self.elements += elements
        return True

    def add_always(self, name: str, element: str = "", kind: str = "", says: Sequence[str] = ()) -> None:
        """Add one of the few cases for which there is always room."""
        size, elements, self.size, self.elements = self.size, self.elements, 0, 0
        self.add(name, element, kind, says)
        self.size, self.elements = size, elements

    def _unused(self, name: str) -> str:
        unused = name
        while unused in self.names:
            self.names[name] += 1
            unused = f"{name} ({self.names[name]})"
        self.names[unused] = 1
        return unused


def junit(audit: Audit, *, every_host: bool = False) -> Iterator[str]:
    """Yield the parts of the file: a case for each host that needs something, and one for each verdict of the others.

    With *every_host* the others have cases too. If the hosts are too many, the worst have theirs, and the last case
    says how many have none.
    """
    suite = _Suite(shortened(one_line(audit.inventory), LONGEST_NAME) or "provmode")
    rest = [report for report in audit.reports if not element_of(report)]
    wanted = [report for report in audit.reports if element_of(report)] + (rest if every_host else [])
    left_out = _add_hosts(suite, sorted(wanted, key=lambda report: SEVERITY.index(report.assessment.verdict)))
    for verdict, number in [] if every_host else _by_verdict(rest):
        suite.add_always(f"{count_of(number)} {verdict.value}")
    if audit.interrupted:
        missing = f"{len(audit.missing):,} of {count_of(len(audit.selected))} not looked at"
        suite.add_always(missing, "error", "interrupted", [f"{missing}: the run was interrupted"])
    if left_out:
        counted = ", ".join(f"{number:,} {verdict.value}" for verdict, number in _by_verdict(left_out))
        name = f"{count_of(len(left_out))} left out"
        says = f"{name}, because the file would be too large for GitLab: {counted}; the table (csv) has them all"
        suite.add_always(name, "error" if any(map(element_of, left_out)) else "", "left-out", [says])
    yield from _written(audit, suite)


def _add_hosts(suite: _Suite, reports: Sequence[HostReport]) -> Sequence[HostReport]:
    """Add a case for each host, as long as there is room, and return the hosts that have none."""
    for number, report in enumerate(reports):
        assessment = report.assessment
        says = [f"{assessment.verdict.value}: {assessment.reason}"]
        if assessment.next_step:
            says = [f"{assessment.cause}: {assessment.reason}", f"next step: {assessment.next_step}"]
        says += [f"{finding.code}: {finding.text}" for finding in assessment.findings]
        kind = assessment.cause or assessment.verdict.value
        if report.waived is not None:
            kind, says = "", [f"waived by {report.waived.whose}: {report.waived.reason}", *says]
        if not suite.add(report.host, element_of(report), kind, says, report.seconds):
            return reports[number:]
    return ()


def _by_verdict(reports: Sequence[HostReport]) -> list[tuple[Verdict, int]]:
    """Return how many of these hosts have each verdict, the worst first."""
    counts = Counter(report.assessment.verdict for report in reports)
    return [(verdict, counts[verdict]) for verdict in SEVERITY if counts[verdict]]


def _written(audit: Audit, suite: _Suite) -> Iterator[str]:
    began = audit.began.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") if audit.began is not None else ""
    counts = f'tests="{len(suite.cases)}" failures="{suite.counts["failure"]}" errors="{suite.counts["error"]}"'
    counts += f' skipped="{suite.counts["skipped"]}"'
    timestamp = f' timestamp="{began}"' if began else ""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites>\n<testsuite name="{_attribute(suite.name)}" {counts}{timestamp}>\n<properties>\n'
    yield f'<property name="hosts" value="{len(audit.selected)}"/>\n'
    for verdict in SEVERITY:
        yield f'<property name="{verdict.value}" value="{audit.count(verdict)}"/>\n'
    yield "</properties>\n"
    yield from suite.cases
    yield "</testsuite>\n</testsuites>\n"


def _attribute(text: str) -> str:
    return escape(text, {'"': "&quot;"})
