"""An audit, and an apply, as figures for Prometheus, in the text format that node_exporter's textfile collector reads.

The figures are about an inventory, never about a host: each name of a host would be a time series for ever.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from provmode.ccm.verdict import NEXT_STEP, SEVERITY, Outcome
from provmode.fleet.audit import Audit
from provmode.fleet.results import APPLY_OUTCOMES
from provmode.text import one_line, shortened

if TYPE_CHECKING:
    from provmode.fleet.apply import ApplyResult

HEADER = "# Written by provmode after a run, and replaced by the next one."
"""The first line of a file. Without it nothing is taken over from what was there before."""
LAST_COMPLETE = "provmode_last_complete_run_timestamp_seconds"

Run = TypeVar("Run")

Samples = Iterable[tuple[str, int]]
"""The value of the second label (empty if there is none), and the figure."""


@dataclass(frozen=True)
class Metric(Generic[Run]):
    """One metric. The first label of each is the inventory."""

    name: str
    says: str
    """What it counts, for the file and for the documents."""
    samples: Callable[[Run], Samples]
    label: str = ""
    """The second label."""


def _verdicts(audit: Audit) -> Samples:
    counts = Counter(report.assessment.verdict for report in audit.reports)
    return [(verdict.value, counts[verdict]) for verdict in SEVERITY]


def _causes(audit: Audit) -> Samples:
    counts = Counter(report.assessment.cause for report in audit.reports if report.assessment.cause)
    return [(cause, counts[cause]) for cause in sorted({*NEXT_STEP, *counts})]


def _oldest(audit: Audit) -> Samples:
    pending = (report.assessment for report in audit.reports if report.assessment.outcome is Outcome.PENDING)
    ages = [round(assessment.age.total_seconds()) for assessment in pending if assessment.age is not None]
    return [("", max([0, *ages]))]


def _ended(audit: Audit) -> Samples:
    return [("", int(audit.ended.timestamp()))] if audit.ended is not None else []


METRICS: tuple[Metric[Audit], ...] = (
    Metric("provmode_hosts", "Hosts with this verdict.", _verdicts, "verdict"),
    Metric("provmode_hosts_unassessed", "Hosts that could not be assessed, for this cause.", _causes, "cause"),
    Metric(
        "provmode_hosts_missing",
        "Hosts that were not looked at because the run was interrupted.",
        lambda audit: [("", len(audit.missing) if audit.interrupted else 0)],
    ),
    Metric(
        "provmode_oldest_stuck_seconds",
        "The longest known time in the mode of a host on which a change is pending; 0 if none is known.",
        _oldest,
    ),
    Metric(
        "provmode_waived_hosts",
        "Hosts with a finding that a waiver covers; they are among the hosts of their verdict.",
        lambda audit: [("", len(audit.waived.by_host))],
    ),
    Metric(
        "provmode_waivers_expiring",
        "Waivers that end within 14 days.",
        lambda audit: [("", sum(each.ends_soon for each in audit.waived.standings))],
    ),
    Metric("provmode_last_run_timestamp_seconds", "When the last run ended.", _ended),
    Metric(
        LAST_COMPLETE,
        "When the last run ended that looked at the whole inventory; an incomplete run keeps it.",
        lambda audit: _ended(audit) if audit.complete else [],
    ),
)
"""Every metric of an audit, in the order of the file. All are gauges."""


def metrics(audit: Audit, *, previous: Callable[[], str] = str) -> Iterator[str]:
    """Yield the lines of the file. If the run is not complete, the time of the last complete one is kept.

    *previous* returns what is in the file now, or nothing; it is asked only if it is needed.
    """
    yield f"{HEADER}\n"
    for metric in METRICS:
        samples = list(metric.samples(audit))
        if metric.name == LAST_COMPLETE and not audit.complete:
            kept = last_complete(previous(), audit)
            samples = [("", kept)] if kept is not None else []
        yield from _lines(metric, audit.inventory, samples)


def _lines(metric: Metric[Any], inventory: str, samples: Sequence[tuple[str, int]]) -> Iterator[str]:
    if samples:
        yield f"# HELP {metric.name} {metric.says}\n# TYPE {metric.name} gauge\n"
    for value, figure in samples:
        yield f"{metric.name}{_labels(inventory, metric.label, value)} {figure}\n"


def last_complete(previous: str, audit: Audit) -> int | None:
    """Return when the last complete run ended, by a file of an earlier run of the same inventory.

    Nothing else is believed: not a file of another program, nor a time that is yet to come.
    """
    lines = previous.split("\n")
    wanted = f"{LAST_COMPLETE}{_labels(audit.inventory)} "
    values = [line.removeprefix(wanted) for line in lines if line.startswith(wanted)]
    if lines[0] != HEADER or len(values) != 1 or not re.fullmatch(r"[0-9]{1,12}", values[0]):
        return None
    now = audit.ended.timestamp() if audit.ended is not None else 0
    return int(values[0]) if int(values[0]) <= now else None


def _labels(inventory: str, label: str = "", value: str = "") -> str:
    second = f',{label}="{_escaped(value)}"' if label else ""
    return f'{{inventory="{_escaped(inventory)}"{second}}}'


def _escaped(value: str) -> str:
    return shortened(one_line(value)).replace("\\", "\\\\").replace('"', '\\"')


# -- an apply -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Changes:
    """An apply that is over."""

    result: ApplyResult
    inventory: str
    """As it is named in the plan, or by the option."""
    ended: datetime


CHANGES: tuple[Metric[Changes], ...] = (
    Metric(
        "provmode_changes",
        "Hosts of the last apply that ended like this.",
        lambda changes: [(outcome.value, changes.result.count(outcome)) for outcome in APPLY_OUTCOMES],
        "outcome",
    ),
    Metric(
        "provmode_last_apply_timestamp_seconds",
        "When the last apply ended.",
        lambda changes: [("", int(changes.ended.timestamp()))],
    ),
)
"""Every metric of an apply, in the order of the file. All are gauges."""


def change_metrics(changes: Changes) -> Iterator[str]:
    """Yield the lines of the file of an apply."""
    yield f"{HEADER}\n"
    for metric in CHANGES:
        yield from _lines(metric, changes.inventory, list(metric.samples(changes)))
