"""``provmode demo --fix``: the whole way over a lab fleet, from the first audit to an apply that changes nothing."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from provmode.cli.audit import run_audit_of, show_audit
from provmode.cli.changes import applied_document, apply_plan, make_plan, now, show_applied, show_plan
from provmode.cli.common import print_json

INTERRUPTED = 130


def fix_fleet(inventory: str, folder: Path, output_format: str, *, parallel: int) -> int:
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

    def told(name: str, report: Callable[[], Any], show: Callable[[], None], *, interrupted: bool) -> bool:
        """Show one stage, or keep it for the JSON; return whether the run goes on."""
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
    if not told("before", lambda: document(before), lambda: show_audit(before), interrupted=before.interrupted):
        return INTERRUPTED
    heading("plan")
    planned = make_plan(inventory, parallel=parallel)
    unsigned = planned.document(
        plan_id=str(uuid.uuid4()), inventory=inventory, limit=(), by="demo", now=now(), valid=timedelta(hours=1)
    )
    stopped = planned.audit.interrupted
    if not told("plan", lambda: unsigned, lambda: show_plan(planned), interrupted=stopped):
        return INTERRUPTED
    write(path, sign(unsigned, key))
    plan = load(path, key, unsigned=False, now=now())
    heading("apply, in two waves")
    applied = apply_plan(
        plan, inventory, journal=folder / "first.journal", wave="25%", soak=1.0, parallel=parallel, key=key
    )
    stopped = applied.interrupted
    if not told("applied", lambda: applied_document(applied), lambda: show_applied(applied), interrupted=stopped):
        return INTERRUPTED
    heading("second audit")
    after = run_audit_of(inventory, parallel=parallel)
    if not told("after", lambda: document(after), lambda: show_audit(after), interrupted=after.interrupted):
        return INTERRUPTED
    heading("second apply of the same plan")
    again = apply_plan(plan, inventory, journal=folder / "second.journal", parallel=parallel)
    stopped = again.interrupted
    if not told("again", lambda: applied_document(again), lambda: show_applied(again), interrupted=stopped):
        return INTERRUPTED
    return after.exit_code()
