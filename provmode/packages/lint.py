"""What is worth knowing of a package before it is shipped: each a finding."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from provmode.packages.findings import FINDINGS, Finding, places
from provmode.packages.model import Command, Package
from provmode.reading import Absent

SOON = timedelta(days=30)
LONGEST_LINE = 8191
"""Characters of a line that cmd.exe takes."""


def lint(package: Package, *, now: datetime | None = None) -> tuple[Finding, ...]:
    """Return all findings of a package, what is contradictory in it first.

    Without *now* it is not said whether a token is dead.
    """
    found = [*package.findings, *_secrets(package), *_tokens(package, now), *_metadata(package), *_commands(package)]
    order = list(FINDINGS)
    return tuple(sorted(found, key=lambda each: (order.index(each.code), each.text)))


def _secrets(package: Package) -> Iterator[Finding]:
    found: dict[str, list[str]] = {"secret": [], "secret-in-command": [], "secret-in-file": []}
    for secret in package.secrets:
        in_file, in_command = "file" in secret.copies, secret.kind.endswith("in a command line")
        code = "secret-in-file" if in_file else "secret-in-command" if in_command else "secret"
        found[code].append(f"{secret.place} ({secret.kind})")
    for code, named in found.items():
        if named:
            yield Finding(code, f"{_count(len(named), 'secret')} readable by who has the file: {places(named)}")


def _tokens(package: Package, now: datetime | None) -> Iterator[Finding]:
    for token in package.tokens:
        if token.dead_at is None:
            yield Finding("token", f"{token.place}: the package does not say when it was made")
        elif now is not None and token.dead_at <= now:
            yield Finding("token-dead", f"{token.place}: dead since {token.dead_at:%Y-%m-%d} at the latest")
        elif now is not None and token.dead_at - now < SOON:
            yield Finding("token-ends-soon", f"{token.place}: dead on {token.dead_at:%Y-%m-%d} at the latest")


def _metadata(package: Package) -> Iterator[Finding]:
    metadata = package.metadata
    if isinstance(package.signature.signer, Absent):
        yield Finding("unsigned", "it is not signed")
    if metadata.rank == 0:
        yield Finding(
            "default-rank", f"between it and another {metadata.owner} package of rank 0 the winner is not documented"
        )
    if metadata.owner == "OEM":
        yield Finding("owner-loses", f"OEM {metadata.rank} loses to ITAdmin 0: 2099 at most against 5000 at least")


def _commands(package: Package) -> Iterator[Finding]:
    commands = [each for each in package.commands if not each.only_compiled]
    silent = [each for each in commands if not (each.success_codes or each.restart_codes or each.restart_required)]
    if silent:
        yield Finding("command-result", f"neither return codes nor a restart are set: {_names(silent)}")
    stops = [
        each for each in commands[:-1] if each.context == "PrimaryContext" and each.continue_install.lower() != "true"
    ]
    if stops:
        yield Finding("command-stops", f"what follows is not run if it fails: {_names(stops)}")
    restarts = [each for each in commands[:-1] if each.restart_required.lower() == "true"]
    if restarts:
        yield Finding("command-restarts", f"a restart before the last command: {_names(restarts)}")
    long = [each for each in package.commands if len(each.line) > LONGEST_LINE]
    if long:
        yield Finding("command-long", f"over {LONGEST_LINE:,} characters: {_names(long)}")
    unknown = [each for each in package.commands if each.as_system is None]
    if unknown:
        contexts = sorted({each.context for each in unknown})
        yield Finding("command-context", f"in {places(contexts)}: {_names(unknown)}")


def _names(commands: list[Command]) -> str:
    return places([each.name or f"{each.context} command {each.order}" for each in commands])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
