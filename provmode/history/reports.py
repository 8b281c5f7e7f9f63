"""A report that somebody kept, as a run of the history: the JSON of an audit, or a plan file. Pure.

A file can be of any age and from anywhere. So every value that is stored is checked first, and the line about what is
wrong names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from provmode.ccm.verdict import NEXT_STEP, Verdict
from provmode.errors import UsageError
from provmode.fleet.change_number import is_change
from provmode.history.run import NewRun
from provmode.history.waived import in_report
from provmode.text import visible

AUDIT, PLAN = "provmode-audit", "provmode-plan"
_VERDICTS = frozenset(verdict.value for verdict in Verdict)
_ANSWERS = frozenset({"known", "absent", "unknown"})
_LONGEST = 64
"""Characters of an id, or of the name of a rule."""


def run_of(document: Any, where: str) -> NewRun:
    """Return the run that a JSON document is the report of; *where* begins a message.

    Raises:
        UsageError: it is no audit and no plan of provmode, or a value of it cannot be.
    """
    if not isinstance(document, Mapping) or document.get("format") not in (AUDIT, PLAN):
        raise UsageError(
            f"{where} is no report of an audit and no plan of provmode",
            next_step="give what --format json wrote, a plan, or a journal",
        )
    if document.get("version") != 1:
        raise UsageError(f"{where} is of another version than 1", next_step="import it with the version that wrote it")
    hosts = document.get("hosts")
    if not isinstance(hosts, list):
        raise UsageError(f"{where} has no hosts in it", next_step="it is damaged: give another copy")
    rows = [_row(row, f"{where}: host {number}") for number, row in enumerate(hosts, 1)]
    is_plan = document["format"] == PLAN
    began = _began(document, rows, where)
    ended = _time(document.get("ended")) or began
    limited = any(document.get(name) for name in ("limit", "exclude", "only", "interrupted"))
    return NewRun(
        name=_name(document, is_plan),
        kind="plan" if is_plan else "audit",
        began=began,
        ended=max(began, ended),
        inventory=_text(document.get("inventory")),
        complete=not limited,
        exit_code=None,
        by=_text(document.get("by")),
        version=_text(document.get("provmode")),
        rows=rows,
        plan=_name(document, is_plan) if is_plan else None,
        about={
            "limit": _list(document.get("limit")),
            "exclude": _list(document.get("exclude")),
            "imported": True,
            **({"change": document["change"]} if is_change(document.get("change")) else {}),
        }
        | in_report(document, rows),
    )


def _row(row: Any, where: str) -> Mapping[str, Any]:
    """Return a host's row, checked.

    Raises:
        UsageError: a value is not what it has to be.
    """
    if not isinstance(row, Mapping):
        raise UsageError(f"{where} is no object", next_step=_DAMAGED)
    wrong = next(_wrong(row), None)
    if wrong is not None:
        raise UsageError(f"{where}: {wrong} is not what a report has there", next_step=_DAMAGED)
    return row


_DAMAGED = "it was edited or is damaged: give another copy"


def _wrong(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of values that are not what they have to be."""
    if not (isinstance(row.get("host"), str) and row["host"]):
        yield "host"
    verdict, cause = row.get("verdict"), row.get("cause")
    if not (isinstance(verdict, str) and verdict in _VERDICTS):
        yield "verdict"
    if not isinstance(row.get("reason"), str):
        yield "reason"
    if not (isinstance(row.get("rule"), str) and row["rule"].isprintable() and len(row["rule"]) <= _LONGEST):
        yield "rule"
    if (cause is not None or verdict == "unassessed") and not (isinstance(cause, str) and cause in NEXT_STEP):
        yield "cause"
    if not isinstance(row.get("next_step", ""), str):
        yield "next_step"
    if not (type(row.get("tries", 1)) is int and row.get("tries", 1) >= 1):
        yield "tries"
    findings, facts = row.get("findings"), row.get("facts")
    if not (isinstance(findings, list) and all(_is_finding(each) for each in findings)):
        yield "findings"
    if not (isinstance(facts, Mapping) and all(_is_fact(name, fact) for name, fact in facts.items())):
        yield "facts"


def _is_finding(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("code"), str) and isinstance(value.get("text"), str)


def _is_fact(name: str, value: Any) -> bool:
    if name == "observed_at":
        return isinstance(value, str)
    if not (isinstance(value, Mapping) and len(value) == 1 and _ANSWERS.issuperset(value)):
        return False
    unknown = value.get("unknown", {"cause": ""})
    return isinstance(unknown, Mapping) and isinstance(unknown.get("cause"), str)


def _began(document: Mapping[str, Any], rows: list[Mapping[str, Any]], where: str) -> datetime:
    """Return when a run began. Old reports say it only by the times at which PCs were read.

    Raises:
        UsageError: it does not say.
    """
    began = _time(document.get("began")) or _time(document.get("created"))
    times = [began] if began is not None else [_time(row["facts"].get("observed_at")) for row in rows]
    known = [time for time in times if time is not None]
    if not known:
        raise UsageError(f"{where} does not say when it was made", next_step="it cannot be placed: leave it out")
    return min(known)


def _time(value: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(value).astimezone(timezone.utc)
    except (TypeError, ValueError, OverflowError):
        return None
    return time if 1970 < time.year < 9999 else None


def _name(document: Mapping[str, Any], is_plan: bool) -> str:
    """Return the id of a run; a report that has none is known by what is in it."""
    name = document.get("id" if is_plan else "run")
    if isinstance(name, str) and name.isprintable() and 4 <= len(name) <= _LONGEST:
        return name
    whole = json.dumps(document, sort_keys=True).encode()
    return f"report-{hashlib.blake2b(whole, digest_size=16).hexdigest()}"


def _text(value: Any) -> str:
    return visible(value) if isinstance(value, str) else ""


def _list(value: Any) -> list[str]:
    return [_text(each) for each in value] if isinstance(value, list) else []
