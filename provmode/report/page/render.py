"""The page of a run: one HTML file that needs nothing else. Pure.

Style and script stand in the file, and its Content-Security-Policy allows these two alone, by their hash: no address is
asked for anything, and nothing that a PC says can become an element or run. What people need is there without the
script too, which only shows, filters and sorts the list of PCs.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from provmode import __version__
from provmode.ccm.rules import duration
from provmode.ccm.verdict import Verdict, outcome
from provmode.report.page.data import WORDS, Counts, PageData
from provmode.report.page.known import MEANINGS, SHOWN
from provmode.report.page.rows import LONGEST_NAME, plain_text, rows_of
from provmode.report.page.trend import drawing

TEMPLATES = Path(__file__).parent / "templates"


def render(data: PageData) -> str:
    """Return the page."""
    style, script = _read("page.css"), _read("page.js")
    rows = rows_of(data.hosts)
    return (
        _environment(data.made)
        .get_template("page.html")
        .render(
            data=data,
            sentence=sentence(data.counts),
            style=Markup(style),  # noqa: S704 - ours
            script=Markup(script),  # noqa: S704 - ours
            style_hash=_hash(style),
            script_hash=_hash(script),
            rows=rows,
            rows_json=Markup(rows.json),  # noqa: S704 - without < and >
            trend=drawing(data.trend),
            words=WORDS,
            waivers=data.waivers[:SHOWN],
            stands=MEANINGS,
            version=__version__,
        )
    )


def sentence(counts: Counts) -> str:
    """Return what there is to say in one sentence, with its denominator."""
    needs = "needs" if 1 in (counts.need_something, counts.total) else "need"
    parts = [f"{counts.assessed:,} assessed", f"{counts.unassessed:,} not"]
    if counts.not_looked_at:
        parts.append(f"{counts.not_looked_at:,} not looked at, because the run was interrupted")
    waived = f", {counts.waived:,} of them waived" if counts.waived else ""
    return f"{counts.need_something:,} of {_pcs(counts.total)} {needs} something{waived}; {', '.join(parts)}."


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago *moment* was, in words."""
    gone = now - moment
    if abs(gone) < timedelta(minutes=1):
        return "just now"
    units = ((timedelta(days=1), "days"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min"))
    unit, name = next(each for each in units if abs(gone) >= 2 * each[0] or each[1] == "min")
    words = f"{abs(gone) // unit:,} {name}"
    return f"in {words}" if gone < timedelta(0) else f"{words} ago"


def _pcs(number: int) -> str:
    return f"{number:,} PC{'s' if number != 1 else ''}"


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8").strip()


def _hash(text: str) -> str:
    """Return the hash by which a Content-Security-Policy allows a style or a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _environment(now: datetime) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {
        "pcs": _pcs,
        "count": lambda number: f"{number:,}",
        "utc": lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC",
        "iso": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "ago": lambda moment: ago(moment, now),
        "lasted": _lasted,
        "name": lambda name: plain_text(name, LONGEST_NAME),
        "means": lambda verdict: outcome(verdict).value,
        "percent": _percent,
        "said": _said,
    }
    return environment


def _shown(value: Any) -> Any:
    """Return what stands on the page for a value: no text of a PC can control how the page is shown."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, Verdict):
        return value.value
    return plain_text(value) if isinstance(value, str) else value


def _said(text: str) -> Markup:
    """Return a sentence in which what stands between backticks is a command."""
    parts = plain_text(text).split("`")
    if len(parts) % 2 == 0:  # one backtick is without its other
        return escape("`".join(parts))
    return Markup("").join(Markup("<code>{}</code>").format(each) if n % 2 else each for n, each in enumerate(parts))


def _lasted(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else duration(length)


def _percent(part: int, total: int) -> str:
    """Return a share; all and nothing are said only of all and nothing."""
    share = 100 * part / total if total else 0.0
    return f"{min(max(share, 0.1), 99.9) if 0 < part < total else share:.1f} %"
