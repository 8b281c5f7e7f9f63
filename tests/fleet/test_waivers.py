"""Waivers in every run: a finding that is known is counted apart, and comes back when its waiver has ended."""

from __future__ import annotations

import csv
import io
import json
import os
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provmode.errors import AuthenticationFailed
from provmode.transport.session import Session

DAY = 86400.0
SCHEMAS = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "test_plan.py")))
"""What `test_plan.py` reads schemas with."""
HEAD = 'zone = "Europe/Berlin"\n'


class Waiving:
    """A fleet of near PCs and a file of waivers."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, commands.bench.folder
        monkeypatch.chdir(self.folder)
        monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
        self.folder.chmod(0o755)
        self.file = self.folder / "waivers.toml"

    def fleet(self, *personas: str) -> list[Any]:
        return [self.bench.pc(persona, f"PC-{number}", seed=number) for number, persona in enumerate(personas, 1)]

    def waive(self, *tables: str, expires: str = "2026-12-31") -> None:
        """Write a file of waivers; each of *tables* is what sets it apart."""
        common = f'owner = "Anna"\nreason = "known"\nticket = "CHG1"\ncreated = 2026-11-20\nexpires = {expires}\n'
        self.file.write_text(HEAD + "".join(f"[[waiver]]\n{common}{table}\n" for table in tables))

    def run(self, command: str, *arguments: object, waivers: bool = True) -> Any:
        known = ("--waivers", "waivers.toml") if waivers else ()
        return self.commands.run(command, self.commands.inventory, *known, *arguments)

    def json(self, command: str, *arguments: object) -> dict[str, Any]:
        ran = self.run(command, *arguments, "--format", "json")
        assert ran.out, ran.err
        document: dict[str, Any] = json.loads(ran.out)
        return document

    def apply(self, *arguments: object) -> Any:
        return self.commands.run("apply", "plan.json", "--unsigned", "--soak", "0", *arguments)

    def changed(self) -> list[str]:
        return [name for name, pc in self.bench.pcs.items() if pc.changes]


@pytest.fixture
def waiving(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Waiving:
    return Waiving(commands, monkeypatch)


def said(text: str) -> str:
    return " ".join(text.split())


# -- audit ------------------------------------------------------------------------------------------------------------


def test_what_is_waived_is_counted_apart_and_does_not_raise_the_exit_code(waiving: Waiving) -> None:
    waiving.fleet("armed", "healthy")
    before = waiving.run("audit", waivers=False)
    waiving.waive('host = "PC-1"')

    ran = waiving.run("audit")
    document = waiving.json("audit")

    assert (before.code, ran.code) == (2, 0)
    assert (document["summary"]["armed"], document["summary"]["waived"]) == (1, 1)
    assert document["hosts"][0]["waived"] == {
        "owner": "Anna",
        "reason": "known",
        "ticket": "CHG1",
        "expires": "2026-12-31",
        "effect": "report",
    }
    assert "waived" not in document["hosts"][1]
    assert SCHEMAS.misfits(SCHEMAS.inlined(SCHEMAS.AUDIT_SCHEMA), document, "audit") == []


def test_the_text_shows_the_waived_in_their_own_group_with_who_and_until_when(waiving: Waiving) -> None:
    waiving.fleet("armed", "armed", "healthy")
    waiving.waive('host = "PC-1"')

    lines = waiving.run("audit").out.splitlines()

    assert lines[0].startswith("armed  1 of 3")
    assert lines[0].endswith("(and 1 waived, below)")
    assert [line for line in lines if "PC-1" in line] == ["  PC-1: armed: Anna, CHG1, until 2026-12-31: known"]
    assert "waived  1 of 3  known, and somebody answers for it: does not raise the exit code" in lines
    assert lines[-1] == "3 hosts: 2 armed, 1 healthy; 1 of them waived"


def test_another_host_with_the_same_finding_still_raises_the_exit_code(waiving: Waiving) -> None:
    waiving.fleet("armed", "armed")
    waiving.waive('host = "PC-1"')

    assert waiving.run("audit").code == 2


def test_a_waived_host_is_looked_at_like_any_other(waiving: Waiving) -> None:
    pc, _ = waiving.fleet("armed", "healthy")
    waiving.waive('host = "PC-1"')

    waiving.run("audit", waivers=False)
    without = len(pc.actions)
    waiving.run("audit")

    assert len(pc.actions) == 2 * without > 0


def test_a_host_that_could_not_be_assessed_is_never_waived(waiving: Waiving) -> None:
    pc, _ = waiving.fleet("armed", "healthy")
    pc.error = AuthenticationFailed("no")
    waiving.waive('host = "PC-1"')

    ran = waiving.run("audit", "--format", "json")

    assert ran.code == 4
    assert json.loads(ran.out)["summary"]["waived"] == 0
    assert ran.err == ""


def test_a_group_is_that_of_the_inventory(waiving: Waiving, programs: None) -> None:
    waiving.fleet("armed", "armed")
    Path("fleet.py").write_text("site_a = ['@winrm/PC-1']\nsite_b = ['@winrm/PC-2']\n")
    Path("fleet.py").chmod(0o644)
    waiving.waive('group = "site_a"')

    ran = waiving.commands.run("audit", "fleet.py", "--waivers", "waivers.toml", "--format", "json")

    hosts = {host["host"]: "waived" in host for host in json.loads(ran.out)["hosts"]}
    assert hosts == {"PC-1": True, "PC-2": False}


# -- when it ends -----------------------------------------------------------------------------------------------------


def test_the_morning_after_its_last_day_the_finding_counts_again(waiving: Waiving) -> None:
    waiving.fleet("armed")
    waiving.waive('host = "PC-1"', expires="2026-11-26")

    waiving.bench.wait(10.99 * 3600)  # 22:59 UTC, 23:59 in Berlin
    evening = waiving.run("audit")
    waiving.bench.wait(0.02 * 3600)
    morning = waiving.run("audit")

    assert (evening.code, morning.code) == (0, 2)
    assert "ends on 2026-11-26: then 1 finding counts again" in evening.err
    assert morning.err == (
        "provmode: waivers.toml: waiver 1 (line 2) (PC-1; Anna, CHG1) expired on 2026-11-26: 1 finding counts again; "
        "mend what it covers, or waive that anew\n"
    )
    assert "waived" not in morning.out


def test_it_is_said_for_fourteen_days_and_not_before(waiving: Waiving) -> None:
    waiving.fleet("armed")
    waiving.waive('host = "PC-1"', expires="2026-12-11")

    quiet = waiving.run("audit").err
    waiving.bench.wait(2 * DAY)

    assert quiet == ""
    assert "ends on 2026-12-11" in waiving.run("audit").err


def test_what_matches_nothing_is_said_by_a_run_of_the_whole_inventory_alone(waiving: Waiving) -> None:
    waiving.fleet("armed", "healthy")
    waiving.waive('host = "PC-9"', 'host = "PC-2"')

    whole, part = waiving.run("audit"), waiving.run("audit", "--limit", "PC-1")

    assert [line.rpartition(") ")[2] for line in whole.err.splitlines()] == [
        "names no PC of the inventory; take it out of the file",
        "matches no finding; take it out of the file",
    ]
    assert part.err == ""


# -- the file ---------------------------------------------------------------------------------------------------------


def test_a_file_with_mistakes_keeps_the_run_from_beginning(waiving: Waiving) -> None:
    (pc,) = waiving.fleet("armed")
    waiving.file.write_text('[[waiver]]\nhost = "PC-1"\n')

    ran = waiving.run("audit")

    assert (ran.code, ran.out, pc.actions) == (1, "", [])
    assert "waivers.toml: it names no time zone" in ran.err


def test_a_file_that_others_can_write_to_is_not_believed(waiving: Waiving) -> None:
    waiving.fleet("armed")
    waiving.waive('host = "PC-1"')
    waiving.file.chmod(0o666)

    ran = waiving.run("audit")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("waivers.toml decides what is reported and changed, and others can write to it; ")


def test_a_file_that_is_not_there_is_an_error_and_not_an_empty_one(waiving: Waiving) -> None:
    waiving.fleet("armed")

    ran = waiving.run("audit")

    assert ran.code == 1
    assert "there is no such file; `provmode waive` begins one" in ran.err


def test_a_pipe_is_not_waited_for(waiving: Waiving) -> None:
    waiving.fleet("armed")
    os.mkfifo(waiving.file)

    assert "it is not a regular file" in waiving.run("audit").err


def test_the_configuration_names_the_file_and_how_long_waivers_may_last(waiving: Waiving) -> None:
    waiving.fleet("armed")
    waiving.waive('host = "PC-1"', expires="2027-11-01")
    config = waiving.folder / "etc.toml"
    config.write_text('[waivers]\nfile = "waivers.toml"\n')

    too_long = waiving.run("audit", "--config", config, waivers=False)
    config.write_text('[waivers]\nfile = "waivers.toml"\nmax_days = 365\n')
    ran = waiving.run("audit", "--config", config, waivers=False)

    assert (too_long.code, ran.code) == (1, 0)
    assert "at most 180 are allowed" in too_long.err


@pytest.mark.parametrize("line", ['file = "waivers.toml"', "max_days = 3000"])
def test_a_configuration_of_the_working_directory_may_not_waive_anything(waiving: Waiving, line: str) -> None:
    waiving.fleet("armed")
    Path("provmode.toml").write_text(f"[waivers]\n{line}\n")

    ran = waiving.run("audit", waivers=False)

    assert (ran.code, ran.out) == (1, "")
    assert "is not taken from the working directory" in ran.err


# -- other files of a run ---------------------------------------------------------------------------------------------


def test_junit_skips_what_is_waived_and_says_who_answers_for_it(waiving: Waiving) -> None:
    waiving.fleet("armed", "armed", "healthy")
    waiving.waive('host = "PC-1"')

    waiving.run("audit", "--write", "junit=j.xml")

    suite = ET.parse("j.xml").getroot()[0]
    assert (suite.get("skipped"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    skipped = suite.find("testcase[@name='PC-1']/skipped")
    assert skipped is not None
    assert skipped.get("message") == "waived by Anna, CHG1, until 2026-12-31: known"


def test_the_table_and_the_figures_say_what_is_waived(waiving: Waiving) -> None:
    waiving.fleet("armed", "armed")
    waiving.waive('host = "PC-1"', expires="2026-12-01")

    waiving.run("audit", "--write", "csv=t.csv", "--write", "prometheus=m.prom")

    rows = list(csv.DictReader(io.StringIO(Path("t.csv").read_text("utf-8-sig"))))
    assert [row["waived"] for row in rows] == ["Anna, CHG1, until 2026-12-01", ""]
    assert [row["verdict"] for row in rows] == ["armed", "armed"]
    figures = Path("m.prom").read_text()
    label = '{inventory="@winrm/PC-1,@winrm/PC-2"}'
    assert f"provmode_waived_hosts{label} 1\n" in figures
    assert f"provmode_waivers_expiring{label} 1\n" in figures


# -- plan and push ----------------------------------------------------------------------------------------------------


def test_a_hold_keeps_a_plan_from_changing_the_host_and_says_who_holds_it(waiving: Waiving) -> None:
    waiving.fleet("armed", "armed")
    waiving.waive('host = "PC-1"\neffect = "hold"')

    ran = waiving.run("plan", "--output", "plan.json", "--unsigned")
    document = json.loads(Path("plan.json").read_text())

    one, two = document["hosts"]
    assert (one["steps"], one["left_alone"]) == ([], "held by Anna, CHG1, until 2026-12-31: known")
    assert one["waived"]["effect"] == "hold"
    assert two["steps"]
    assert "1 host armed: held by Anna, CHG1, until 2026-12-31: known" in said(ran.out)
    assert ran.code == 2
    assert SCHEMAS.misfits(SCHEMAS.SCHEMA, document) == []


def test_a_waiver_that_only_reports_keeps_nothing_out_of_a_plan(waiving: Waiving) -> None:
    waiving.fleet("armed")
    waiving.waive('host = "PC-1"')

    ran = waiving.run("plan", "--output", "plan.json", "--unsigned")

    assert json.loads(Path("plan.json").read_text())["hosts"][0]["steps"]
    assert ran.code == 0
    shown = waiving.commands.run("show", "plan.json").out
    assert "PC-1: Anna, CHG1, until 2026-12-31: known" in shown


def test_one_pc_that_stands_in_the_inventory_twice_is_held_by_either_name(waiving: Waiving) -> None:
    one, two = waiving.fleet("armed", "armed")
    two.machine, two.service = one.machine, one.service
    waiving.waive('host = "PC-2"\neffect = "hold"')

    waiving.run("plan", "--output", "plan.json", "--unsigned")

    hosts = json.loads(Path("plan.json").read_text())["hosts"]
    assert [(host["steps"], host["left_alone"][:12]) for host in hosts] == [([], "held by Anna")] * 2


def test_a_hold_also_keeps_traces_where_they_are(waiving: Waiving) -> None:
    waiving.fleet("armed")
    waiving.run("push", "--yes", "--unsigned", "--output", "push.json", waivers=False)
    removal = ("--remove-traces", "--journal", "push.json.journal", "--unsigned", "--output")
    free = waiving.run("plan", *removal, "free.json", waivers=False)
    waiving.waive('host = "PC-1"\neffect = "hold"')

    held = waiving.run("plan", *removal, "held.json")

    assert (free.code, held.code) == (2, 0)
    assert json.loads(Path("free.json").read_text())["hosts"][0]["steps"]
    assert json.loads(Path("held.json").read_text())["hosts"][0]["left_alone"].startswith("held by Anna")


def test_a_push_leaves_held_hosts_alone_and_does_not_fail_for_them(waiving: Waiving) -> None:
    waiving.fleet("armed", "armed")
    waiving.waive('host = "PC-1"\neffect = "hold"')

    ran = waiving.run("push", "--yes", "--unsigned")

    assert (ran.code, waiving.changed()) == (0, ["PC-2"])


# -- apply ------------------------------------------------------------------------------------------------------------


def test_a_host_that_is_held_since_the_plan_is_not_begun(waiving: Waiving) -> None:
    one, _ = waiving.fleet("armed", "armed")
    waiving.run("plan", "--output", "plan.json", "--unsigned", waivers=False)
    waiving.waive('host = "PC-1"\neffect = "hold"')
    asked = len(one.actions)

    ran = waiving.apply("--waivers", "waivers.toml", "--format", "json")

    document = json.loads(ran.out)
    held = document["hosts"][0]
    assert (ran.code, waiving.changed(), len(one.actions)) == (2, ["PC-2"], asked)
    assert (held["ended"], held["detail"]) == ("not-started", "held by Anna, CHG1, until 2026-12-31: known")
    assert document["ended_early"] == ""


def test_held_hosts_make_no_wave_of_their_own_that_would_stop_the_run(waiving: Waiving) -> None:
    """A wave of which nobody is reached ends a run, and each resume of it, for as long as its hosts are held."""
    waiving.fleet("armed", "armed", "armed", "armed")
    waiving.run("plan", "--output", "plan.json", "--unsigned", waivers=False)
    waiving.waive('hosts = "PC-[12]"\neffect = "hold"')

    ran = waiving.apply("--waivers", "waivers.toml", "--wave", "1", "--no-spread", "--format", "json")

    document = json.loads(ran.out)
    assert (ran.code, waiving.changed()) == (2, ["PC-3", "PC-4"])
    assert [host["ended"] for host in document["hosts"]] == ["not-started", "not-started", "changed", "changed"]
    assert document["ended_early"] == ""
    assert ran.err.startswith("about to change 2 hosts; 2 hosts held by waivers\n")
    assert "wave 1 of 2: 1 host: PC-3\n" in ran.err


def test_a_resume_counts_a_held_host_that_was_finished_before_as_finished(waiving: Waiving) -> None:
    waiving.fleet("armed", "armed")
    waiving.run("plan", "--output", "plan.json", "--unsigned", waivers=False)
    waiving.waive('host = "PC-2"\neffect = "hold"')
    waiving.apply("--waivers", "waivers.toml")
    waiving.waive('hosts = "PC-[12]"\neffect = "hold"')

    ran = waiving.apply("--waivers", "waivers.toml", "--resume", "--format", "json")

    assert [host["ended"] for host in json.loads(ran.out)["hosts"]] == ["changed", "not-started"]
    assert ran.err.startswith("about to change 0 hosts; 1 host finished before; 1 host held by waivers\n")


def test_once_it_is_not_held_any_more_a_resume_begins_it(waiving: Waiving) -> None:
    waiving.fleet("armed", "armed")
    waiving.run("plan", "--output", "plan.json", "--unsigned", waivers=False)
    waiving.waive('host = "PC-1"\neffect = "hold"')
    waiving.apply("--waivers", "waivers.toml")
    waiving.waive()

    ran = waiving.apply("--waivers", "waivers.toml", "--resume")

    assert (ran.code, waiving.changed()) == (0, ["PC-1", "PC-2"])


def test_a_hold_that_is_written_while_a_plan_is_applied_counts(waiving: Waiving) -> None:
    one, *_ = waiving.fleet("armed", "armed", "armed")
    waiving.run("plan", "--output", "plan.json", "--unsigned", waivers=False)
    waiving.waive()
    one.before("provmode", lambda: waiving.waive('host = "PC-2"\neffect = "hold"'))

    ran = waiving.apply("--waivers", "waivers.toml")

    assert (ran.code, waiving.changed()) == (2, ["PC-1", "PC-3"])


def test_a_hold_counts_that_is_written_while_a_host_waits_for_its_turn(
    waiving: Waiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiving.fleet("armed", "armed")
    waiving.run("plan", "--output", "plan.json", "--unsigned", waivers=False)
    waiving.waive()
    connect, names = Session.connect, iter(["PC-1", "PC-2"])

    def slowly(session: Session) -> None:
        if next(names) == "PC-2":
            waiving.waive('host = "PC-2"\neffect = "hold"')
        connect(session)

    monkeypatch.setattr(Session, "connect", slowly)

    ran = waiving.apply("--waivers", "waivers.toml", "--format", "json")

    held = json.loads(ran.out)["hosts"][1]
    assert (ran.code, waiving.changed(), held["ended"]) == (2, ["PC-1"], "not-started")
    assert held["detail"].startswith("held by Anna")


def test_a_file_that_breaks_while_a_plan_is_applied_ends_the_run_before_the_next_host(waiving: Waiving) -> None:
    one, *_ = waiving.fleet("armed", "armed", "armed")
    waiving.run("plan", "--output", "plan.json", "--unsigned", waivers=False)
    waiving.waive()
    one.before("provmode", lambda: waiving.file.write_text("[[waiver]]\n"))

    ran = waiving.apply("--waivers", "waivers.toml", "--format", "json")

    document = json.loads(ran.out)
    assert (ran.code, waiving.changed()) == (2, ["PC-1"])
    assert "nobody can tell which hosts are held: waivers.toml: " in document["ended_early"]
    assert document["stopped"]["guard"] == "waivers"


def test_a_file_that_cannot_be_read_keeps_a_plan_from_being_applied(waiving: Waiving) -> None:
    waiving.fleet("armed")
    waiving.run("plan", "--output", "plan.json", "--unsigned", waivers=False)

    ran = waiving.apply("--waivers", "nowhere.toml")

    assert (ran.code, waiving.changed()) == (3, [])
    assert "nobody can tell which hosts are held" in ran.err
