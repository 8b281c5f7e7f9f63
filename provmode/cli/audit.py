"""Running an audit from the command line, and showing it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provmode.atomic_file import write_output
from provmode.cli.common import console_for, interruptible, print_json, progress_bar

if TYPE_CHECKING:
    from provmode.fleet.audit import Audit


def run_audit_of(
    inventory: str,
    *,
    limit: tuple[str, ...] = (),
    override: dict[str, Any] | None = None,
    parallel: int,
) -> Audit:
    """Audit the hosts of an inventory, with progress, until interrupted."""
    from provmode.fleet.audit import run_audit
    from provmode.fleet.inventory import load

    fleet = load(inventory, override=override)
    names = fleet.select(limit)
    with interruptible() as stopped, progress_bar("looking at hosts", len(names)) as tell:
        return run_audit(fleet, names, progress=tell, stop=stopped, working=parallel)


def show_audit(found: Audit, output_format: str = "text", output: Path | None = None) -> None:
    """Print an audit on standard output, or write it to a file."""
    from provmode.report.document import as_json, document
    from provmode.report.terminal import print_audit

    if output is not None:
        write_output(output, as_json(found) if output_format == "json" else _as_text(found))
    elif output_format == "json":
        print_json(document(found), 2)
    else:
        print_audit(found, console_for(None))


def _as_text(found: Audit) -> str:
    from provmode.report.terminal import print_audit

    file = io.StringIO()
    print_audit(found, console_for(file))
    return file.getvalue()
