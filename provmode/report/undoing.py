"""An undo before it begins: what it would restore, what it would make of each verdict, waves and limits."""

from __future__ import annotations

from rich.console import Console

from provmode.fleet.results import HostOutcome
from provmode.fleet.undo import Undoing
from provmode.fleet.undo_preview import HostPreview, UndoPreview
from provmode.fleet.visit import short
from provmode.remediation.foresee import in_short
from provmode.report.coming import print_waves
from provmode.report.lines import count_of, fold, is_wide, line, names_of

_WOULD = {
    HostOutcome.RESTORED: "would be restored",
    HostOutcome.NOTHING: "nothing to restore",
    HostOutcome.STALE: "would be left as it is, at least in part",
    HostOutcome.FAILED: "would not be restored",
    HostOutcome.UNREACHED: "could not be looked at",
    HostOutcome.NOT_STARTED: "was not looked at",
}


def print_undoing(chosen: Undoing, source: str, console: Console) -> None:
    """Print what an undo is about to do, by its journal; *source* says where its limits come from."""
    line(f"about to undo {count_of(len(chosen.names))}", console, 0, "bold")
    steps = [
        (in_short(undo), short(name))
        for name in chosen.names
        for undo in (record.step.undo for record in chosen.steps_of(name))
        if undo is not None
    ]
    for title, members in fold(steps, lambda pair: pair[0]):
        line(f"{count_of(len(members))}: {title}", console, 2)
        line(names_of([name for _, name in members], console), console, 6)
    print_waves([[short(name) for name in wave] for wave in chosen.waves], chosen.limits, source, console)


def print_preview(preview: UndoPreview, console: Console) -> None:
    """Print what an undo would restore on each PC, and the verdict of each before and after it."""
    total = len(preview.hosts)
    for outcome, members in fold(preview.hosts, lambda host: _WOULD[host.outcome]):
        line(f"{outcome}  {len(members)} of {total}", console, 0, "bold")
        if is_wide(console):
            for host in members:
                line(f"{host.host}: {'; '.join(filter(None, _lines(host).splitlines()))}", console, 2)
            continue
        for lines, hosts in fold(members, _lines):
            line(names_of([host.host for host in hosts], console, len(hosts)), console, 2, "bold")
            for text in filter(None, lines.split("\n")):
                line(text, console, 6)
    worse = [host for host in preview.hosts if _verdicts(host) and len(set(_verdicts(host))) > 1]
    changed = f", {len(worse)} with another verdict" if worse else ""
    restored = sum(host.outcome is HostOutcome.RESTORED for host in preview.hosts)
    line(f"{count_of(total)}: {restored} would be restored{changed}", console, 0, "bold")


def _verdicts(host: HostPreview) -> tuple[str, ...]:
    seen = host.foreseen
    if seen is None or seen.then is None:
        return ()
    return seen.now.verdict.value, seen.then.verdict.value


def _lines(host: HostPreview) -> str:
    seen = host.foreseen
    if seen is None:
        return "\n".join((host.detail, *host.cannot))
    after = "could not tell" if seen.then is None else seen.then.verdict.value
    verdict = f"verdict: {seen.now.verdict.value} now, {after} after the undo"
    return "\n".join((*seen.restored, *seen.left, host.detail, *host.cannot, verdict if seen.restored else ""))
