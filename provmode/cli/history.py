"""``provmode history``: what runs remembered. No PC is asked."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provmode.ccm.verdict import SEVERITY
from provmode.cli.common import (
    complain,
    configuration,
    console_for,
    file_path,
    format_option,
    key_file_option,
    print_json,
    printing,
)
from provmode.cli.keys import is_named, journal_keys, unless_secret
from provmode.cli.remembering import history as opened
from provmode.cli.remembering import inventory_name, reading_history
from provmode.clock import utc_now
from provmode.errors import ProvmodeError, UsageError
from provmode.fleet.configuration import KEPT_DAYS
from provmode.fleet.results import BAD_USAGE, COMPLIANT, EXIT_CODES

if TYPE_CHECKING:
    from provmode.history.run import NewRun
    from provmode.signing.keys import Keys

LONGEST_LINE = 1 << 20
"""Bytes of the first line that say whether a file is a journal."""


@click.group(epilog=EXIT_CODES["history"].help, invoke_without_command=False)
def history() -> None:
    """Show what runs remembered, import old reports, and forget. No PC is asked."""


@history.command(epilog=EXIT_CODES["history"].help)
@click.option(
    "--kind", type=click.Choice(["audit", "plan", "push", "apply", "undo"]), multiple=True, help="Only these."
)
@click.option("--last", type=click.IntRange(1), default=30, show_default=True, help="How many.")
@format_option
def runs(kind: tuple[str, ...], last: int, output_format: str) -> int:
    """List runs, the latest first."""
    from provmode.history.reader import History
    from provmode.report.past import print_runs, runs_json

    with reading_history() as connection:
        found = History(connection).runs(kinds=kind, limit=last)
    with printing():
        if output_format == "json":
            print_json(runs_json(found))
        else:
            print_runs(found, console_for(None))
    return COMPLIANT


@history.command(epilog=EXIT_CODES["history"].help)
@click.argument("run")
@click.option(
    "--only",
    type=click.Choice([verdict.value for verdict in SEVERITY]),
    multiple=True,
    help="Only hosts with this verdict: unassessed shows who is away, why, since when, and what was last known.",
)
@format_option
def show(run: str, only: tuple[str, ...], output_format: str) -> int:
    """Show what was known of every host at RUN: its number, the beginning of its id, or last."""
    from provmode.history.reader import History
    from provmode.report.past import print_run, whole_run_json

    with reading_history() as connection:
        read = History(connection)
        found = read.run(run)
        hosts = [host for host in read.state(found) if not only or host.verdict in only]
        changes = read.changes_of(found) if not only else []
        with printing():
            if output_format == "json":
                print_json(whole_run_json(found, hosts, changes))
            else:
                print_run(found, hosts, changes, console_for(None))
    return COMPLIANT


@history.command(epilog=EXIT_CODES["history"].help)
@click.argument("name")
@format_option
def host(name: str, output_format: str) -> int:
    """Show everything that is known of the host NAME: its verdicts since when, when it was away, what was changed."""
    from provmode.history.reader import History
    from provmode.report.past import print_timeline, timeline_json

    with reading_history() as connection:
        found = History(connection).timeline(name)
    with printing():
        if output_format == "json":
            print_json(timeline_json(found))
        else:
            print_timeline(found, utc_now(), console_for(None))
    return COMPLIANT


@history.command("import", epilog=EXIT_CODES["history"].help)
@click.argument("files", metavar="FILE...", type=file_path(), nargs=-1, required=True)
@click.option("--inventory", metavar="INVENTORY", help="The inventory of the runs, instead of the one that each names.")
@key_file_option
def import_(files: tuple[Path, ...], inventory: str | None, key_file: Path | None) -> int:
    """Import reports of audits (JSON), plans and journals that were kept. What is there already is left as it is.

    A journal is checked with the key of --key-file. Without it, it is checked if one of the known keys signed it.
    """
    from dataclasses import replace

    from provmode.history.writer import write

    code, runs = COMPLIANT, []
    keys, strict = journal_keys(unless_secret(key_file)), is_named("key_file")
    for file in files:
        try:
            runs += [(file, run) for run in _runs_in(file, keys, strict=strict)]
        except ProvmodeError as error:
            complain(str(error))
            code = BAD_USAGE
    with opened() as database, printing():
        for file, run in sorted(runs, key=lambda pair: pair[1].began):
            named = inventory_name(inventory or run.inventory)
            new = write(database, replace(run, inventory=named))
            print(f"{file}: {run.kind} of {run.began:%Y-%m-%d %H:%M} UTC, {'imported' if new else 'there already'}")
    return code


def _runs_in(file: Path, keys: Keys | None, *, strict: bool) -> list[NewRun]:
    """Return the runs that a file is the record of. A journal has to be signed with one of the *keys* if *strict*.

    Raises:
        ProvmodeError: it is none, or cannot be read.
    """
    from provmode.fleet.journal_chain import KeyMissing
    from provmode.history.journals import runs_of
    from provmode.history.kept_file import read_kept
    from provmode.history.reports import run_of

    content = read_kept(file)
    if b'"event"' in content.partition(b"\n")[0][:LONGEST_LINE]:
        try:
            return runs_of(file, keys)
        except KeyMissing:
            if strict:
                raise
            return runs_of(file, None)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise UsageError(
            f"{file} is no JSON", next_step="give what --format json wrote, a plan, or a journal"
        ) from None
    return [run_of(document, str(file))]


@history.command(epilog=EXIT_CODES["history"].help)
@click.option(
    "--older-than", type=click.IntRange(*KEPT_DAYS), metavar="DAYS", help="Days; else keep_days of [history]."
)
@click.option("--dry", is_flag=True, help="Only say how much that is.")
def prune(older_than: int | None, dry: bool) -> int:
    """Forget old runs. The last complete audit of each inventory stays, and what was last known of each host."""
    from provmode.history.pruning import prune as forget

    days = older_than or configuration().table("history").get("keep_days")
    if not days:
        raise UsageError("it is not said how old runs have to be", next_step="give --older-than DAYS")
    with opened() as database:
        pruned = forget(database, utc_now() - timedelta(days=days), dry=dry)
    with printing():
        would = "would be forgotten" if dry else "forgotten"
        print(f"older than {days} days: {pruned.runs:,} runs {would}, {pruned.spans:,} spans, {pruned.hosts:,} hosts")
    return COMPLIANT
