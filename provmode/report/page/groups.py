"""What a page says of many PCs together: their counts, identical findings, and those not assessed by cause. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from provmode.ccm.verdict import NEXT_STEP, SEVERITY, Outcome, Verdict, outcome
from provmode.report.page.data import Away, Counts, Group, HostRow, Names, NotAssessed
from provmode.report.page.rows import NUMBERS
from provmode.report.terminal import case_of

T = TypeVar("T")

GROUPS_SHOWN = 40
"""How many groups of identical findings the page has; the rest stand in the list of PCs."""
LONGEST_SHOWN = 10
"""How many PCs of a cause are named with their times."""
STEPS_SHOWN = 3
"""How many next steps of a cause are named, the most frequent first."""

CAUSES_SHOWN, OTHER_CAUSES = 20, "other causes"
"""How many causes stand by themselves: all there are, unless somebody made them up."""

_PLAN = "`provmode plan` shows what would be done, and `provmode apply` does it"
WHAT_TO_DO = {
    **dict.fromkeys((Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED, Verdict.ARMED), _PLAN),
    Verdict.CLIENT_BROKEN: "repair or reinstall the client: provmode cannot",
    Verdict.SELF_HEALING: "nothing for now: it leaves by itself",
    Verdict.IN_PROGRESS: "nothing for now: leave it alone",
}
"""What to do next about PCs with a verdict, if their finding does not say more."""
_AGES = (
    (timedelta(days=1), "for less than a day"),
    (timedelta(days=7), "for 1 to 7 days"),
    (timedelta(days=30), "for 7 to 30 days"),
    (timedelta.max, "for more than 30 days"),
)
_NEVER = datetime.max.replace(tzinfo=timezone.utc)


def counts_of(hosts: Iterable[HostRow], not_looked_at: int = 0) -> Counts:
    """Return how many PCs have each verdict."""
    hosts = list(hosts)
    too_long = sum(host.at_work_too_long for host in hosts)
    waived = sum(host.waived for host in hosts)
    return Counts(Counter(host.verdict for host in hosts), not_looked_at, too_long, waived)


def listed(hosts: Iterable[HostRow]) -> list[HostRow]:
    """Return the PCs that are not plainly healthy, the most urgent first, then those that are longest in the mode."""
    rank = {verdict: number for number, verdict in enumerate(SEVERITY)}
    found = [host for host in hosts if host.verdict is not Verdict.HEALTHY or host.findings]

    def urgency(host: HostRow) -> tuple[int, int]:
        verdict = Verdict.CLIENT_BROKEN if host.at_work_too_long else host.verdict
        return rank[verdict], -(host.in_mode or 0)

    return sorted(found, key=urgency)


def groups_of(hosts: Sequence[HostRow], shown: int = GROUPS_SHOWN) -> tuple[tuple[Group, ...], int]:
    """Return the PCs with identical findings, the most urgent and then the largest groups first; and how many more.

    Numbers may differ between identical findings: the text then has an ellipsis for them.
    """
    rank = {verdict: number for number, verdict in enumerate(SEVERITY)}
    assessed = [host for host in hosts if outcome(host.verdict) not in (Outcome.UNASSESSED, Outcome.COMPLIANT)]
    verdicts = _together((host.verdict, host.host, host.reason) for host in assessed)
    groups = [
        Group(text, Names.of(names), WHAT_TO_DO[verdict], verdict)
        for verdict, text, names in sorted(verdicts, key=lambda each: (rank[each[0]], -len(each[2])))
    ]
    beside = _together(("", host.host, finding) for host in hosts for finding in host.findings)
    groups += [Group(text, Names.of(names)) for _, text, names in sorted(beside, key=lambda each: -len(each[2]))]
    return tuple(groups[:shown]), max(0, len(groups) - shown)


def _together(found: Iterable[tuple[T, str, str]]) -> list[tuple[T, str, list[str]]]:
    """Fold what was found: some key, a PC and a text; return each key with a text and its PCs."""
    folded: dict[tuple[T, str], tuple[set[str], list[str]]] = {}
    for key, host, text in found:
        case = case_of(text, host)
        texts, names = folded.setdefault((key, NUMBERS.sub("\N{HORIZONTAL ELLIPSIS}", case)), (set(), []))
        texts.add(case)
        names.append(host)
    return [
        (key, next(iter(texts)) if len(texts) == 1 else blank, names) for (key, blank), (texts, names) in folded.items()
    ]


def not_assessed_of(hosts: Sequence[HostRow], made: datetime) -> tuple[NotAssessed, ...]:
    """Return the PCs that could not be assessed by cause, the most frequent first; ages count from *made*."""
    by_cause = _by([host for host in hosts if host.verdict is Verdict.UNASSESSED], lambda host: host.cause)
    for cause in sorted(by_cause, key=lambda each: len(by_cause[each]))[: max(0, len(by_cause) - CAUSES_SHOWN)]:
        by_cause.setdefault(OTHER_CAUSES, []).extend(by_cause.pop(cause))
    return tuple(
        _of_cause(cause, some, made) for cause, some in sorted(by_cause.items(), key=lambda each: -len(each[1]))
    )


def _of_cause(cause: str, hosts: Sequence[HostRow], made: datetime) -> NotAssessed:
    steps = Counter(host.next_step or NEXT_STEP.get(cause, "") for host in hosts)
    oldest = sorted(hosts, key=lambda host: host.since or _NEVER)
    known = any(host.since or host.last_verdict for host in hosts)
    return NotAssessed(
        cause,
        Names.of([host.host for host in oldest]),
        tuple(step for step, _ in steps.most_common(STEPS_SHOWN) if step),
        tuple(_ages([host.since for host in hosts], made)) if known else (),
        tuple(Away(each.host, each.since, each.last_verdict, each.last_seen) for each in oldest[:LONGEST_SHOWN])
        if known
        else (),
    )


def _ages(times: Sequence[datetime | None], made: datetime) -> Iterable[tuple[str, int]]:
    counted = Counter(next(words for most, words in _AGES if made - time < most) for time in times if time is not None)
    for _, words in _AGES:
        if counted[words]:
            yield words, counted[words]
    if None in times:
        yield "for an unknown time", times.count(None)


def _by(hosts: Iterable[HostRow], key: Callable[[HostRow], str]) -> dict[str, list[HostRow]]:
    found: dict[str, list[HostRow]] = {}
    for host in hosts:
        found.setdefault(key(host), []).append(host)
    return found


def parts_of(hosts: Sequence[HostRow], made: datetime, not_looked_at: int = 0) -> dict[str, Any]:
    """Return the parts of `PageData` that are about the PCs of one run; *hosts* are all of them."""
    groups, left_out = groups_of(hosts)
    return {
        "counts": counts_of(hosts, not_looked_at),
        "groups": groups,
        "groups_left_out": left_out,
        "not_assessed": not_assessed_of(hosts, made),
        "hosts": listed(hosts),
    }
