"""The audit as JSON (contract)."""

from __future__ import annotations

from typing import Any

from provmode import __version__
from provmode.ccm.verdict import Verdict
from provmode.fleet.audit import Audit
from provmode.reading import plain
from provmode.text import json_text

FORMAT, VERSION = "provmode-audit", 1


def document(audit: Audit) -> dict[str, Any]:
    """Return the audit as ``docs/audit.schema.json`` describes it: what was asked, a summary, and the hosts.

    If interrupted, ``missing`` too. If settings protect less than the defaults: ``lowered_protection``, a list of them
    with their hosts.
    """
    summary: dict[str, Any] = {verdict.value: audit.count(verdict) for verdict in Verdict}
    summary["total"] = len(audit.selected)
    body: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "provmode": __version__,
        "began": plain(audit.began),
        "ended": plain(audit.ended),
        "inventory": audit.inventory,
        "limit": list(audit.limit),
        **({"exclude": list(audit.exclude), "excluded": list(audit.excluded)} if audit.exclude else {}),
        "summary": summary,
        "hosts": [report.to_json() for report in audit.reports],
    }
    if audit.interrupted:
        body["interrupted"] = True
        body["missing"] = audit.missing
    if audit.lowered:
        body["lowered_protection"] = [item.to_json() for item in audit.lowered]
    return body


def as_json(audit: Audit) -> str:
    """Return the document as text, each host on a line of its own.

    That is for `grep`, and because Python writes indented JSON slowly: it was a twentieth of an audit.
    """
    body = document(audit)
    hosts = body.pop("hosts")
    lines = [f"    {json_text(host)}" for host in hosts]
    listed = "[\n" + ",\n".join(lines) + "\n  ]" if lines else "[]"
    return json_text({**body, "hosts": []}, 2).removesuffix("[]\n}") + listed + "\n}\n"
