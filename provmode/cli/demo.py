"""``provmode demo``: audit a lab fleet through pyinfra; with ``--fix`` also plan, apply and audit again."""

from __future__ import annotations

import secrets
import tempfile
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.atomic_file import check_output
from provmode.cli.apply import run_apply_of, show_apply
from provmode.cli.audit import run_audit_of, show_audit
from provmode.cli.common import file_path, format_option, parallel_option, print_json, printing
from provmode.cli.plan import run_plan_of, show_plan
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.results import EXIT_CODES, INTERRUPTED

if TYPE_CHECKING:
    from provmode.fleet.audit import Audit
    from provmode.fleet.plan_file import Plan


@click.command(epilog=EXIT_CODES["demo"].help)
@click.option("--hosts", type=click.IntRange(1), default=60, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@format_option
@click.option("--truth", type=file_path(), help="Write the true verdict of each PC to this file.")
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


class _Interrupted(Exception):
    """Ctrl-C ended a stage; what is known of it was printed."""


class _Stages:
    """Prints each stage of the demo as it ends; for JSON it collects them and prints one object at the end."""

    def __init__(self, *, as_text: bool) -> None:
        self._as_text = as_text
        self._reports: dict[str, Any] = {}

    def begin(self, words: str) -> None:
        if self._as_text:
            with printing():
                print(f"==== {words} ====\n")

    def end(self, name: str, report: Callable[[], Any], show: Callable[[], None], *, interrupted: bool) -> None:
        """Print a stage or keep its *report*.

        Raises:
            _Interrupted: the stage was interrupted.
        """
        if self._as_text:
            show()
            with printing():
                print()
        else:
            self._reports[name] = report()
        if interrupted:
            self.finish()
            raise _Interrupted

    def finish(self) -> None:
        """Print the JSON object."""
        if not self._as_text:
            with printing():
                print_json(self._reports, 2)


def _fix_fleet(inventory: str, folder: Path, output_format: str, *, parallel: int) -> int:
    """Audit, plan, apply in two waves, audit again, apply again; print each. Returns the second audit's exit code.

    The JSON is one object: ``before`` and ``after`` (audits), ``plan``, ``applied`` and ``again``. Ctrl-C ends the
    demo in its current stage, and the results so far are printed.
    """
    stages = _Stages(as_text=output_format == "text")
    try:
        code = _run_stages(stages, inventory, folder, parallel)
    except _Interrupted:
        return INTERRUPTED
    stages.finish()
    return code


def _run_stages(stages: _Stages, inventory: str, folder: Path, parallel: int) -> int:
    from provmode.fleet.begun import Settled
    from provmode.fleet.waves import Limits

    key, first, second = secrets.token_bytes(32), folder / "first.journal", folder / "second.journal"
    stages.begin("audit")
    _audit(stages, "before", inventory, parallel)
    stages.begin("plan")
    plan = _plan(stages, inventory, folder / "plan.json", key, parallel)
    stages.begin("apply, in two waves")
    two_waves = Settled(Limits("25%", 1.0, parallel=parallel), "those of the demo")
    applied = run_apply_of(plan, inventory, journal=first, settled=two_waves, key=key)
    stages.end("applied", applied.to_json, lambda: show_apply(applied), interrupted=applied.interrupted)
    stages.begin("second audit")
    after = _audit(stages, "after", inventory, parallel)
    stages.begin("second apply of the same plan")
    one_wave = Settled(Limits(parallel=parallel), "those of the demo")
    again = run_apply_of(plan, inventory, journal=second, settled=one_wave, key=key)
    stages.end("again", again.to_json, lambda: show_apply(again), interrupted=again.interrupted)
    return after.exit_code()


def _audit(stages: _Stages, name: str, inventory: str, parallel: int) -> Audit:
    from provmode.report.document import document

    found = run_audit_of(inventory, parallel=parallel)
    stages.end(name, lambda: document(found), lambda: show_audit(found), interrupted=found.interrupted)
    return found


def _plan(stages: _Stages, inventory: str, path: Path, key: bytes, parallel: int) -> Plan:
    """Plan, show the plan, and return it as a user has it: written, signed and read back."""
    from provmode.fleet.plan_file import load, sign, write

    planned = run_plan_of(inventory, parallel=parallel)
    unsigned = planned.document(
        plan_id=str(uuid.uuid4()), inventory=inventory, limit=(), by="demo", now=utc_now(), valid=timedelta(hours=1)
    )
    stages.end("plan", lambda: unsigned, lambda: show_plan(planned), interrupted=planned.audit.interrupted)
    write(path, sign(unsigned, key))
    return load(path, key, unsigned=False, now=utc_now())
