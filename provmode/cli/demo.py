"""``provmode demo``: a lab fleet, audited through pyinfra; with ``--fix`` the whole way to a fleet that complies."""

from __future__ import annotations

import secrets
import tempfile
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from provmode.atomic_file import check_output
from provmode.cli.apply import run_apply_of, show_apply
from provmode.cli.audit import run_audit_of, show_audit
from provmode.cli.common import file_path, format_option, parallel_option, print_json
from provmode.cli.plan import run_plan_of, show_plan
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.results import EXIT_CODES, INTERRUPTED


@click.command(epilog=EXIT_CODES["demo"].help)
@click.option("--hosts", type=click.IntRange(1), default=60, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@format_option
@click.option("--truth", type=file_path(), help="Write which PC is what to this file.")
@click.option("--fix", is_flag=True, help="Then plan, apply in two waves, audit again, and apply again.")
@parallel_option
def demo(hosts: int, seed: int, output_format: str, truth: Path | None, fix: bool, parallel: int) -> int:
    """Start a lab fleet of simulated PCs, audit it through pyinfra, and stop it again."""
    from provmode.lab.process import LabError, LabProcess

    if truth is not None:
        check_output(truth)
    with tempfile.TemporaryDirectory(prefix="provmode-demo-") as folder:
        inventory = Path(folder, "lab.py")
        try:
            with LabProcess(hosts, seed, truth=truth, inventory=inventory):
                if fix:
                    return _fix_fleet(str(inventory), Path(folder), output_format, parallel=parallel)
                found = run_audit_of(str(inventory), parallel=parallel)
        except LabError as error:
            raise UsageError(f"the lab could not be run: {error}") from None
    show_audit(found, output_format)
    return found.exit_code()


def _fix_fleet(inventory: str, folder: Path, output_format: str, *, parallel: int) -> int:
    """Audit, plan, apply in two waves, audit again, apply again; print each. Returns the second audit's exit code.

    As JSON it is one object: ``before`` and ``after`` (audits), ``plan``, ``applied`` and ``again``. Ctrl-C ends it in
    the stage it is in, with what is known so far.
    """
    from provmode.fleet.plan_file import load, sign, write
    from provmode.report.document import document

    text, key, path = output_format == "text", secrets.token_bytes(32), folder / "plan.json"
    reports: dict[str, Any] = {}

    def heading(words: str) -> None:
        if text:
            print(f"==== {words} ====\n", flush=True)

    def goes_on(name: str, report: Callable[[], Any], show: Callable[[], None], *, interrupted: bool) -> bool:
        """Show one stage, or keep it for the JSON; return whether the demo goes on."""
        if text:
            show()
            print(flush=True)
        else:
            reports[name] = report()
            if interrupted or name == "again":
                print_json(reports, 2)
        return not interrupted

    heading("audit")
    before = run_audit_of(inventory, parallel=parallel)
    if not goes_on("before", lambda: document(before), lambda: show_audit(before), interrupted=before.interrupted):
        return INTERRUPTED
    heading("plan")
    planned = run_plan_of(inventory, parallel=parallel)
    unsigned = planned.document(
        plan_id=str(uuid.uuid4()), inventory=inventory, limit=(), by="demo", now=utc_now(), valid=timedelta(hours=1)
    )
    stopped = planned.audit.interrupted
    if not goes_on("plan", lambda: unsigned, lambda: show_plan(planned), interrupted=stopped):
        return INTERRUPTED
    write(path, sign(unsigned, key))
    plan = load(path, key, unsigned=False, now=utc_now())
    heading("apply, in two waves")
    first, second = folder / "first.journal", folder / "second.journal"
    applied = run_apply_of(plan, inventory, journal=first, wave="25%", soak=1.0, parallel=parallel, key=key)
    if not goes_on("applied", applied.to_json, lambda: show_apply(applied), interrupted=applied.interrupted):
        return INTERRUPTED
    heading("second audit")
    after = run_audit_of(inventory, parallel=parallel)
    if not goes_on("after", lambda: document(after), lambda: show_audit(after), interrupted=after.interrupted):
        return INTERRUPTED
    heading("second apply of the same plan")
    again = run_apply_of(plan, inventory, journal=second, parallel=parallel)
    if not goes_on("again", again.to_json, lambda: show_apply(again), interrupted=again.interrupted):
        return INTERRUPTED
    return after.exit_code()
