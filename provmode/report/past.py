"""The history as text and as JSON: runs, what was known of every host at a run, one host's timeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console

from provmode import __version__
from provmode.ccm.rules import duration
from provmode.ccm.verdict import SEVERITY
from provmode.history.reader import HostState, LastKnown, Stay, Timeline
from provmode.history.run import Change, Run
from provmode.history.waived import Use
from provmode.reading import plain
from provmode.report.lines import count_of, fold, is_wide, line, names_of
from provmode.waivers.model import words_of

RUNS, RUN, HOST, VERSION = "provmode-history-runs", "provmode-history-run", "provmode-history-host", 1
_ORDER = {verdict.value: place for place, verdict in enumerate(SEVERITY)}


def at(time: datetime | None) -> str:
    """Return a time of the history for a person, UTC."""
    return f"{time:%Y-%m-%d %H:%M} UTC" if time is not None else "longer ago than the history remembers"


def ago(time: datetime | None, now: datetime) -> str:
    """Return how long ago a time is, in words."""
    if time is None:
        return "longer ago than the history remembers"
    passed = now - time
    return f"{duration(passed)} ago" if passed >= timedelta(minutes=1) else "just now"


# -- runs -------------------------------------------------------------------------------------------------------------


def print_runs(runs: Iterable[Run], console: Console) -> None:
    """Print a line for each run."""
    for run in runs:
        line(f"#{run.number}  {at(run.began)}  {run.kind}  {_scope(run)}  {counted(run)}", console)


def counted(run: Run) -> str:
    """Return a run's hosts by verdict, or by how they ended, worst first."""
    counts = sorted(run.counts.items(), key=lambda item: (_ORDER.get(item[0], len(_ORDER)), item[0]))
    parts = ", ".join(f"{number:,} {word}" for word, number in counts)
    return f"{count_of(run.hosts)}: {parts}" if parts else "no host"


def _scope(run: Run) -> str:
    inventory = run.inventory or "an inventory that is not known"
    return inventory if run.complete or run.kind in ("apply", "undo") else f"part of {inventory}"


def run_json(run: Run) -> dict[str, Any]:
    """Return a run as JSON (contract)."""
    return {
        "number": run.number,
        "run": run.name,
        "kind": run.kind,
        "began": plain(run.began),
        "ended": plain(run.ended),
        "inventory": run.inventory,
        "complete": run.complete,
        "exit_code": run.exit_code,
        "by": run.by,
        "provmode": run.version,
        "plan": run.plan,
        **({"change": run.about["change"]} if run.about.get("change") else {}),
        "summary": dict(run.counts),
        "total": run.hosts,
        **({"stopped": run.about["stopped"]} if run.about.get("stopped") else {}),
    }


def runs_json(runs: Iterable[Run]) -> dict[str, Any]:
    """Return runs as JSON (contract)."""
    return {"format": RUNS, "version": VERSION, "provmode": __version__, "runs": [run_json(run) for run in runs]}


# -- a run ------------------------------------------------------------------------------------------------------------


def print_run(run: Run, hosts: list[HostState], changes: list[Change], console: Console) -> None:
    """Print a run: who made it, what was known of its hosts, and what it changed."""
    line(f"run #{run.number}  {run.kind} of {_scope(run)}", console, 0, "bold")
    line(f"began {at(run.began)}, took {_took(run.ended - run.began)}", console, 2)
    code = f", exit code {run.exit_code}" if run.exit_code is not None else ""
    line(f"by {run.by or 'nobody that is known'}, provmode {run.version}{code}", console, 2)
    line(f"id {run.name}" + (f", plan {run.plan}" if run.plan not in (None, run.name) else ""), console, 2)
    stopped = run.about.get("stopped")
    if stopped:
        line(f"stopped by the guard {stopped['guard']}: {stopped['why']}", console, 2)
    if run.about.get("change"):
        line(f"change {run.about['change']}", console, 2)
    console.print()
    for verdict, those in sorted(fold(hosts, lambda host: host.verdict), key=lambda item: _ORDER.get(item[0], 99)):
        line(f"{verdict}  {count_of(len(those))}", console, 0, "bold")
        if verdict in ("healthy", "no-client"):
            line(names_of([host.host for host in those], console), console, 2)
        else:
            for host in those:
                _print_host(host, run, console)
        console.print()
    _print_waived(run, console)
    for change in changes:
        _print_change(change, console, 0)
    line(counted(run), console, 0, "bold")


def _print_waived(run: Run, console: Console) -> None:
    """Print which findings were waived in a run, and by whom."""
    waived = [(words_of(each), each["hosts"]) for each in run.about.get("waived", ())]
    if not waived:
        return
    line(f"waived  {count_of(sum(len(hosts) for _, hosts in waived))}", console, 0, "bold")
    for words, hosts in waived:
        line(f"{names_of(hosts, console)}: {words}", console, 2)
    console.print()


def _took(time: timedelta) -> str:
    return duration(time) if time >= timedelta(minutes=1) else f"{time.total_seconds():.0f} s"


def _print_host(host: HostState, run: Run, console: Console) -> None:
    away, known = host.away, host.known
    if away is not None:
        line(f"{host.host}: {away.cause}: {away.reason}", console, 2)
        line(f"since {at(away.since)}; {last_known(known, run.began)}", console, 6)
        line(f"next: {away.next_step}", console, 6)
    elif known is not None:
        line(f"{host.host}: {known.reason}", console, 2)
        line(f"so since the look of {at(known.since)}", console, 6)
        for _, text in known.findings:
            line(text, console, 6)


def last_known(known: LastKnown | None, now: datetime) -> str:
    """Return in words what was last known of a host."""
    if known is None:
        return "never assessed"
    return f"last known {known.verdict}, seen {ago(known.seen, now)}"


def state_json(host: HostState) -> dict[str, Any]:
    """Return what was known of a host at a run, as JSON (contract)."""
    document: dict[str, Any] = {"host": host.host, "verdict": host.verdict}
    if host.away is not None:
        document["away"] = {
            "cause": host.away.cause,
            "reason": host.away.reason,
            "next_step": host.away.next_step,
            "since": plain(host.away.since),
        }
    known = host.known
    document["last_known"] = (
        {
            "verdict": known.verdict,
            "rule": known.rule,
            "reason": known.reason,
            "findings": [{"code": code, "text": text} for code, text in known.findings],
            "since": plain(known.since),
            "seen": plain(known.seen) if known.seen is not None else None,
            "facts": dict(known.facts),
        }
        if known is not None
        else None
    )
    return document


def whole_run_json(run: Run, hosts: Iterable[HostState], changes: Iterable[Change]) -> dict[str, Any]:
    """Return a run with its hosts and changes as JSON (contract)."""
    return {
        "format": RUN,
        "version": VERSION,
        **run_json(run),
        "hosts": [state_json(host) for host in hosts],
        "changes": [change_json(change) for change in changes],
        **{name: run.about[name] for name in ("waived", "waivers") if name in run.about},
    }


# -- a host -----------------------------------------------------------------------------------------------------------


def print_timeline(timeline: Timeline, now: datetime, console: Console) -> None:
    """Print everything that is known of a host, the earliest first."""
    line(timeline.host, console, 0, "bold")
    line(f"looked at {ago(timeline.looked, now)}, assessed {ago(timeline.seen, now)}", console, 2)
    console.print()
    for _, what in sorted(_events(timeline), key=lambda event: event[0]):
        if isinstance(what, Stay):
            _print_stay(what, console)
        else:
            _print_change(what[1], console, 2, what[0])
    for use in timeline.waived:
        times = "in one run" if use.runs == 1 else f"in {use.runs:,} runs"
        line(f"waived {times}, from {at(use.first)} to {at(use.last)}: {use.words}", console, 2)


def _events(timeline: Timeline) -> Iterator[tuple[datetime, Stay | tuple[Run, Change]]]:
    yield from ((stay.since, stay) for stay in timeline.stays)
    yield from ((change.at, (run, change)) for run, change in timeline.changes)


def _print_stay(stay: Stay, console: Console) -> None:
    until = f"until {at(stay.until)}" if stay.until is not None else "until now"
    what = stay.verdict if stay.assessed else f"not assessed ({stay.cause})"
    line(f"{at(stay.since)}  {what}, {until}", console, 2, "bold" if stay.bad else "")
    line(stay.reason, console, 6)
    for _, text in stay.findings:
        line(text, console, 6)


def _print_change(change: Change, console: Console, indent: int, run: Run | None = None) -> None:
    by = f" by run #{run.number} ({run.kind})" if run is not None else f" {change.host}"
    line(f"{at(change.at)}  {change.outcome}{by}: {change.detail}".removesuffix(": "), console, indent)
    if is_wide(console) or run is not None:
        for step in change.steps:
            line(step, console, indent + 4)


def change_json(change: Change) -> dict[str, Any]:
    """Return how a host ended in a run that changes PCs, as JSON (contract)."""
    return {
        "host": change.host,
        "at": plain(change.at),
        "ended": change.outcome,
        "changed": change.changed,
        "detail": change.detail,
        "steps": list(change.steps),
    }


def timeline_json(timeline: Timeline) -> dict[str, Any]:
    """Return everything that is known of a host, as JSON (contract)."""
    return {
        "format": HOST,
        "version": VERSION,
        "provmode": __version__,
        "host": timeline.host,
        "looked": plain(timeline.looked) if timeline.looked is not None else None,
        "assessed": plain(timeline.seen) if timeline.seen is not None else None,
        "spans": [
            {
                "since": plain(stay.since),
                "until": plain(stay.until) if stay.until is not None else None,
                "verdict": stay.verdict,
                "rule": stay.rule,
                **({"cause": stay.cause, "next_step": stay.next_step} if not stay.assessed else {}),
                "reason": stay.reason,
                "findings": [{"code": code, "text": text} for code, text in stay.findings],
                "facts": dict(stay.facts),
            }
            for stay in timeline.stays
        ],
        "changes": [{"run": run.name, **change_json(change)} for run, change in timeline.changes],
        **({"waived": [_use_json(use) for use in timeline.waived]} if timeline.waived else {}),
    }


def _use_json(use: Use) -> dict[str, Any]:
    return {**use.waived, "first": plain(use.first), "last": plain(use.last), "runs": use.runs}
