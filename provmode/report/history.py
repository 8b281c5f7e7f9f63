"""A whole change as text, from its journal: for a ticket, with every host, every step and every run."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from rich.console import Console

from provmode.fleet.history import History, StepTimes
from provmode.fleet.journal_events import StepRecord
from provmode.fleet.waves import LIMITS, Limits
from provmode.report.coming import limits_text
from provmode.report.journal import signed_by
from provmode.report.lines import count_of, line
from provmode.text import json_text


def print_history(history: History, console: Console) -> None:
    """Print the runs, every step of every host, how each host ended, and what is open."""
    state = history.state
    line(f"journal of plan {state.plan_id}", console, 0, "bold")
    line(_trust(history), console, 2)
    if state.torn:
        line("the last line was torn by a crash; what it announced had not begun", console, 2)
    for run in history.runs:
        ended = f"ended {_at(run.ended)}" if run.ended else "did not finish, or its last lines were cut off"
        line(f"{run.command}: began {_at(run.began)}, {ended}", console, 2)
        for name, value in run.settings.items():
            line(f"{name}: {_setting(name, value)}", console, 6)
    console.print()
    line("steps", console, 0, "bold")
    for host, record, times in history.steps():
        changes = "; ".join(str(item) for item in record.step.properties)
        line(f"{host}: {changes}: {_ending(record, times)}", console, 2)
        for text in record.step.text_diff():
            line(text, console, 6)
    console.print()
    line("hosts", console, 0, "bold")
    for host in history.hosts:
        endings = history.endings.get(host, [])
        for ending in endings:
            line(f"{host}: {ending.outcome} {_at(ending.time)}: {ending.detail}".removesuffix(": "), console, 2)
        if not endings:
            line(f"{host}: no run ended on it", console, 2)
        lease = state.hosts[host].lease if host in state.hosts else None
        if lease is not None:
            line(f"{host}: lease {lease} may still be on the PC", console, 6)
    console.print()
    records = [record for _, record, _ in history.steps()]
    changed, undone = sum(record.ending == "changed" for record in records), sum(record.undone for record in records)
    line(f"{count_of(len(history.hosts))}: {changed} steps changed something, {undone} undone", console, 0, "bold")


def _setting(name: str, value: Any) -> str:
    """Return how a run was to be made, in words: its limits as the options that name them."""
    if name == "limits" and LIMITS.accepts(value):
        return limits_text(Limits.from_json(value), shown=None)
    return value if isinstance(value, str) else json_text(value, None)


def _at(time: str) -> str:
    """Return a time of the journal to the second; as it stands if it is none."""
    try:
        return f"{datetime.fromisoformat(time).astimezone(timezone.utc):%Y-%m-%d %H:%M:%S UTC}"
    except ValueError:
        return time


def _trust(history: History) -> str:
    lines = f"{history.state.lines} lines"
    if not history.state.signed:
        return f"{lines}, not signed: anybody can have written it"
    if not history.checked:
        return f"{lines}, signed; not checked, because no key was given: anybody can have changed it"
    return f"{lines}, each follows the one before it; {signed_by(history.state)}"


def _ending(record: StepRecord, times: StepTimes) -> str:
    if record.undone:
        return f"{record.ending or 'begun'} {_at(times.ended or times.begun)}, undone {_at(times.undone)}"
    undoing = ", and an undo was begun" if record.undoing else ""
    if record.ending is None:
        return f"begun {_at(times.begun)}, not known to have ended: it may have happened{undoing}"
    return f"{record.ending} {_at(times.ended)}{undoing}"
