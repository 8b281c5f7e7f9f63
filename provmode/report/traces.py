"""What provmode left on the PCs, as text: the same on many PCs in one entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from provmode.ccm.verdict import Outcome, step_for
from provmode.fleet.traces import HostTraces, TracesFound
from provmode.remediation.traces import SAYS, Trace
from provmode.report.lines import and_left_out, count_of, fold, is_wide, line, names_of, print_left_out, print_missing

_NOT_LOOKED_AT = "not looked at"
TRACED = {
    Outcome.PENDING: "with traces",
    Outcome.COMPLIANT: "without",
    Outcome.UNASSESSED: _NOT_LOOKED_AT,
    Outcome.FAILED: _NOT_LOOKED_AT,
}
"""What was found on a host, in words."""


def print_traces(found: TracesFound, console: Console) -> None:
    """Print every trace, then what could not be looked at, then the counts."""
    pairs = [(trace, host) for host in found.hosts if host.traces is not None for trace in host.traces.found]
    for heading, members in fold(pairs, lambda pair: _heading(pair[0])):
        line(f"{count_of(len(members))}: {heading}", console, 0, "bold")
        _cases([(host.host, _text(trace)) for trace, host in members], console)
        console.print()
    unread = [(host.host, text) for host in found.hosts for text in _unread(host)]
    if unread:
        line("could not be looked at", console, 0, "bold yellow")
        _cases(unread, console)
        console.print()
    if found.interrupted:
        print_missing(found.missing, len(found.selected), console)
    print_left_out(found.excluded, console)
    counts = Counter({TRACED[outcome]: 0 for outcome in TRACED})
    counts.update(TRACED[host.outcome] for host in found.hosts)
    counts[_NOT_LOOKED_AT] += len(found.missing)
    words = ", ".join(f"{count} {word}" for word, count in counts.items())
    line(f"{count_of(len(found.selected))}: {words}{and_left_out(found.excluded)}", console, 0, "bold")


def _cases(found: Sequence[tuple[str, str]], console: Console) -> None:
    """Print what concerns which host: in a wide report a line for each, else the same on many hosts in one entry."""
    if is_wide(console):
        for host, text in found:
            line(f"{host}: {text}", console, 2)
        return
    for text, same in fold(found, lambda pair: pair[1]):
        line(names_of([host for host, _ in same], console), console, 2)
        line(text, console, 6)


def _heading(trace: Trace) -> str:
    return f"{trace.kind}, {SAYS[trace.kind]}"


def _text(trace: Trace) -> str:
    goes = f"stays: {trace.stays}" if trace.stays else "can be removed: provmode plan --remove-traces"
    return f"{trace.place}" + (f" ({trace.detail})" if trace.detail else "") + f"; {goes}"


def _unread(host: HostTraces) -> list[str]:
    if host.failure is not None:
        return [f"{host.failure.cause}: {host.failure.reason}; {host.failure.next_step}"]
    if host.traces is None:
        return []
    pairs = zip(host.traces.unread, host.traces.causes, strict=True)
    return [f"{text}; {step_for(cause)}" for text, cause in pairs]
