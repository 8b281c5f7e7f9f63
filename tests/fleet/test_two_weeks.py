"""Two weeks of a fleet, looked at by the command lines of the units: what the history says is what happened.

The PCs are the lab's, with a clock that the test moves. What happens to them is drawn, and written down beside it.
"""

from __future__ import annotations

import json
import random
import shlex
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import Unreachable

DAYS, HOSTS, RETRIES = 14, 24, 4
BAD, GOOD = "half-exited", "healthy"


@dataclass
class Truth:
    """What happens to one PC, and what each look at it has to have found."""

    persona: str = GOOD
    on: bool = True
    looks: list[tuple[datetime, str | None]] = field(default_factory=list)
    """When it was looked at, and its verdict; ``None`` if it was off."""

    def known(self, at: datetime) -> tuple[str, datetime, datetime] | None:
        """What was last known at a look: verdict, since when, and seen when."""
        seen = [(when, verdict) for when, verdict in self.looks if when <= at and verdict is not None]
        if not seen:
            return None
        since = last = seen[-1][0]
        for when, verdict in reversed(seen):
            if verdict != seen[-1][1]:
                break
            since = when
        return seen[-1][1], since, last

    def found(self, at: datetime) -> str | None:
        """The verdict of the look at a moment."""
        return next(verdict for when, verdict in self.looks if when == at)

    def spans(self) -> list[tuple[str, datetime, datetime | None]]:
        """The spans of assessed verdicts, the earliest first."""
        spans: list[tuple[str, datetime, datetime | None]] = []
        for when, verdict in self.looks:
            if verdict is None or (spans and spans[-1][0] == verdict):
                continue
            if spans:
                spans[-1] = (*spans[-1][:2], when)
            spans.append((verdict, when, None))
        return spans

    def was_bad(self, before: datetime) -> bool:
        """Whether it was known to need something before, and then not."""
        return any(verdict == BAD and until is not None and since <= before for verdict, since, until in self.spans())


class Fortnight:
    """A fleet, its truth, and the units."""

    def __init__(self, commands: Any, folder: Path, seed: int) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, folder
        self.draw = random.Random(seed)
        self.truth = {f"PC-{number}": Truth() for number in range(1, HOSTS + 1)}
        self.ours: dict[str, list[datetime]] = {name: [] for name in self.truth}
        for name in self.truth:
            self.bench.pc(GOOD, name)
        (folder / "pcs.txt").write_text("\n".join(self.truth) + "\n")
        (folder / "provmode.toml").write_text("inventory = 'pcs.txt'\n[history]\nurl = 'sqlite:///history.sqlite'\n")
        (folder / "units").mkdir()
        (folder / "state").mkdir(exist_ok=True)
        self.configuration = folder / "provmode.toml"
        ran = commands.run("systemd", "--write", folder / "units", "--config", self.configuration)
        assert ran.code == 0, ran.err

    def unit(self, name: str) -> Any:
        """Run the command of a service."""
        text = (self.folder / "units" / f"{name}.service").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
        words = shlex.split(
            line.removeprefix("ExecStart=:").replace("%S", str(self.folder / "state")).replace("%%", "%")
        )
        while words[0] != "audit":
            words.pop(0)
        (self.folder / "state" / "provmode").mkdir(exist_ok=True)
        return self.commands.run(*words)

    def happen(self, chance_bad: float, chance_off: float) -> None:
        """Let PCs get stuck, be mended by somebody, go off, and come on."""
        for name, truth in self.truth.items():
            if self.draw.random() < chance_bad:
                truth.persona = BAD if truth.persona == GOOD else GOOD
                self.bench.pc(truth.persona, name)
            if self.draw.random() < chance_off:
                truth.on = not truth.on
            self.bench.pcs[name].error = None if truth.on else Unreachable(f"{name} does not answer")

    def look(self, names: list[str]) -> None:
        for name in names:
            truth = self.truth[name]
            truth.looks.append((self.bench.now(), truth.persona if truth.on else None))

    def json(self, *arguments: object) -> Any:
        ran = self.commands.run(*arguments, "--format", "json", "--config", self.configuration)
        assert ran.out, ran.err
        return json.loads(ran.out)

    def night(self) -> datetime:
        at: datetime = self.bench.now()
        code = self.unit("provmode-audit").code
        self.look(list(self.truth))
        bad = any(truth.persona == BAD and truth.on for truth in self.truth.values())
        off = any(not truth.on for truth in self.truth.values())
        assert code == (2 if bad else 8 if off else 0)
        return at

    def day(self) -> None:
        """Retries through the day: exactly those that the run before could not assess."""
        left = [name for name, truth in self.truth.items() if not truth.on]
        for _ in range(RETRIES):
            self.bench.wait(4 * 3600)
            self.happen(0.02, 0.2)
            ran = self.unit("provmode-retry")
            assert ran.code in (0, 2, 8), ran.err
            self.look(left)
            left = [name for name in left if self.truth[name].looks[-1][1] is None]

    def mend(self) -> None:
        """Mend a PC ourselves."""
        stuck = [name for name, truth in self.truth.items() if truth.persona == BAD and truth.on]
        if stuck:
            name = self.draw.choice(stuck)
            self.bench.wait(60)
            self.look([name])  # the push looks at it before it changes it
            ran = self.commands.run(
                *("push", self.folder / "pcs.txt", "--limit", name, "--yes", "--unsigned"),
                *("--output", self.folder / f"push-{self.bench.seconds}.json", "--config", self.configuration),
            )
            assert ran.code == 0, ran.err
            self.truth[name].persona = GOOD
            self.ours[name].append(self.bench.now())


def check_state(fortnight: Fortnight, at: datetime) -> None:
    shown = fortnight.json("history", "show", "last")
    assert datetime.fromisoformat(shown["began"]) == at
    for host in shown["hosts"]:
        truth = fortnight.truth[host["host"]]
        known = host["last_known"]
        stored = (
            (known["verdict"], *(datetime.fromisoformat(known[name]) for name in ("since", "seen"))) if known else None
        )
        assert stored == truth.known(at), host["host"]
        assert host["verdict"] == (truth.found(at) or "unassessed")


def check_drift(fortnight: Fortnight, before: datetime, after: datetime) -> None:
    expected = []
    for name, truth in fortnight.truth.items():
        one, two = truth.known(before), truth.known(after)
        was, now = one[0] if one else None, two[0] if two else None
        seen_before, seen_now = truth.found(before) is not None, truth.found(after) is not None
        by_us = any(before < when for when in fortnight.ours[name])
        words = []
        if seen_now and now == BAD:
            words.append("still" if was == BAD else "returned" if truth.was_bad(before) else "new")
        elif seen_now and was == BAD:
            words.append("fixed")
        words += ["lost"] * (seen_before and not seen_now) + ["found"] * (seen_now and not seen_before)
        expected += [(name, word, by_us) for word in words]
    found = [(each["host"], each["word"], each["by_us"]) for each in fortnight.json("drift")["hosts"]]
    assert sorted(found) == sorted(expected)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_what_the_history_says_is_what_happened_day_by_day(
    commands: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
    tmp_path.chmod(0o755)
    fortnight = Fortnight(commands, tmp_path, seed)
    before = None
    for _ in range(DAYS):
        at = fortnight.night()
        check_state(fortnight, at)
        if before is not None:
            check_drift(fortnight, before, at)
        before = at
        fortnight.mend()
        fortnight.day()
        fortnight.bench.wait(timedelta(hours=24 - 4 * RETRIES).total_seconds())
        fortnight.happen(0.1, 0.15)

    for name, truth in fortnight.truth.items():
        spans = fortnight.json("history", "host", name)["spans"]
        assert [
            (
                span["verdict"],
                datetime.fromisoformat(span["since"]),
                datetime.fromisoformat(span["until"]) if span["until"] else None,
            )
            for span in spans
            if span["verdict"] != "unassessed"
        ] == truth.spans(), name
    assert len(fortnight.json("history", "runs", "--last", "1000")["runs"]) >= DAYS
    assert {truth.persona for truth in fortnight.truth.values()} == {BAD, GOOD}
