"""An undo before it begins: what it would restore, what it would make of each verdict, waves and limits."""

from __future__ import annotations

from rich.console import Console

from provmode.fleet.results import HostOutcome
from provmode.fleet.undo import Undoing
from provmode.fleet.undo_preview import HostPreview, UndoPreview
from provmode.fleet.visit import short
from provmode.remediation.foresee import in_short
from provmode.report.coming import print_waves
from provmode.report.lines import and_left_out, count_of, fold, is_wide, line, names_of, print_left_out
from provmode.report.terminal import case_of

WOULD = {
    HostOutcome.RESTORED: "would be restored",
    HostOutcome.NOTHING: "nothing to restore",
    HostOutcome.STALE: "would be left as it is, at least in part",
    HostOutcome.FAILED: "would not be restored",
    HostOutcome.UNREACHED: "could not be looked at",
    HostOutcome.NOT_STARTED: "was not looked at",
    HostOutcome.DEFERRED: "was not looked at",
}
"""What an undo would make of a host, in words."""


def print_undoing(chosen: Undoing, source: str, console: Console) -> None:
    """Print what an undo is about to do, by its journal; *source* says where its limits come from."""
    rest = len(chosen.names) - chosen.restoring
    nothing = f"; {count_of(rest)} with nothing to restore" if rest else ""
    line(f"about to undo {count_of(chosen.restoring)}{nothing}", console, 0, "bold")
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
    for outcome, members in fold(preview.hosts, lambda host: WOULD[host.outcome]):
        line(f"{outcome}  {len(members)} of {total}", console, 0, "bold")
        if is_wide(console):
            for host in members:
                step = f" -> {host.next_step}" if host.next_step else ""
                line(f"{host.host}: {'; '.join(_lines(host))}{step}".removesuffix(": "), console, 2)
            continue
        for _, hosts in fold(members, lambda host: "\n".join((*_case(host), host.next_step))):
            line(names_of([host.host for host in hosts], console, len(hosts)), console, 2, "bold")
            for text in _lines(hosts[0]) if len(hosts) == 1 else _case(hosts[0]):
                line(text, console, 6)
            if hosts[0].next_step:
                line(f"-> {hosts[0].next_step}", console, 6)
    print_left_out(preview.excluded, console)
    changed = f", {preview.other_verdict} with another verdict" if preview.other_verdict else ""
    restored = f"{preview.count(HostOutcome.RESTORED)} would be restored"
    line(f"{count_of(total)}: {restored}{changed}{and_left_out(preview.excluded)}", console, 0, "bold")


def _case(host: HostPreview) -> list[str]:
    """Return what is said of a host without what differs from host to host, so that the same of many folds."""
    return [case_of(text, host.host) for text in _lines(host)]


def _lines(host: HostPreview) -> list[str]:
    """Return what is said of a host, without the next step."""
    seen = host.foreseen
    cause = f"{host.cause}: " if host.cause else ""
    detail = f"{cause}{host.detail}" if host.detail else ""
    if seen is None:
        return list(filter(None, (detail, *host.cannot)))
    after = "could not tell" if seen.then is None else seen.then.verdict.value
    verdict = f"verdict: {seen.now.verdict.value} now, {after} after the undo"
    return list(filter(None, (*seen.restored, *seen.left, detail, *host.cannot, verdict if seen.restored else "")))
