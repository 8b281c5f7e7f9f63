"""Packages in files as text: what two of them differ in, and which package's value holds."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from provmode.packages.diff import Change, What
from provmode.packages.errors import PackageUnreadable
from provmode.packages.precedence import POLICY_NOTE, Candidate, Outcome, Resolution, Resolved
from provmode.report.lines import is_wide, line
from provmode.report.packages.files import SHOWN, STYLE, ReadFile, print_unreadable, value_words
from provmode.text import LONGEST, shortened

# -- diff -------------------------------------------------------------------------------------------------------------

_SIGN = {What.ADDED: "+", What.REMOVED: "-", What.CHANGED: "~", What.UNTOLD: "?"}


def print_diff(old: ReadFile, new: ReadFile, changes: Sequence[Change], console: Console) -> None:
    """Print what two packages differ in, by part."""
    print_unreadable([file for file in (old, new) if isinstance(file.found, PackageUnreadable)], console)
    if isinstance(old.found, PackageUnreadable) or isinstance(new.found, PackageUnreadable):
        line("they could not be compared", console, 0, "bold")
        return
    line(f"{old.name}: {old.found}", console)
    line(f"{new.name}: {new.found}", console)
    parts: dict[str, list[Change]] = {}
    for change in changes:
        parts.setdefault(change.part, []).append(change)
    for part, members in parts.items():
        line(f"{part}  {len(members):,}", console, 0, "bold")
        shown = members if is_wide(console) else members[:SHOWN]
        for change in shown:
            line(f"{_SIGN[change.what]} {change.place}{_values(change)}", console, 2)
        if len(shown) < len(members):
            line(f"and {len(members) - len(shown):,} more; --wide prints them", console, 2)
    line(f"{len(changes):,} difference{'s' if len(changes) != 1 else ''}", console, 0, "bold")


def _values(change: Change) -> str:
    if change.before is None and change.after is None:
        return ": whether it is another one cannot be told" if change.what is What.UNTOLD else f": {change.what}"
    if change.before is None or change.after is None:
        return f": {shortened(change.before or change.after or '', LONGEST)}"
    if change.before == change.after:
        return f": {shortened(change.after, LONGEST)}, with another secret in it"
    return f": {shortened(change.before, LONGEST)} -> {shortened(change.after, LONGEST)}"


# -- resolve ----------------------------------------------------------------------------------------------------------


def print_resolved(files: Sequence[ReadFile], resolved: Resolved, console: Console) -> None:
    """Print which value holds for each setting that several packages set, and for each that is not decided."""
    unread = [file for file in files if isinstance(file.found, PackageUnreadable)]
    print_unreadable(unread, console)
    if unread:
        line("What these packages set is not known; each of them could win over those below.", console)
        console.print()
    for old, new in resolved.kept.replaced:
        line(f"{old} is replaced by {new}: an update, not a conflict", console)
    for copy, other in resolved.kept.copies:
        line(f"{copy} is the same as {other}", console)
    for finding in resolved.kept.findings:
        line(f"! {finding.code}: {finding.text}", console, 0, STYLE[finding.weight])
    alone = 0
    for resolution in resolved.settings:
        if resolution.outcome is Outcome.ALONE and not resolution.may_win and not is_wide(console):
            alone += 1
        else:
            _print_resolution(resolution, console)
    if alone:
        line(f"{alone:,} more, each set by one package only; --wide prints them", console)
    if resolved.commands:
        many = f"{resolved.commands:,} command{'s' if resolved.commands != 1 else ''}"
        line(f"{many}: each package runs its own, so none is a conflict", console)
    if any(each.is_policy for each in resolved.settings):
        line(f"note: {POLICY_NOTE}", console)
    outcomes = [each.outcome for each in resolved.settings]
    counts = ", ".join(f"{outcomes.count(each):,} {_OUTCOMES[each]}" for each in Outcome if each in outcomes)
    line(f"{len(outcomes):,} setting{'s' if len(outcomes) != 1 else ''}: {counts or 'none'}", console, 0, "bold")


_OUTCOMES = {
    Outcome.ALONE: "set by one package",
    Outcome.WINS: "decided",
    Outcome.SAME: "of one value whoever wins",
    Outcome.CONDITIONAL: "only under conditions",
    Outcome.UNDECIDED: "undecided",
}


def _print_resolution(resolution: Resolution, console: Console) -> None:
    style = "bold red" if resolution.outcome is Outcome.UNDECIDED else "bold"
    line(f"{resolution.path}  {resolution.outcome}", console, 0, style)
    line(resolution.why, console, 2)
    for candidate in resolution.candidates:
        sign = "=" if candidate is resolution.winner else " "
        line(f"{sign} {_candidate(candidate)}", console, 4)
    if resolution.may_win:
        line("may hold instead, if its conditions do; whether it does is not documented:", console, 2)
    for candidate in resolution.may_win:
        line(f"? {_candidate(candidate)} if {shortened(str(candidate.setting.when), LONGEST)}", console, 4)
    if resolution.difference:
        line(f"! {resolution.difference.text}", console, 2, "yellow")


def _candidate(candidate: Candidate) -> str:
    at = "?" if candidate.ordered_by is None else str(candidate.ordered_by)
    return f"{at:>5} {candidate.given}: {value_words(candidate.setting)}"
