"""``provmode demo --fix``: the whole way over a lab fleet, from the first audit to an apply that changes nothing."""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import timedelta
from pathlib import Path

from provmode.cli_audit import run_audit_of, show_audit
from provmode.cli_changes import applied_document, apply_plan, make_plan, now, show_applied, show_plan


def fix_fleet(inventory: str, folder: Path, output_format: str, *, parallel: int) -> int:
    """Audit, plan, apply in two waves, audit again, apply again; print each. Returns the second audit's exit code.

    As JSON it is one object: ``before`` and ``after`` (audits), ``applied`` and ``again``.
    """
    from provmode.fleet.plan_file import load, sign, write
    from provmode.report.document import document

    text, key, path = output_format == "text", secrets.token_bytes(32), folder / "plan.json"

    def heading(words: str) -> None:
        if text:
            print(f"==== {words} ====\n", flush=True)

    heading("audit")
    before = run_audit_of(inventory, parallel=parallel)
    if text:
        show_audit(before)
        print()
    heading("plan")
    planned = make_plan(inventory, parallel=parallel)
    if text:
        show_plan(planned)
        print()
    unsigned = planned.document(
        plan_id=str(uuid.uuid4()), inventory=inventory, limit=(), by="demo", now=now(), valid=timedelta(hours=1)
    )
    write(path, sign(unsigned, key))
    plan = load(path, key, unsigned=False, now=now())
    heading("apply, in two waves")
    applied = apply_plan(
        plan, inventory, journal=folder / "first.journal", wave="25%", soak=1.0, parallel=parallel, key=key
    )
    if text:
        show_applied(applied)
        print()
    heading("second audit")
    after = run_audit_of(inventory, parallel=parallel)
    if text:
        show_audit(after)
        print()
    heading("second apply of the same plan")
    again = apply_plan(plan, inventory, journal=folder / "second.journal", parallel=parallel)
    if text:
        show_applied(again)
    else:
        reports = {"before": document(before), "applied": applied_document(applied)}
        reports |= {"after": document(after), "again": applied_document(again)}
        print(json.dumps(reports, indent=2, ensure_ascii=False))
    return after.exit_code()
