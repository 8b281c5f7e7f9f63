"""Two weeks of nights, by the command line of the unit: plans made by day, windows, a freeze, a gate, and moved clocks.

The PCs are the lab's, with a clock that the test moves; each request takes a while. What was changed is what the PCs
recorded.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.journal import read as read_journal
from provmode.fleet.key_files import write_pair
from provmode.fleet.plan_file import as_text, sign
from provmode.signing.keys import Keys, PrivateKey

NIGHTS, STUCK, SECONDS = 14, 5, 2.0
"""Nights; PCs that get stuck each day; seconds that a request takes."""
ALICE, NIGHT = PrivateKey(bytes(range(32))), PrivateKey(bytes(range(1, 33)))
WINDOWS = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//x//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20260101T000000Z\r
DTSTART;TZID=Europe/Berlin:20261019T220000\r
DTEND;TZID=Europe/Berlin:20261020T040000\r
RRULE:FREQ=DAILY\r
END:VEVENT\r
END:VCALENDAR\r
"""
FREEZE = WINDOWS.replace("RRULE:FREQ=DAILY\r\n", "").replace("20261019T", "20261022T").replace("20261020T", "20261023T")
"""No change in the night of the fourth day."""
CONFIGURATION = """
inventory = "pcs.txt"
[signing]
plan_keys = ["alice.key.pub"]
journal_key = "night.key"
[windows]
window = "windows.ics"
blackout = "freeze.ics"
zone = "Europe/Berlin"
drain = "2m"
gate = ["{gate}"]
[change]
plans = "plans"
at = "22:00"
[limits]
wave = "all"
"""


class Nights:
    """A fleet that is stuck anew each day, plans for it, and the unit that applies them."""

    def __init__(self, commands: Any, folder: Path) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, folder
        for name, key in (("alice", ALICE), ("night", NIGHT)):
            write_pair(folder / f"{name}.key", key)
        (folder / "windows.ics").write_text(WINDOWS)
        (folder / "freeze.ics").write_text(FREEZE)
        (folder / "provmode.toml").write_text(CONFIGURATION.format(gate=folder / "gate"))
        self.gate(0)
        for name in ("units", "plans", "state"):
            (folder / name).mkdir(mode=0o755, exist_ok=True)
        self.changes: dict[str, list[datetime]] = {}
        """When something was changed on each PC."""

    def write_units(self) -> None:
        (self.folder / "pcs.txt").write_text("\n".join(self.bench.pcs) + "\n")
        ran = self.commands.run("systemd", "--write", self.folder / "units", "--config", self.folder / "provmode.toml")
        assert ran.code == 0, ran.err

    def gate(self, code: int) -> None:
        """Let the program that is asked answer so."""
        (self.folder / "gate").write_text(f"#!/bin/sh\nexit {code}\n")
        (self.folder / "gate").chmod(0o755)

    def stuck(self) -> list[str]:
        return [name for name, pc in self.bench.pcs.items() if not pc.changes]

    def day(self, number: int, *, plan: bool = True, hours: float = 40) -> None:
        """More PCs get stuck; a plan for all that are is made, signed and put into the folder."""
        for each in range(STUCK):
            self.record(self.bench.pc("half-exited", f"PC-{number}-{each}", seed=number * STUCK + each))
        self.write_units()
        if plan:
            document = dict(self.bench.plan(*(self.bench.pcs[name] for name in self.stuck()), hours=hours).document)
            document |= {"id": f"plan {number}", "inventory": str(self.folder / "pcs.txt"), "by": "alice@desk"}
            (self.folder / "plans" / f"{number:02}.json").write_text(as_text(sign(document, ALICE)), "utf-8")

    def record(self, pc: Any) -> None:
        """Let each request take a while, and note when something was changed."""
        answer, seen = pc.answer, 0

        def answering(message: bytes) -> tuple[int, bytes]:
            nonlocal seen
            self.bench.wait(SECONDS)
            answered: tuple[int, bytes] = answer(message)
            now = len(pc.changes)
            self.changes.setdefault(pc.name, []).extend([self.bench.now()] * (now - seen))
            seen = now
            return answered

        pc.answer = answering

    def night(self) -> Any:
        """Run the command of the service."""
        text = (self.folder / "units" / "provmode-change.service").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
        words = shlex.split(line.removeprefix("ExecStart=:").replace("%%", "%"))
        return self.commands.run(*words[words.index("apply") :])

    def until(self, hour: int) -> None:
        """Let the time pass until an hour of the day by UTC."""
        now = self.bench.now()
        there = now.replace(hour=hour, minute=0, second=0, microsecond=0)
        self.bench.wait((there + timedelta(days=there <= now) - now).total_seconds())

    def ended(self) -> dict[str, list[str]]:
        """Return which journals say of a PC that it was changed."""
        found: dict[str, list[str]] = {}
        for path in sorted((self.folder / "plans").glob("*.journal")):
            for host, record in read_journal(path, Keys(NIGHT, (NIGHT,))).hosts.items():
                if record.outcome == "changed":
                    found.setdefault(host, []).append(path.name)
        return found


def open_at(moment: datetime) -> bool:
    """Return whether the window is open, by the wall clock of Berlin: from 22:00 until 04:00, but for the freeze."""
    summer = moment < datetime(2026, 10, 25, 1, 0, tzinfo=timezone.utc)
    wall = moment + timedelta(hours=2 if summer else 1)
    if datetime(2026, 10, 25, 2, tzinfo=timezone.utc) <= moment < datetime(2026, 10, 25, 4, tzinfo=timezone.utc):
        return False  # six hours are over, whatever the clock on the wall says
    frozen = datetime(2026, 10, 22, 22, tzinfo=timezone.utc) <= wall < datetime(2026, 10, 23, 4, tzinfo=timezone.utc)
    return (wall.hour >= 22 or wall.hour < 4) and not frozen


@pytest.fixture
def nights(commands: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
    tmp_path.chmod(0o755)
    bench = commands.bench
    bench.wait((datetime(2026, 10, 19, 9, tzinfo=timezone.utc) - bench.now()).total_seconds())
    monkeypatch.setattr("provmode.cli.windows.monotonic", bench.clock)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield Nights(commands, tmp_path)
    time.tzset()


CLOSES, NO_PLAN, FREEZES, SHORT, LATE, GATE = (1, 5), (2, 4, 6), 3, 7, 8, 10
"""Nights in which the window closes in the middle of a run, the second as clocks are put back; days without a plan of
their own; the night of the freeze; a plan that expires before its night; a timer that is late until the morning; a gate
that says no."""


@pytest.mark.long
def test_two_weeks_of_nights_change_nothing_outside_a_window_nothing_twice_and_forget_nobody(nights: Nights) -> None:
    ran: dict[int, Any] = {}
    left: dict[int, list[str]] = {}
    for number in range(NIGHTS):
        nights.until(10)
        nights.day(number, plan=number not in NO_PLAN, hours=8 if number == SHORT else 40)
        nights.gate(int(number == GATE))
        nights.until(9 if number == LATE else 22)
        if number in CLOSES:
            nights.bench.wait(4 * 3600 - 260)
        ran[number] = nights.night()
        left[number] = nights.stuck()

    codes = {number: ended.code for number, ended in ran.items()}
    assert codes == {number: 2 if number in CLOSES else 3 if number in (FREEZES, LATE, GATE) else 0 for number in ran}
    for number in CLOSES:
        assert "changed  " in ran[number].out, "the window closed in the middle"
        assert f"deferred  {len(left[number])} of " in ran[number].out
        assert f"{number:02}.json is taken" in ran[number + 1].err
        assert "its run, which did not finish, goes on" in ran[number + 1].err
        assert not set(left[number]) & set(left[number + 1]), "they had their turn in the next night"
    assert f"{FREEZES:02}.json is taken" in ran[FREEZES + 1].err, "after the freeze"
    assert "nothing to apply" in ran[SHORT].err
    assert f"expired: {SHORT:02}.json" in ran[SHORT].err
    assert left[NIGHTS - 1] == [], "nobody is forgotten"
    outside = [(name, each) for name, times in nights.changes.items() for each in times if not open_at(each)]
    assert outside == []
    ended = nights.ended()
    assert set(ended) == {name for name, times in nights.changes.items() if times} == set(nights.bench.pcs)
    assert {len(journals) for journals in ended.values()} == {1}
    for pc in nights.bench.pcs.values():
        assert len(pc.changes) == len(set(pc.changes)), "nothing was done twice"
