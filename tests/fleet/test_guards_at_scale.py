"""Each guard trips once in the night of a fleet, and the PCs themselves recorded that it held the run back."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import Unreachable
from provmode.lab.windows.deployments import PendingRestart
from provmode.lab.windows.store import HKLM, RegType

PCS, NEED, SITES = 2000, 140, 4
NETLOGON = "SYSTEM\\CurrentControlSet\\Services\\Netlogon\\Parameters"
TCF = "C:\\Windows\\ccmsetup\\MobileClient.TCF"
MODELS = ("Latitude", "Surface", "ThinkPad", "EliteBook", "Tower")
USUAL = ("--wave", "5,40,40", "--max-failures", "4", "--per-site", "12")


class Night:
    """A fleet of which some PCs need a change; the others must never be touched."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench = commands, commands.bench
        self.waves: list[list[str]] = []
        """The hosts of each wave and each second look, as the last run visited them."""
        self.after: dict[str, Any] = {}
        """What happens right after a PC was worked on, by its name."""
        monkeypatch.chdir(self.bench.folder)
        monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
        self.bench.folder.chmod(0o755)
        Path("provmode.toml").write_text("[history]\nurl = 'sqlite:///history.sqlite'\n")
        runner = commands.runner

        def made(working: int = 1) -> Any:
            found = runner(working)
            found.visited, found.at_end_of = self.waves, self.after
            return found

        monkeypatch.setattr("provmode.fleet.visit.GeventRunner", made)
        self.planned = [f"PC-{14 * number:04}" for number in range(1, NEED + 1)]
        self.leaving = self.planned[34::35]
        """Those that leave the mode; each has a restart that is pending. The others are armed."""
        for number in range(1, PCS + 1):
            name = f"PC-{number:04}"
            persona = "overdue" if name in self.leaving else "armed" if name in self.planned else "healthy"
            self.add(self.bench.pc(persona, name, seed=1))

    def add(self, pc: Any) -> None:
        """Give a PC its place and its model."""
        number = int(pc.name[3:]) // 14
        pc.machine.registry.set(HKLM, NETLOGON, "DynamicSiteName", RegType.SZ, f"Site-{number % SITES}")
        pc.machine.model = MODELS[number % 5] if number > 70 else MODELS[0]
        pc.machine.mutations.clear()
        if pc.name in self.leaving:
            pc.machine.client.deployments, pc.machine.client.pending_restart = [], PendingRestart(None)

    @property
    def changed(self) -> set[str]:
        """The PCs of which the lab recorded a change over the network."""
        return {name for name, pc in self.bench.pcs.items() if pc.changes}

    def apply(self, *options: object) -> tuple[int, dict[str, Any], str]:
        self.waves.clear()
        ran = self.commands.run("apply", "plan.json", "--unsigned", *USUAL, "--format", "json", *options)
        return ran.code, json.loads(ran.out) if ran.out else {}, " ".join(ran.err.split())


@pytest.fixture
def night(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Night:
    return Night(commands, monkeypatch)


def tripped() -> list[str]:
    """The guards that tripped, as the journal has them."""
    lines = map(json.loads, Path("plan.json.journal").read_bytes().splitlines())
    return [line["guard"] for line in lines if line["event"] == "guard-tripped"]


def test_each_guard_of_a_run_over_a_fleet_trips_once_and_the_pcs_recorded_that_it_held(night: Night) -> None:
    me, stop = pwd.getpwuid(os.getuid()).pw_name, Path("stop").absolute()
    planned = night.commands.run(
        "plan", night.commands.inventory, "--output", "plan.json", "--unsigned", "--processes", 1
    )
    assert planned.code == 2

    # before the start: unusually many, too many restarts, the stop file
    code, _, said = night.apply()
    assert (code, "give --yes-many 140" in said) == (3, True)
    assert "7 % of the 2,000 assessed by the last plan of all, and more than 5 %" in said
    code, _, said = night.apply("--yes-many", 140, "--max-restarts", 3)
    assert (code, "would set off 0 installs and 4 restarts, more than the 3" in said) == (3, True)
    stop.write_text("not tonight\n")
    code, _, said = night.apply("--yes-many", 140, "--stop-file", stop)
    assert (code, f"the stop file {stop} of {me} says: not tonight" in said) == (3, True)
    stop.unlink()
    assert (night.changed, Path("plan.json.journal").exists()) == (set(), False)

    # the stop file, after the third host
    worked: list[str] = []

    def count(name: str) -> None:
        worked.append(name)
        if len(worked) == 3:
            stop.write_text("the line to Bonn is down\n")

    night.after.update({name: lambda name=name: count(name) for name in night.planned})  # type: ignore[misc]
    code, report, said = night.apply("--yes-many", 140, "--max-restarts", 4, "--stop-file", stop)
    night.after.clear()
    stop.unlink()
    assert (code, report["stopped"]["guard"], tripped()) == (2, "stop-file", ["stop-file"])
    assert (report["summary"]["changed"], report["summary"]["not-started"]) == (3, 137)
    assert night.changed == set(worked[:3])
    assert "at worst: 52 hosts fail before the run ends: 4 within the failure budget, 48 worked on" in said
    wave = re.search(r"wave 2 of 5: 40 hosts: ([-PC0-9, ]+) wave 3", said)
    assert wave is not None
    second = wave.group(1).split(", ")

    # a second wave of which 30 of 40 are away
    for name in second[:30]:
        night.bench.pcs[name].error = Unreachable("it is off")
    code, report, _ = night.apply("--yes-many", 140, "--resume")
    assert (code, report["stopped"]["guard"], tripped()) == (2, "min-reached", ["stop-file", "min-reached"])
    assert report["ended_early"] == "of the last wave 10 of 40 hosts were reached, and --min-reached asks for 50 %"
    assert (len(night.changed), night.changed & set(second)) == (15, set(second[30:]))

    # five of them armed again in the soak before the third wave
    for name in second[:30]:
        night.bench.pcs[name].heal()
    relapsing = [name for name in second if name not in night.leaving][:5]

    def arm() -> None:
        for name in relapsing:
            night.bench.pcs[name].machine.files.write(
                TCF, b"[Client Install]\r\nSMSPROVISIONINGMODE=1\r\n", night.bench.now()
            )

    night.after[second[-1]] = arm
    code, report, _ = night.apply("--yes-many", 140, "--resume", "--soak", "0.01")
    night.after.clear()
    assert (code, report["ended_early"]) == (6, "5 hosts failed, more than the 4 of the failure budget")
    assert [host["host"] for host in report["hosts"] if host["ended"] == "failed"] == sorted(relapsing)
    assert (report["looked_again"]["relapsed"], report["looked_again"]["not-seen"]) == (5, 0)
    assert len(night.changed) == 45

    # nothing holds it back any more
    code, report, _ = night.apply("--yes-many", 140, "--resume", "--soak", "0")
    assert (code, report["summary"]["changed"], report["summary"]["stale"]) == (2, 135, 5)
    assert night.changed == set(night.planned), "no other PC was ever changed"
    assert [len(wave) for wave in night.waves] == [5, 40, 40, 48, 7]
    sites = {
        host["host"]: host["machine"]["ad_site"]["known"]
        for host in json.loads(Path("plan.json").read_text())["hosts"]
        if host["steps"]
    }
    assert max(max(Counter(sites[name] for name in wave).values()) for wave in night.waves) == 12
    assert len({night.bench.pcs[name].machine.model for name in night.waves[0]}) >= 4, "one has another client instead"
    assert len({sites[name] for name in night.waves[0]}) == SITES
    runs = json.loads(night.commands.run("history", "runs", "--format", "json").out)["runs"]
    assert [run["stopped"]["guard"] for run in runs if "stopped" in run] == ["min-reached", "stop-file"]
    shown = night.commands.run("history", "show", str(next(run["number"] for run in runs if "stopped" in run)))
    assert "stopped by the guard min-reached: of the last wave 10 of 40 hosts" in " ".join(shown.out.split())
