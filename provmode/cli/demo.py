"""``provmode demo``: audit a lab fleet through pyinfra; with ``--fix`` also plan, apply and audit again.

With ``--page`` a day passes on the PCs and for the controller, and somebody breaks a PC that was mended. The next audit
and its page say so. In the nights after it more PCs are broken, a window closes while they are mended, and one of them
is waived.
"""

from __future__ import annotations

import secrets
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.atomic_file import check_output, write_output
from provmode.cli.apply import run_apply_of, show_apply
from provmode.cli.audit import run_audit_of, show_audit
from provmode.cli.common import console_for, file_path, format_option, made_by, parallel_option, print_json, printing
from provmode.cli.plan import run_plan_of, show_plan
from provmode.cli.remembering import run_of_audit
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.results import EXIT_CODES, INTERRUPTED, HostOutcome

if TYPE_CHECKING:
    from provmode.fleet.audit import Audit
    from provmode.fleet.plan_file import Plan
    from provmode.history.drift import Drift
    from provmode.lab.process import LabProcess


@click.command(epilog=EXIT_CODES["demo"].help)
@click.option("--hosts", type=click.IntRange(1), default=60, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@format_option
@click.option("--truth", type=file_path(), help="Write the true verdict of each PC to this file.")
@click.option("--fix", is_flag=True, help="Then plan, apply in two waves, audit again, and apply again.")
@click.option(
    "--page",
    type=file_path(),
    metavar="FILE.html",
    help="Then, with --fix, a second night: audit, what changed since the first, and its page in this file; and two "
    "nights of change, in windows.",
)
@parallel_option
def demo(
    hosts: int, seed: int, output_format: str, truth: Path | None, fix: bool, page: Path | None, parallel: int
) -> int:
    """Start a lab fleet of simulated PCs, audit it through pyinfra, and stop it again."""
    from provmode.lab.process import LabError, LabProcess

    if page is not None and not fix:
        raise UsageError("--page is the page of the second night", next_step="give --fix too")
    for file in (truth, page):
        if file is not None:
            check_output(file)
    with tempfile.TemporaryDirectory(prefix="provmode-demo-") as folder:
        inventory = Path(folder, "lab.py")
        try:
            with LabProcess(hosts, seed, truth=truth, inventory=inventory) as lab:
                if fix:
                    return _fix_fleet(lab, str(inventory), Path(folder), output_format, page, parallel=parallel)
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


def _fix_fleet(
    lab: LabProcess, inventory: str, folder: Path, output_format: str, page: Path | None, *, parallel: int
) -> int:
    """Audit, plan, apply in two waves, audit again, apply again; print each. Returns the last audit's exit code.

    The JSON is one object: ``before`` and ``after`` (audits), ``plan``, ``applied`` and ``again``; with a *page* also
    ``drift``, and of the nights of change ``planned``, ``window``, ``resumed`` and ``waived`` (an audit). Ctrl-C ends
    the demo in its current stage, and the results so far are printed.
    """
    stages = _Stages(as_text=output_format == "text")
    try:
        code, past = _run_stages(stages, inventory, folder, parallel)
        if page is not None:
            code = _second_night(stages, lab, inventory, folder, past, page, parallel)
            code = _nights_of_change(stages, lab, inventory, folder, past, parallel, code)
    except _Interrupted:
        return INTERRUPTED
    stages.finish()
    return code


@dataclass
class _Past:
    """What the first night leaves for the second."""

    audits: list[Audit]
    journal: Path
    key: bytes
    mended: list[str]
    """Hosts that were changed."""


def _run_stages(stages: _Stages, inventory: str, folder: Path, parallel: int) -> tuple[int, _Past]:
    from provmode.fleet.begun import Settled
    from provmode.fleet.waves import Limits

    key, first, second = secrets.token_bytes(32), folder / "first.journal", folder / "second.journal"
    stages.begin("audit")
    before = _audit(stages, "before", inventory, parallel)
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
    mended = [host.host for host in applied.hosts if host.outcome is HostOutcome.CHANGED]
    return after.exit_code(), _Past([before, after], first, key, mended)


NIGHT = timedelta(days=1)
_EXCLUDES = (r"HKLM\SOFTWARE\Microsoft\CCM\CcmExec", "SystemTaskExcludes", "SchedulerStartup;SchedulerLogon", "SZ")


def _second_night(
    stages: _Stages, lab: LabProcess, inventory: str, folder: Path, past: _Past, page: Path, parallel: int
) -> int:
    """Let a day pass, let somebody break a PC that was mended, audit, say what changed, and write the page."""
    from provmode.history.database import Database, url_of
    from provmode.history.drifting import before, drift, latest
    from provmode.history.journals import runs_of
    from provmode.history.reader import History
    from provmode.history.writer import write
    from provmode.report.drift import drift_json
    from provmode.report.page.of_history import page_of_history
    from provmode.report.page.render import render

    stages.begin("a day passes, and somebody edits the registry of a PC that was mended: third audit")
    lab.advance(NIGHT.total_seconds())
    for name in past.mended[:1]:
        lab.set_registry(name, *_EXCLUDES)
    found = run_audit_of(inventory, parallel=parallel, now=lambda: utc_now() + NIGHT)
    with Database(url_of(f"sqlite:///{folder}/history.sqlite")) as database:
        for audit in (*past.audits, found):
            audit.run, audit.inventory = str(uuid.uuid4()), f"{len(audit.selected)} simulated PCs"
            write(database, run_of_audit(audit, "audit", audit.exit_code()))
        for run in runs_of(past.journal, past.key, by=made_by()):
            write(database, run)
        with database.reading() as connection:
            history = History(connection)
            this = latest(history)
            what = drift(connection, before(history, this), this)
            stages.end("drift", lambda: drift_json(what), lambda: _show(what), interrupted=found.interrupted)
            write_output(
                page, render(page_of_history(connection, history.run(found.run), utc_now() + NIGHT, "the demo"))
            )
    stages.begin(f"the page of this night: {page.absolute()}")
    return found.exit_code()


def _nights_of_change(
    stages: _Stages, lab: LabProcess, inventory: str, folder: Path, past: _Past, parallel: int, code: int
) -> int:
    """Break PCs that were mended, and mend them in two windows; the first of them, which is broken already, is waived.

    Returns the last audit's exit code: *code*, if there are too few such PCs.
    """
    from provmode.cli.demo_change import ChangeNights

    waived, *broken = past.mended[:9] or [""]
    if len(broken) < 2:
        return code
    for name in broken:
        lab.set_registry(name, *_EXCLUDES)
    nights = ChangeNights(inventory, (waived, *broken), folder, past.key, parallel, NIGHT, stages.begin, stages.end)
    found = nights.run(waived, lambda: lab.advance((NIGHT - timedelta(hours=2)).total_seconds()))
    return found.exit_code()


def _show(drift: Drift) -> None:
    from provmode.report.drift import print_drift

    with printing():
        print_drift(drift, console_for(None))


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
