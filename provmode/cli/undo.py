"""``provmode undo``: restore what a run changed, by its journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from provmode.cli.common import (
    InventoryName,
    complain,
    configured,
    confirmed,
    console_for,
    data_option,
    file_path,
    format_option,
    has_terminal,
    key_file_option,
    limits_by_name,
    limits_options,
    print_json,
    printing,
    refused_logons,
    run_options,
    running,
    say,
    say_if_no_name_resolves,
    usual_limits,
    yes_option,
)
from provmode.cli.guarding import guards_of
from provmode.cli.keys import journal_key_option, journal_keys
from provmode.cli.remembering import remember_journal
from provmode.cli.windows import Guarding, change_option, guard_options
from provmode.fleet.results import EXIT_CODES, INTERRUPTED, REFUSED


@click.command(epilog=EXIT_CODES["undo"].help)
@click.argument("journal", type=file_path())
@click.option("--inventory", type=InventoryName(), metavar="INVENTORY", required=True, help="Inventory of the run.")
@click.option("--dry", is_flag=True, help="Only look, and say what would be restored and what verdict would follow.")
@click.option("--only", multiple=True, metavar="KIND", help="Only tcf, service, registry or packages; may be repeated.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this host of the journal; may be repeated.")
@limits_options
@guard_options
@change_option
@yes_option
@data_option
@key_file_option
@click.option("--unsigned", is_flag=True, help="Accept an unsigned journal.")
@journal_key_option
@format_option
@run_options
def undo(
    journal: Path,
    inventory: str,
    dry: bool,
    only: tuple[str, ...],
    hosts: tuple[str, ...],
    yes: bool,
    data: tuple[str, ...],
    key_file: Path | None,
    unsigned: bool,
    journal_key: Path | None,
    output_format: str,
    retry: bool,
    stop_file: Path | None,
    change: str | None,
    **_: Any,
) -> int:
    """Restore files, start modes and the registry to the state before the run of JOURNAL. The mode is not restored.

    Packages that were added are removed; most of their settings stay.

    This brings back what was broken: a mended PC can be armed again, or its client disabled. --dry says which. At a
    terminal that is looked at and asked first. --yes restores without a question.
    """
    from provmode.connector.host_data import read_override
    from provmode.fleet.guards import RunRefused
    from provmode.fleet.journal import signing_key
    from provmode.fleet.selection import expand, expanded
    from provmode.fleet.undo import undo_run, undoing
    from provmode.fleet.undo_preview import preview_undo
    from provmode.report.changes import print_undo
    from provmode.report.lines import count_of
    from provmode.report.undoing import print_preview, print_undoing

    guarding = None if dry else Guarding("undo")
    usual = usual_limits()
    limits = expanded(usual.limits.changed(limits_by_name()))
    options: dict[str, Any] = {
        "hosts": expand("--host", hosts),
        "kinds": _kinds(only),
        "limits": limits,
        "key": journal_keys(key_file, journal_key),
        "unsigned": unsigned,
        "override": read_override(data),
    }
    source = configured(inventory)
    chosen = undoing(journal, source, **options)
    if chosen.state.signed and not dry:
        signing_key(options["key"])  # there has to be one, before anybody is asked
    if guarding is not None:
        guarding.about(change=change or "", journal=journal, inventory=inventory, plan=chosen.state.plan_id)
    with refused_logons(retry=retry):
        if dry or (not yes and has_terminal()):
            with running("looking at hosts", limits.parallel) as common:
                preview = preview_undo(chosen, **common)
            if dry:
                with printing():
                    if output_format == "json":
                        print_json(preview.to_json())
                    else:
                        print_preview(preview, console_for(None))
                say_if_no_name_resolves(preview)
                return preview.exit_code()
            say(lambda console: print_preview(preview, console))
            if preview.interrupted:
                return INTERRUPTED
        say(lambda console: print_undoing(chosen, usual.source, console))
        if not confirmed(f"Restore this on {count_of(chosen.restoring)}?", yes=yes):
            return REFUSED
        try:
            with running("undoing", limits.parallel) as common:
                guards = [*(guarding.guards if guarding is not None else ()), *guards_of(stop_file)]
                result = undo_run(journal, source, guards=guards, change=change or "", **options, **common)
        except RunRefused as error:
            complain(str(error))
            return REFUSED
    if result.notice:
        complain(result.notice)
    with printing(changes=True):
        if output_format == "json":
            print_json(result.to_json())
        else:
            print_undo(result, console_for(None))
    say_if_no_name_resolves(result)
    return remember_journal(journal, options["key"], result.exit_code(), inventory=inventory)


def _kinds(only: tuple[str, ...]) -> list[str] | None:
    """Return the kinds of step that the words of ``--only`` mean; ``None`` if there is none."""
    from provmode.errors import UsageError
    from provmode.fleet.undo import UNDO_KINDS

    kinds: list[str] = []
    for word in (word.strip() for part in only for word in part.split(",")):
        if word not in UNDO_KINDS:
            raise UsageError(f"--only {word} is not a kind of change", next_step=f"give {', '.join(UNDO_KINDS)}")
        kinds += UNDO_KINDS[word]
    return kinds or None
