r"""An audit as a table (CSV), with a row for each host. For spreadsheets, so no cell may be taken for a formula.

The file is as RFC 4180 has it, UTF-8 with a byte order mark: without one, Excel on Windows reads the letters of the
system's code page. A text that a spreadsheet could take for a formula begins with an apostrophe, also one that begins
with a full-width sign, or behind blanks or quotes. In many languages Excel divides lines at semicolons, whatever stands
in quotes, so the same is done behind every ``;`` (and ``|``) in a text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from provmode.ccm.model import ClientReadings
from provmode.fleet.audit import Audit
from provmode.fleet.looking import HostReport
from provmode.reading import Known, Reading, plain
from provmode.text import one_line

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
NOT_LOOKED_AT = "not looked at: the run was interrupted"
"""The reason in the row of a host that an interrupted run lacks."""


def _read(of: Callable[[ClientReadings], Reading[Any]]) -> Callable[[HostReport], Any]:
    """Return the function that returns what was read, or nothing if it is absent or could not be read."""

    def value(report: HostReport) -> Any:
        reading = of(report.state) if report.state is not None else None
        return plain(reading.value) if isinstance(reading, Known) else None

    return value


def _age(report: HostReport) -> int | None:
    age = report.assessment.age
    return round(age.total_seconds()) if age is not None else None


def _waived(report: HostReport) -> str | None:
    return report.waived.whose if report.waived is not None else None


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    says: str
    """What it holds, for the documents."""
    value: Callable[[HostReport], Any]
    """A whole number, a text, or ``None`` for an empty cell."""


COLUMNS = (
    Column("host", "its name, without `@winrm/`", lambda report: report.host),
    Column("verdict", "one of the ten; empty if the run was interrupted before", lambda r: r.assessment.verdict.value),
    Column("cause", "why it could not be assessed, in one word", lambda report: report.assessment.cause),
    Column("reason", "a sentence", lambda report: report.assessment.reason),
    Column("next_step", "what to do if it could not be assessed", lambda report: report.assessment.next_step),
    Column("age_seconds", "time in the mode, by the PC's clock", _age),
    Column("outcome", "what the verdict means for the exit code", lambda report: report.assessment.outcome.value),
    Column("rule", "the name of the rule that decided", lambda report: report.assessment.rule),
    Column("findings", "their words", lambda report: " ".join(each.code for each in report.assessment.findings)),
    Column("computer", "the PC's own name", _read(lambda state: state.computer)),
    Column("client_version", "the version of the ConfigMgr client", _read(lambda state: state.client_version)),
    Column("enabled_time", "when the client last entered the mode", _read(lambda state: state.enabled_time)),
    Column("leaves_at", "when it leaves by itself at the latest", lambda report: plain(report.assessment.leaves_at)),
    Column("observed_at", "when it was read", lambda report: plain(report.state.observed_at) if report.state else None),
    Column("waived", "who answers for it and until when, if a waiver covers it", _waived),
)
"""The columns, in their order."""


def table(audit: Audit) -> Iterator[str]:
    """Yield the table line by line: the names of the columns, every host, and those that an interrupted run lacks."""
    line = csv.writer(_Lines(), lineterminator="\r\n").writerow
    yield BYTE_ORDER_MARK + line([column.name for column in COLUMNS])
    for report in audit.reports:
        yield line([cell(column.value(report)) for column in COLUMNS])
    for host in audit.missing if audit.interrupted else ():
        row = {"host": cell(host), "reason": NOT_LOOKED_AT}
        yield line([row.get(column.name, "") for column in COLUMNS])


class _Lines:
    """What a CSV writer writes to: it gives each line back."""

    def write(self, line: str) -> str:
        return line


_SIGNS = "=+\\-@\N{MINUS SIGN}\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}" + (
    "\N{FULLWIDTH COMMERCIAL AT}\N{SMALL EQUALS SIGN}\N{SMALL PLUS SIGN}\N{SMALL HYPHEN-MINUS}\N{SMALL COMMERCIAL AT}"
)
_FORMULA = re.compile(rf"(?:^|(?<=[;|]))(?=[\s\"']*[{_SIGNS}])")
"""The beginning of a formula: of a cell, or of a part that some spreadsheets make a cell of its own."""


def cell(value: Any) -> str:
    """Return what stands in a cell. A number stays one; a text is one line, and no formula."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else _FORMULA.sub("'", one_line(str(value)))
