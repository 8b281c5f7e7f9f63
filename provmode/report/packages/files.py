"""Packages in files as text: what is in them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console

from provmode.packages.container import Signature
from provmode.packages.errors import PackageUnreadable
from provmode.packages.findings import Finding, Weight
from provmode.packages.model import Command, Holds, Package, Setting
from provmode.reading import Absent, Known, Unknown
from provmode.report.lines import fold, is_wide, line, names_of
from provmode.text import LONGEST, shortened

SHOWN = 40
"""Settings, files and the like of one package that are shown at a terminal; wide reports have all of them."""


@dataclass(frozen=True)
class ReadFile:
    """A file, and what is in it or why that could not be told."""

    name: str
    found: Package | PackageUnreadable
    findings: tuple[Finding, ...] = ()

    @property
    def counts(self) -> bool:
        """Return whether there is a finding that is more than a hint."""
        return any(finding.counts for finding in self.findings)


# -- show -----------------------------------------------------------------------------------------------------------


def print_packages(files: Sequence[ReadFile], console: Console) -> None:
    """Print what is in each package."""
    for file in files:
        if isinstance(file.found, PackageUnreadable):
            print_unreadable([file], console)
            continue
        line(file.name, console, 0, "bold")
        _print_package(file.found, console)
        _print_findings(file.findings, console)
        console.print()
    _total(files, console)


def _print_package(package: Package, console: Console) -> None:
    told = package.metadata
    line(f"{told.name or 'no name'} {told.version}  {told.id}", console, 2)
    at = f"altitude {told.altitude}" if told.altitude is not None else "no altitude"
    line(f"owner type {told.owner or 'none'}, rank {'no number' if told.rank is None else told.rank}, {at}", console, 2)
    made = f"made {told.created:%Y-%m-%d %H:%M:%S} UTC" if told.created else "no time when it was made"
    by = f" with version {told.designer} of the designer" if told.designer else ""
    line(f"{made}{by}; {package.size:,} bytes, {package.files:,} files", console, 2)
    line(signature_words(package.signature), console, 2)
    for name, text in (("description", told.description), ("notes", told.notes)):
        if text:
            line(f"{name}: {shortened(text, LONGEST)}", console, 2)
    always = [each for each in package.settings if each.when is None]
    parts = sum(each.is_command for each in always)
    words = "settings" + (f", without {parts:,} that make up the commands below" if parts else "")
    _section(words, [setting_words(each) for each in always if not each.is_command], console)
    under = [(f"{each.when.kind}: {each.when}", each) for each in package.settings if each.when is not None]
    for condition, pairs in fold(under, lambda pair: pair[0]):
        rows = [setting_words(setting) for _, setting in pairs]
        _section(f"settings under conditions, {shortened(condition, LONGEST)}", rows, console)
    _section("commands", [command_words(each) for each in package.commands], console)
    _section("files that come with it", [_asset(each.path, each.size, each.sha256) for each in package.assets], console)
    secrets = [f"{each.place}: {each.kind} ({', '.join(each.copies)})" for each in package.secrets]
    _section("secrets, readable by who has the file", secrets, console)
    dead = [
        f"{each.place}: "
        + (f"dead on {each.dead_at:%Y-%m-%d} at the latest" if each.dead_at else "how old is not known")
        for each in package.tokens
    ]
    _section("tokens", dead, console)


def _section(heading: str, rows: Iterable[str], console: Console) -> None:
    lines = list(rows)
    if not lines:
        return
    line(f"{heading}  {len(lines):,}", console, 2, "bold")
    shown = lines if is_wide(console) else lines[:SHOWN]
    for row in shown:
        line(row, console, 4)
    if len(shown) < len(lines):
        line(f"and {len(lines) - len(shown):,} more; --wide prints them", console, 4)


def _asset(path: str, size: int, sha256: str) -> str:
    return f"{path}, {size:,} bytes" + (f", SHA-256 {sha256}" if sha256 else "")


def setting_words(setting: Setting) -> str:
    """Return a setting in a line: its path, its value unless that is a secret, and its stage."""
    return f"{setting.path} = {value_words(setting)} [{setting.source or 'stage not known'}]"


def value_words(setting: Setting) -> str:
    """Return the value of a setting, or what stands for it."""
    if setting.holds is Holds.SECRET:
        return "(a secret, not shown)"
    if setting.holds is Holds.EMPTY:
        return "(empty)"
    return shortened(setting.value, LONGEST)


def command_words(command: Command) -> str:
    """Return a command in a line: what it runs, as whom, and what follows."""
    who = "as SYSTEM" if command.as_system else "as whom is not known"
    name = f" {command.name}" if command.name else ""
    told = (
        ("continues after a failure: ", command.continue_install),
        ("restarts: ", command.restart_required),
        ("success: ", command.success_codes),
        ("restart: ", command.restart_codes),
        ("files: ", ", ".join(command.files)),
        ("if ", str(command.when) if command.when else ""),
    )
    more = "; ".join(before + shortened(value, LONGEST) for before, value in told if value)
    hidden = " ONLY COMPILED, not in the source;" if command.only_compiled else ""
    words = f"{command.order}.{name} ({command.context}, {who}):{hidden} {shortened(command.line, 2 * LONGEST)}"
    return f"{words} [{more}]" if more else words


def signature_words(signature: Signature) -> str:
    """Return the signature in a line: by whom, whether the package is intact, when."""
    if isinstance(signature.signer, Absent):
        return "not signed"
    if isinstance(signature.signer, Unknown):
        return f"its signature cannot be read: {signature.signer.detail}"
    by, intact = signature.signer.value, "whether it is intact is not known"
    if isinstance(signature.intact, Known):
        intact = "intact" if signature.intact.value else "CHANGED SINCE"
    stamp = signature.stamped
    when = f" on {stamp.value.when:%Y-%m-%d %H:%M} UTC, by a time stamp" if isinstance(stamp, Known) else ""
    who = f"{shortened(by.subject, LONGEST)} (SHA-1 {by.sha1})"
    return f"signed by {who}{when}; {intact}; whether a PC trusts it, only that PC can tell"


# -- findings -------------------------------------------------------------------------------------------------------

STYLE = {Weight.WRONG: "bold red", Weight.RISK: "yellow", Weight.HINT: ""}


def _print_findings(findings: Sequence[Finding], console: Console) -> None:
    for finding in findings:
        if finding.counts:
            line(f"! {finding.code}: {finding.text}", console, 2, STYLE[finding.weight])


def print_lint(files: Sequence[ReadFile], console: Console) -> None:
    """Print what is worth knowing of each package, folded by what is the same."""
    print_unreadable([file for file in files if isinstance(file.found, PackageUnreadable)], console)
    pairs = [(finding, file.name) for file in files for finding in file.findings]
    for weight in Weight:
        for _, same in fold(
            [pair for pair in pairs if pair[0].weight is weight], lambda pair: f"{pair[0].code} {pair[0].text}"
        ):
            finding = same[0][0]
            line(f"{finding.weight}  {finding.code}", console, 0, STYLE[weight])
            line(names_of([name for _, name in same], console), console, 2)
            line(finding.text, console, 2)
            line(f"-> {finding.to_do}", console, 2)
    if pairs:
        console.print()
    _total(files, console)


def print_unreadable(files: Sequence[ReadFile], console: Console) -> None:
    """Print which packages could not be read, and why, folded by the reason."""
    for _, same in fold(files, lambda file: str(file.found)):
        error = same[0].found
        if isinstance(error, PackageUnreadable):
            line(f"could not be read: {error.cause}", console, 0, "bold red")
            line(names_of([file.name for file in same], console), console, 2)
            line(error.what, console, 2)
            if error.next_step:
                line(f"-> {error.next_step}", console, 2)
    if files:
        console.print()


def _total(files: Sequence[ReadFile], console: Console) -> None:
    unread = sum(isinstance(file.found, PackageUnreadable) for file in files)
    found = sum(file.counts for file in files)
    parts = [
        f"{count:,} {what}"
        for count, what in (
            (len(files) - unread - found, "without findings"),
            (found, "with findings"),
            (unread, "that could not be read"),
        )
        if count
    ]
    line(f"{count_of(len(files))}: {', '.join(parts)}", console, 0, "bold")


def count_of(number: int) -> str:
    """Return a number of packages in words."""
    return f"{number:,} package{'s' if number != 1 else ''}"
