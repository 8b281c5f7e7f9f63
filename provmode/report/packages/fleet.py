"""The packages of a fleet as text: which there are, what was found, what could not be told; the worst first.

At a terminal the same on many hosts is one entry. Elsewhere each host has a line of its own that begins with its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from provmode.ccm.verdict import CORRECT_THE_VALUE, step_for
from provmode.fleet.packages.found import FleetPackage, PackagesFound
from provmode.fleet.packages.kinds import FINDINGS, Unread
from provmode.packages.findings import Weight
from provmode.packages.model import Package
from provmode.packages.on_pc.package import OF_THE_PACKAGE
from provmode.reading import Absent, Known
from provmode.report.lines import and_left_out, count_of, fold, is_wide, line, names_of, print_left_out, print_missing
from provmode.report.terminal import case_of

_STYLE = {Weight.WRONG: "bold red", Weight.RISK: "bold yellow", Weight.HINT: "bold cyan"}
_CASES = 8
"""How many different findings of one kind are printed at a terminal; wide reports and the JSON have all of them."""
HASH_SHOWN = 16
"""Characters of a hash that are printed at a terminal."""


def print_packages(found: PackagesFound, console: Console) -> None:
    """Print the whole report."""
    _packages([package for package in found.packages if not package.inbox], console)
    for code, kind in FINDINGS.items():
        pairs = [(host, finding) for host in found.hosts for finding in host.findings if finding.code == code]
        if pairs:
            hosts = len({host.host for host, _ in pairs})
            _heading(code, f"{hosts} of {len(found.selected)}", kind.means, _STYLE[kind.weight], console)
            _cases([(host.host, finding.text) for host, finding in pairs], console)
            line(f"-> {kind.to_do}", console, 6)
            console.print()
    _unread(found, console)
    _unassessed(found, console)
    _inbox(found, console)
    if found.interrupted:
        print_missing(found.missing, len(found.selected), console)
    print_left_out(found.excluded, console)
    _total(found, console)


def _heading(word: str, count: str, means: str, style: str, console: Console) -> None:
    line(Text.assemble((word, style), (f"  {count}", "bold"), f"  {means}"), console)


def _packages(packages: Sequence[FleetPackage], console: Console) -> None:
    if not packages:
        return
    _heading("packages", str(len(packages)), "different ones, but for those that every Windows has", "bold", console)
    for each in packages:
        places = ", ".join(f"{place} {count}" for place, count in sorted(each.places.items()))
        digest = each.sha256 if is_wide(console) else f"{each.sha256[:HASH_SHOWN]}..."
        line(each.label, console, 2, "bold")
        line(f"{count_of(len(each.hosts))} ({places}): {names_of(each.hosts, console)}", console, 6)
        line(f"{about(each)}; SHA-256 {digest}", console, 6)
    console.print()


def about(each: FleetPackage) -> str:
    """Return in a line whose package it is, who signed it, and what is in it."""
    if not isinstance(each.package, Known):
        return "could not be read"
    package = each.package.value
    data = package.metadata
    parts = [f"{data.owner} {data.rank if data.rank is not None else 'without a rank'}, {data.id}", signed(package)]
    parts += [_many(len(package.settings), "setting")]
    parts += [f"{_many(len(package.commands), 'command')} as SYSTEM"] if package.commands else []
    parts += [_many(len(package.secrets), "secret")] if package.secrets else []
    return "; ".join(parts)


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def signed(package: Package) -> str:
    """Return in words by whom a package is signed, and whether it is intact."""
    signature = package.signature
    if isinstance(signature.signer, Absent):
        return "unsigned"
    if not isinstance(signature.signer, Known):
        return "signed in a way that could not be read"
    intact = "not checked"
    if isinstance(signature.intact, Known):
        intact = "intact" if signature.intact.value else "NOT as it was signed"
    return f"signed by {signature.signer.value.subject} ({intact})"


def _cases(found: Sequence[tuple[str, str]], console: Console) -> None:
    """Print what concerns which host: in a wide report a line for each, else the same on many hosts in one entry."""
    if is_wide(console):
        for host, text in found:
            line(f"{host}: {text}", console, 2)
        return
    cases = fold(found, lambda pair: pair[1])
    for text, same in cases[:_CASES]:
        hosts = list(dict.fromkeys(host for host, _ in same))
        count = f"{count_of(len(hosts))}: " if len(hosts) > 1 else ""
        line(f"{count}{names_of(hosts, console)}", console, 2, "bold")
        line(text, console, 6)
    rest = list(dict.fromkeys(host for _, same in cases[_CASES:] for host, _ in same))
    if rest:
        line(f"{names_of(rest, console)}: {len(cases) - _CASES} more; --wide prints them", console, 2)


def _unread(found: PackagesFound, console: Console) -> None:
    pairs = [(host.host, each) for host in found.hosts for each in host.judged.unread]
    if not pairs:
        return
    hosts = len({host for host, _ in pairs})
    _heading(
        "could not tell", f"{hosts} of {len(found.selected)}", "part of it could not be read", "bold yellow", console
    )
    for step, members in fold(pairs, lambda pair: _step(pair[1])):
        rows = [(host, f"{each.cause}: {each.text}") for host, each in members]
        _cases(rows if is_wide(console) else [(host, case_of(text, host)) for host, text in rows], console)
        line(f"-> {step}", console, 6)
    console.print()


_STEPS = {
    "not-read": "run again",
    "shells-forbidden": "allow it in the group policy 'Allow Remote Shell Access': hashes and results need a shell",
    "too-large": "copy the package, and read it with `provmode package show`",
}


def _step(each: Unread) -> str:
    if each.cause.startswith(OF_THE_PACKAGE):
        return "the package is the same everywhere; look at the project that it was built from"
    step = step_for(each.cause)
    return _STEPS.get(each.cause) or ("look at it on the PC" if step == CORRECT_THE_VALUE else step)


def _unassessed(found: PackagesFound, console: Console) -> None:
    hosts = [(host, host.failure) for host in found.hosts if host.failure is not None]
    if not hosts:
        return
    _heading("unassessed", f"{len(hosts)} of {len(found.selected)}", "could not be looked at", "bold yellow", console)
    if is_wide(console):
        for host, failure in hosts:
            line(f"{host.host}: {failure.cause}: {failure.reason} -> {failure.next_step}", console, 2)
    else:
        for cause, members in fold(hosts, lambda pair: pair[1].cause or "protocol"):
            line(f"{cause}  {len(members)}", console, 2, "bold")
            for step, same in fold(members, lambda pair: pair[1].next_step):
                for reason, alike in fold(same, lambda pair: case_of(pair[1].reason, pair[0].host))[:_CASES]:
                    line(names_of([host.host for host, _ in alike], console), console, 6)
                    line(alike[0][1].reason if len(alike) == 1 else reason, console, 6)
                line(f"-> {step}", console, 6)
    console.print()


def _inbox(found: PackagesFound, console: Console) -> None:
    inbox = [package for package in found.packages if package.inbox]
    if inbox:
        hosts = len({host for package in inbox for host in package.hosts})
        words = f"{len(inbox)} packages of Windows itself (by place and name) on {count_of(hosts)}: set apart"
        line(words, console)
        console.print()


def _total(found: PackagesFound, console: Console) -> None:
    summary = found.summary()
    words = f"{summary['findings']} with findings, {summary['clean']} without, "
    words += f"{summary['not_told']} not told in full, {summary['unassessed']} not looked at"
    line(f"{count_of(summary['total'])}: {words}{and_left_out(found.excluded)}", console, 0, "bold")
