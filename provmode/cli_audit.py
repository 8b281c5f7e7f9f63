"""Running an audit from the command line, and showing it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provmode.cli_running import console_for, interruptible, progress_bar
from provmode.errors import UsageError

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
    from provmode.report.document import as_json

    if output is None:
        if output_format == "json":
            sys.stdout.write(as_json(found))
        else:
            _print(found, None)
        return
    try:
        with output.open("w", encoding="utf-8") as file:
            if output_format == "json":
                file.write(as_json(found))
            else:
                _print(found, file)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None


def _print(found: Audit, file: Any) -> None:
    from provmode.report.terminal import print_audit

    print_audit(found, console_for(file))
