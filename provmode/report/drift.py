"""What changed between two runs, as text and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from provmode import __version__
from provmode.history.drift import MEANINGS, Drift, Drifted, Side, Word
from provmode.reading import plain
from provmode.report.lines import count_of, fold, is_wide, line, names_of
from provmode.report.past import at, run_json
from provmode.waivers.model import words_of

FORMAT, VERSION = "provmode-drift", 1
_SHOWN = 20
"""Hosts of a word that have a line of their own at a terminal."""
_IN_SHORT = (Word.LOST, Word.FOUND, Word.APPEARED, Word.VANISHED)
"""Words that are said of many hosts at once."""


def print_drift(drift: Drift, console: Console) -> None:
    """Print what changed, word by word, and beside each host whether it was us."""
    line(f"from run #{drift.before.number} ({at(drift.before.began)})", console)
    line(f"to run   #{drift.after.number} ({at(drift.after.began)}), {drift.after.inventory}", console)
    console.print()
    for word in Word:
        those = drift.of(word)
        if not those:
            continue
        line(f"{word.value}  {count_of(len(those))}  {MEANINGS[word]}", console, 0, "bold")
        if word in _IN_SHORT and not is_wide(console):
            _print_in_short(word, those, console)
        else:
            shown = those if is_wide(console) else those[:_SHOWN]
            for each in shown:
                line(_sentence(each), console, 2)
            if len(those) > len(shown):
                line(f"and {len(those) - len(shown):,} more; --wide shows them all", console, 2)
        console.print()
    line(in_short(drift), console, 0, "bold")


def in_short(drift: Drift) -> str:
    """Return what changed, in one line."""
    counts = [(word, len(drift.of(word))) for word in Word]
    parts = [f"{number:,} {word.value}" for word, number in counts if number]
    return ", ".join(parts) if parts else "nothing changed, and nothing needs anything"


def _print_in_short(word: Word, those: list[Drifted], console: Console) -> None:
    for title, some in fold(those, lambda each: f"{each.cause}, {each.by}" if word is Word.LOST else each.by):
        line(f"{title}: {names_of([each.host for each in some], console)}", console, 2)


def _sentence(each: Drifted) -> str:
    before = each.before.verdict if each.before is not None else "not known"
    after = each.after.verdict if each.after is not None else "not known"
    parts = {
        Word.NEW: f"{before}, now {after}",
        Word.RETURNED: f"{before}, now {after}{_again(each)}",
        Word.CHANGED: f"{before}, now {after}",
        Word.STILL: after,
        Word.FIXED: f"{before}, now {after}",
        Word.LOST: f"{each.cause}; last known {after}",
        Word.FOUND: after,
        Word.APPEARED: after,
        Word.VANISHED: f"last known {before}",
    }
    plan = f", plan {each.plan}" if each.plan else ""
    reason = f": {each.after.reason}" if each.after is not None and each.word in (Word.NEW, Word.RETURNED) else ""
    waived = f"; waived by {words_of(each.waived)}" if each.waived is not None else ""
    ended = "; its waiver has ended" if each.waiver_ended else ""
    return f"{each.host}: {parts[each.word]} ({each.by}{plan}){reason}{waived}{ended}"


def _again(each: Drifted) -> str:
    if each.earlier is None:
        return ""
    times = "once" if each.earlier.times == 1 else f"{each.earlier.times} times"
    return f"; it needed something {times} before, until {at(each.earlier.ended)}"


def drift_json(drift: Drift) -> dict[str, Any]:
    """Return what changed as JSON (contract)."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "provmode": __version__,
        "before": run_json(drift.before),
        "after": run_json(drift.after),
        "summary": {word.value: len(drift.of(word)) for word in Word},
        "hosts": [_row(each) for each in drift.hosts],
    }


def _row(each: Drifted) -> dict[str, Any]:
    document: dict[str, Any] = {
        "host": each.host,
        "word": each.word.value,
        "by_us": each.by_us,
        "before": _side(each.before),
        "after": _side(each.after),
    }
    if each.plan:
        document["plan"] = each.plan
    if each.cause:
        document["cause"] = each.cause
    if each.earlier is not None:
        document["earlier"] = {"times": each.earlier.times, "ended": plain(each.earlier.ended)}
    if each.waived is not None:
        document["waived"] = dict(each.waived)
    if each.waiver_ended:
        document["waiver_ended"] = True
    return document


def _side(side: Side | None) -> dict[str, Any] | None:
    return {"verdict": side.verdict, "rule": side.rule, "reason": side.reason} if side is not None else None
