"""The audit as JSON (contract)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timezone
from typing import TYPE_CHECKING, Any

from provmode import __version__
from provmode.ccm.verdict import Verdict
from provmode.reading import plain
from provmode.text import json_text

if TYPE_CHECKING:
    from provmode.fleet.audit import Audit

FORMAT, VERSION = "provmode-audit", 1


def document(audit: Audit) -> dict[str, Any]:
    """Return the audit as ``docs/audit.schema.json`` describes it: what was asked, a summary, and the hosts.

    If interrupted, ``missing`` too. If settings protect less than the defaults: ``lowered_protection``, a list of them
    with their hosts.
    """
    return {**_without_hosts(audit), "hosts": [report.to_json() for report in audit.reports]}


def _without_hosts(audit: Audit) -> dict[str, Any]:
    summary: dict[str, Any] = {verdict.value: audit.count(verdict) for verdict in Verdict}
    summary["total"] = len(audit.selected)
    waivers = audit.waived.to_json()
    if waivers:
        summary["waived"] = len(audit.waived.by_host)
    until = audit.retried_until
    body: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "provmode": __version__,
        **({"run": audit.run} if audit.run else {}),
        "began": plain(audit.began),
        "ended": plain(audit.ended),
        "inventory": audit.inventory,
        **({"change": audit.change} if audit.change else {}),
        "limit": list(audit.limit),
        **({"retried_until": plain(until.astimezone(timezone.utc))} if until is not None else {}),
        **({"only": audit.only} if audit.only else {}),
        **({"exclude": list(audit.exclude), "excluded": list(audit.excluded)} if audit.exclude else {}),
        "summary": summary,
        **({"waivers": waivers} if waivers else {}),
    }
    if audit.interrupted:
        body["interrupted"] = True
        body["missing"] = audit.missing
    if audit.lowered:
        body["lowered_protection"] = [item.to_json() for item in audit.lowered]
    return body


def written(audit: Audit) -> Iterator[str]:
    """Yield the parts of the document as text, each host on a line of its own.

    A line for each host is for `grep`, and because Python writes indented JSON slowly: it was a twentieth of an audit.
    The report of a large fleet is never in memory as a whole.
    """
    yield json_text({**_without_hosts(audit), "hosts": []}, 2).removesuffix("]\n}")
    between = "\n"
    for report in audit.reports:
        yield f"{between}    {json_text(report.to_json())}"
        between = ",\n"
    yield "\n  ]\n}\n" if audit.reports else "]\n}\n"
