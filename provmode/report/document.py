"""The audit as JSON (contract)."""

from __future__ import annotations

from typing import Any

from provmode.ccm.verdict import Verdict
from provmode.fleet.audit import Audit
from provmode.text import json_text


def document(audit: Audit) -> dict[str, Any]:
    """Return ``{"summary": {verdict: count, ..., "total": n}, "hosts": [...]}``; if interrupted, ``missing`` too.

    If settings protect less than the defaults: ``lowered_protection``, a list of them with their hosts.
    """
    summary: dict[str, Any] = {verdict.value: audit.count(verdict) for verdict in Verdict}
    summary["total"] = len(audit.selected)
    body: dict[str, Any] = {"summary": summary, "hosts": [report.to_json() for report in audit.reports]}
    if audit.interrupted:
        body["interrupted"] = True
        body["missing"] = audit.missing
    if audit.lowered:
        body["lowered_protection"] = [item.to_json() for item in audit.lowered]
    return body


def as_json(audit: Audit) -> str:
    """Return the document as text."""
    return json_text(document(audit), 2) + "\n"
