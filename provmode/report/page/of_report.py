"""The page of one JSON report of an audit: what ``provmode report --from FILE`` shows.

Whoever wrote the file may have written anything: what is not as ``docs/audit.schema.json`` says is one error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from provmode.ccm.verdict import AT_WORK_TOO_LONG, Verdict
from provmode.errors import UsageError
from provmode.fields import ANY_TEXT, BOOLEAN, LINES, TEXT, Field, one_of
from provmode.history.kept_file import read_kept
from provmode.history.waived import ABOUT, FIELDS
from provmode.report.document import FORMAT, VERSION
from provmode.report.page.data import HostRow, KnownWaiver, Names, PageData, Run
from provmode.report.page.groups import parts_of
from provmode.report.page.known import in_order, known_waiver, next_step_of

NO_HISTORY = "This page was made of one report alone, without a history: there is nothing to compare it with."
_OBJECTS = Field({}, lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value))


def read_report(path: Path) -> Mapping[str, Any]:
    """Return what the file of a report says.

    Raises:
        UsageError: it cannot be read, or is not the JSON report of an audit.
    """
    content = read_kept(path)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise _no_report(path, "it is not JSON") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _no_report(path, "it is not the JSON report of an audit")
    if not one_of(VERSION).accepts(document.get("version")):
        raise _no_report(path, f"it is not of version {VERSION}, which this provmode reads")
    return document


def page_of_report(document: Mapping[str, Any], path: Path, made: datetime) -> PageData:
    """Return the page of a report that was read from *path*; *made* is now.

    Raises:
        UsageError: a field is missing, or is not what it has to be.
    """
    report = _Object(document, path, "")
    began = report.time("began")
    run = Run(
        report.get("inventory", ANY_TEXT),
        began,
        report.time("ended"),
        run=report.get("run", ANY_TEXT, ""),
        version=report.get("provmode", ANY_TEXT),
        limit=Names.of(report.get("limit", LINES)),
        exclude=Names.of(report.get("exclude", LINES, [])),
        source=f"the file {path.name}",
        change=report.get("change", ANY_TEXT, ""),
        lowered=tuple(
            (each.get("says", ANY_TEXT), Names.of(each.get("hosts", LINES)))
            for each in report.objects("lowered_protection", [])
        ),
    )
    hosts = [_host(each) for each in report.objects("hosts")]
    missing = report.get("missing", LINES, [])
    return PageData(
        made=made,
        run=run,
        no_before=NO_HISTORY,
        no_history=NO_HISTORY,
        waivers=in_order(_waiver(each) for each in report.objects("waivers", [])),
        **parts_of(hosts, made, len(missing)),
    )


def _waiver(waiver: _Object) -> KnownWaiver:
    fields = {name: waiver.get(name, ANY_TEXT) for name in FIELDS}
    about = {name: waiver.get(name, ANY_TEXT, "") for name in ABOUT}
    state = waiver.get("state", one_of("used", "expired", "unused"))
    standing = {**about, **fields, "state": state, "ends_soon": waiver.get("ends_soon", BOOLEAN)}
    return known_waiver(standing, len(waiver.get("hosts_covered", LINES)))


def _host(host: _Object) -> HostRow:
    findings = host.objects("findings")
    verdict = Verdict(host.get("verdict", one_of(*(verdict.value for verdict in Verdict))))
    waived = host.object("waived")
    step = next_step_of({name: waived.get(name, ANY_TEXT) for name in FIELDS}) if waived is not None else ""
    return HostRow(
        host.get("host", TEXT),
        verdict,
        host.get("reason", ANY_TEXT),
        host.get("cause", TEXT) if verdict is Verdict.UNASSESSED else "",
        step or host.get("next_step", ANY_TEXT, ""),
        host.get("age_seconds", _WHOLE, None),
        findings=tuple(finding.get("text", ANY_TEXT) for finding in findings),
        at_work_too_long=AT_WORK_TOO_LONG in [finding.get("code", ANY_TEXT) for finding in findings],
        waived=waived is not None,
    )


_WHOLE = Field({}, lambda value: value is None or type(value) is int)
_OBJECT = Field({}, lambda value: value is None or isinstance(value, dict))
_MISSING: Any = object()


class _Object:
    """An object of the report, and where in it it stands."""

    def __init__(self, values: Mapping[str, Any], path: Path, place: str) -> None:
        self._values, self._path, self._place = values, path, place

    def get(self, name: str, field: Field, default: Any = _MISSING) -> Any:
        """Return the value of a field; *default* if it may be missing."""
        value = self._values.get(name, default)
        if value is _MISSING:
            raise _no_report(self._path, f"{self._place}{name} is missing")
        if not field.accepts(value):
            raise _no_report(self._path, f"{self._place}{name} is not what it has to be")
        return value

    def objects(self, name: str, default: Any = _MISSING) -> list[_Object]:
        """Return the objects of an array."""
        found = self.get(name, _OBJECTS, default)
        return [_Object(each, self._path, f"{self._place}{name}[{number}].") for number, each in enumerate(found)]

    def object(self, name: str) -> _Object | None:
        """Return an object that may be missing."""
        found = self.get(name, _OBJECT, None)
        return _Object(found, self._path, f"{self._place}{name}.") if found is not None else None

    def time(self, name: str) -> datetime:
        """Return a time in UTC."""
        text = self.get(name, TEXT)
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            if moment.tzinfo is None:
                raise ValueError("without a zone")
            return moment.astimezone(timezone.utc)
        except (ValueError, OverflowError):
            raise _no_report(self._path, f"{self._place}{name} is not a time with its zone") from None


def _no_report(path: Path, why: str) -> UsageError:
    return UsageError(f"{path}: {why}", next_step="give the JSON report that `provmode audit --format json` wrote")
