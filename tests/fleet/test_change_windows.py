"""Windows, the gate and the number of a change, as the commands take them from options and the configuration file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from provmode.cli.main import exit_with
from provmode.fleet.guards import RunRefused
from provmode.fleet.plan_file import load


def calendar(*events: tuple[str, str]) -> str:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//a test//EN"]
    for begins, ends in events:
        lines += ["BEGIN:VEVENT", f"UID:{begins}", f"DTSTART:2026{begins}00Z", f"DTEND:2026{ends}00Z", "END:VEVENT"]
    return "\r\n".join((*lines, "END:VCALENDAR", ""))


OPEN, LATER = ("1126T0800", "1126T2000"), ("1127T2200", "1128T0400")
"""The clock of a bench begins at noon of 2026-11-26, UTC: in the first, before the second."""


class Desk:
    """Somebody at the command line, in a folder of their own."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, commands.bench.folder
        monkeypatch.chdir(self.folder)
        monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
        monkeypatch.setattr("provmode.cli.windows.monotonic", self.bench.clock)
        self.calendar("open.ics", OPEN)
        self.calendar("later.ics", LATER)

    def calendar(self, name: str, *events: tuple[str, str]) -> None:
        (self.folder / name).write_text(calendar(*events))

    def configure(self, text: str) -> None:
        path = self.folder / "provmode.toml"
        path.write_text(f"[windows]\n{text}\n")
        path.chmod(0o600)

    def fleet(self, number: int = 3) -> None:
        for each in range(1, number + 1):
            self.bench.pc("armed", f"PC-{each}", seed=each)

    def plan(self, *options: object) -> Any:
        return self.run("plan", "--output", "plan.json", "--unsigned", *options)

    def apply(self, *options: object) -> Any:
        return self.run("apply", "plan.json", "--unsigned", *options)

    def run(self, command: str, *options: object) -> Any:
        inventory = (self.commands.inventory,) if command in ("audit", "plan", "push") else ()
        return self.commands.run(command, *inventory, *options)

    def gate(self, text: str) -> str:
        """A program that is asked, as the words of an option; what it was told is in ``told``."""
        path = self.folder / "gate.py"
        told = self.folder / "told"
        path.write_text(
            "import sys, json\nfacts = json.load(sys.stdin)\n"
            f"open({str(told)!r}, 'a').write(json.dumps(facts) + '\\n')\n{text}\n"
        )
        return f"{sys.executable} {path}"

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "told").read_text().splitlines()]

    @property
    def changed(self) -> list[str]:
        return [name for name, pc in self.bench.pcs.items() if pc.changes]


@pytest.fixture
def desk(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Desk:
    found = Desk(commands, monkeypatch)
    found.fleet()
    return found


REFUSED = "nothing may be changed now: no window is open; it opens next at 2026-11-27 22:00 UTC"


# -- windows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["apply", "push", "undo"])
@pytest.mark.parametrize("how", ["option", "file"])
def test_outside_its_windows_a_command_that_changes_pcs_does_nothing(desk: Desk, command: str, how: str) -> None:
    desk.plan()
    desk.apply("--limit", "PC-1")
    asked = [len(pc.actions) for pc in desk.bench.pcs.values()]
    options = ["--window", "later.ics"] if how == "option" else []
    if how == "file":
        desk.configure('window = "later.ics"\nzone = "UTC"')
    else:
        desk.configure('zone = "UTC"')

    ran = {
        "apply": lambda: desk.apply("--journal", "other.journal", *options),
        "push": lambda: desk.run("push", "--yes", "--unsigned", *options),
        "undo": lambda: desk.run(
            "undo", "plan.json.journal", "--inventory", desk.commands.inventory, "--unsigned", "--yes", *options
        ),
    }[command]()

    assert (ran.code, ran.err.strip()) == (3, REFUSED)
    assert [len(pc.actions) for pc in desk.bench.pcs.values()] == asked, "no PC was asked anything"
    assert not (desk.folder / "other.journal").exists()


def test_inside_a_window_that_the_configuration_names_a_plan_is_applied(desk: Desk) -> None:
    desk.configure('window = ["open.ics", "later.ics"]\nblackout = ["later.ics"]\nzone = "Europe/Berlin"\ndrain = "5m"')
    desk.plan()

    ran = desk.apply()

    assert (ran.code, desk.changed) == (0, ["PC-1", "PC-2", "PC-3"])


def test_an_option_counts_instead_of_the_file_and_none_takes_its_calendars_away(desk: Desk) -> None:
    desk.configure('window = ["later.ics"]')
    desk.plan()

    assert desk.apply().code == 3
    assert desk.apply("--window", "none", "--limit", "PC-1").code == 0
    assert desk.apply("--window", "open.ics", "--limit", "PC-2", "--journal", "two").code == 0


def test_a_blackout_and_a_last_moment_refuse_too(desk: Desk) -> None:
    desk.plan()
    desk.configure('zone = "UTC"')

    assert desk.apply("--blackout", "open.ics").err.strip() == (
        "nothing may be changed now: a blackout holds; it opens next at 2026-11-26 20:00 UTC"
    )
    late = desk.apply("--not-after", "11:00")
    assert (late.code, "has passed: it comes next in 23 h 0 min" in late.err) == (3, True)
    assert desk.apply("--not-after", "12:05").code == 3, "no host is begun that may not be ready by then"
    assert desk.apply("--not-after", "12:05", "--drain", "2m").code == 0


def test_a_calendar_that_cannot_be_relied_on_is_bad_usage(desk: Desk) -> None:
    desk.plan()
    (desk.folder / "open.ics").write_text(calendar(OPEN).replace("00Z", "00"))

    ran = desk.apply("--window", "open.ics")

    assert ran.code == 1
    assert ran.err.strip().startswith(
        "open.ics: event '1126T0800': its time has no zone; write its zone under [windows]"
    )
    assert desk.apply("--window", "missing.ics").err.strip().startswith("missing.ics: it cannot be read: No such file")


def test_a_run_whose_window_closes_is_deferred_and_resumed(desk: Desk) -> None:
    desk.plan()
    desk.calendar("night.ics", ("1126T1100", "1126T1230"), ("1126T1300", "1126T1400"))
    desk.bench.pcs["PC-1"].before("", lambda: desk.bench.wait(100))
    desk.configure('window = ["night.ics"]\nzone = "UTC"\ndrain = "1m"')
    desk.bench.wait(27.5 * 60)

    first = desk.apply("--wave", "1,1")

    assert (first.code, desk.changed) == (2, ["PC-1"])
    assert "deferred" in first.out
    assert "2026-11-26 12:30 UTC" in first.out
    assert "--resume" in first.out
    desk.bench.wait(3600 - desk.bench.seconds)
    second = desk.apply("--resume", "--format", "json")
    assert (second.code, desk.changed) == (0, ["PC-1", "PC-2", "PC-3"])


def test_looks_heed_windows_only_if_their_own_options_say_so(desk: Desk) -> None:
    desk.configure('window = ["later.ics"]\nblackout = ["open.ics"]\nzone = "UTC"')

    assert desk.run("audit").code == 2
    assert desk.run("audit", "--window", "open.ics").code == 2, "the blackout of the file is for changes"
    refused = desk.run("audit", "--window", "later.ics")
    assert (refused.code, refused.err.strip()) == (3, REFUSED)
    assert desk.plan("--blackout", "open.ics").code == 3
    assert not (desk.folder / "plan.json").exists()


def test_an_audit_whose_window_closes_says_who_is_missing_and_counts_nobody_as_compliant(desk: Desk) -> None:
    desk.calendar("short.ics", ("1126T1100", "1126T1201"))
    desk.bench.pcs["PC-1"].before("", lambda: desk.bench.wait(61))

    ran = desk.run("audit", "--window", "short.ics", "--format", "json")

    report = json.loads(ran.out)
    assert (ran.code, report["interrupted"], report["missing"]) == (130, True, ["PC-2", "PC-3"])
    assert [host["host"] for host in report["hosts"]] == ["PC-1"]
    assert report["summary"]["healthy"] == 0
    assert "the window closed at" in ran.err


def test_a_plan_whose_window_closes_is_not_written(desk: Desk) -> None:
    desk.calendar("short.ics", ("1126T1100", "1126T1201"))
    desk.bench.pcs["PC-1"].before("", lambda: desk.bench.wait(61))

    ran = desk.plan("--window", "short.ics")

    assert ran.code == 130
    assert not (desk.folder / "plan.json").exists()


# -- the gate -------------------------------------------------------------------------------------------------------


def test_a_gate_is_asked_before_the_start_and_each_wave_and_told_of_the_run(desk: Desk) -> None:
    desk.plan("--change", "CHG0012345")

    ran = desk.apply("--gate", desk.gate("print('go')"), "--wave", "1,1", "--window", "open.ics")

    assert (ran.code, desk.changed) == (0, ["PC-1", "PC-2", "PC-3"])
    assert [(each["before"], each["hosts"]) for each in desk.told] == [
        ("start", ["PC-1", "PC-2", "PC-3"]),
        ("wave", ["PC-1"]),
        ("wave", ["PC-2"]),
        ("wave", ["PC-3"]),
    ]
    first = desk.told[0]
    plan = load(Path("plan.json"), None, unsigned=True, now=desk.bench.now())
    assert (first["command"], first["change"], first["plan"]) == ("apply", "CHG0012345", plan.id)
    assert (first["closes"], first["journal"]) == ("2026-11-26T20:00:00+00:00", "plan.json.journal")


def test_a_gate_that_says_stop_refuses_the_start_with_its_reason(desk: Desk) -> None:
    desk.plan()

    ran = desk.apply("--gate", desk.gate("print('CHG1 is not approved'); sys.exit(1)"))

    assert (ran.code, desk.changed) == (3, [])
    assert "says stop: CHG1 is not approved; look at what it says" in ran.err
    assert not (desk.folder / "plan.json.journal").exists()


def test_a_gate_that_says_stop_between_waves_ends_the_run(desk: Desk) -> None:
    desk.plan()
    says = "sys.exit('paused by bob' if facts['hosts'] == ['PC-2'] else 0)"

    ran = desk.apply("--gate", desk.gate(says), "--wave", "1,1", "--format", "json")

    report = json.loads(ran.out)
    assert (ran.code, desk.changed) == (2, ["PC-1"])
    assert report["stopped"]["guard"] == "gate"
    assert report["stopped"]["why"].endswith("says stop: paused by bob")
    assert [host["ended"] for host in report["hosts"]] == ["changed", "not-started", "not-started"]


def test_the_gate_of_the_configuration_is_a_list_and_never_from_the_working_directory(
    desk: Desk, tmp_path: Path
) -> None:
    desk.plan()
    command = desk.gate("sys.exit('no')").split()
    desk.configure(f"gate = {json.dumps(command)}")

    here = desk.apply()
    named = desk.apply("--config", "provmode.toml")

    assert (here.code, "gate is not taken from the working directory" in here.err) == (1, True)
    assert (named.code, "says stop: no" in named.err) == (3, True)


def test_a_gate_on_the_command_line_is_a_program_or_words(desk: Desk) -> None:
    desk.plan()
    program = desk.folder / "may we"
    program.write_text("#!/bin/sh\nexit 5\n")
    program.chmod(0o700)

    assert "says stop: it ended with exit code 5" in desk.apply("--gate", program).err
    assert "says stop: it ended with exit code 7" in desk.apply("--gate", "sh -c 'exit 7'").err
    assert desk.apply("--gate", "").code == 1
    assert desk.apply("--gate", "'").code == 1


# -- the number of a change -----------------------------------------------------------------------------------------


def test_who_reads_a_plan_sees_the_number_of_its_change(desk: Desk) -> None:
    desk.plan("--change", "CHG0012345")

    assert "\n  change CHG0012345\n" in desk.commands.run("show", "plan.json").out


def test_the_number_of_a_change_goes_from_the_plan_into_journal_and_report(desk: Desk) -> None:
    desk.plan("--change", " CHG0012345 ")

    ran = desk.apply("--format", "json")

    assert json.loads((desk.folder / "plan.json").read_text())["change"] == "CHG0012345"
    assert json.loads(ran.out)["change"] == "CHG0012345"
    begun = json.loads((desk.folder / "plan.json.journal").read_text().splitlines()[0])
    assert (begun["event"], begun["change"]) == ("run-begun", "CHG0012345")


def test_a_plan_without_a_number_is_applied_for_one_and_not_for_another_than_its_own(desk: Desk) -> None:
    desk.plan()
    assert json.loads(desk.apply("--change", "CHG1", "--format", "json").out)["change"] == "CHG1"
    desk.run("plan", "--output", "other.json", "--unsigned", "--change", "CHG2")

    ran = desk.run("apply", "other.json", "--unsigned", "--change", "CHG1")

    assert (ran.code, ran.err.strip()) == (
        1,
        "--change CHG1: the plan was made for CHG2; leave out --change, or plan anew for this change",
    )
    assert not (desk.folder / "other.json.journal").exists()
    assert desk.run("apply", "other.json", "--unsigned", "--change", "CHG2").code in (0, 2)


def test_push_undo_and_audit_have_a_number_too(desk: Desk) -> None:
    pushed = desk.run("push", "--yes", "--unsigned", "--output", "p.json", "--change", "CHG1", "--format", "json")
    undone = desk.run(
        *("undo", "p.json.journal", "--inventory", desk.commands.inventory, "--unsigned", "--yes"),
        *("--change", "CHG2", "--format", "json"),
    )
    audited = desk.run("audit", "--change", "CHG3", "--format", "json")

    report = json.loads(pushed.out)
    assert (report["plan"]["change"], report["applied"]["change"]) == ("CHG1", "CHG1")
    assert json.loads(undone.out)["change"] == "CHG2"
    assert json.loads(audited.out)["change"] == "CHG3"
    lines = [json.loads(line) for line in (desk.folder / "p.json.journal").read_text().splitlines()]
    assert [line["change"] for line in lines if "change" in line] == ["CHG1", "CHG2"]


@pytest.mark.parametrize("number", ["", " ", "x" * 65, "CHG\n1", "CHG\x1b[31m"])
def test_what_cannot_be_the_number_of_a_change_is_refused(desk: Desk, number: str) -> None:
    ran = desk.run("audit", "--change", number)

    assert ran.code == 1
    assert "1 to 64 printable characters" in ran.err


@pytest.mark.parametrize("number", ["", 5, "x" * 65, "a\u202eb", None])
def test_a_plan_whose_number_is_none_is_refused(desk: Desk, number: Any) -> None:
    desk.plan("--change", "CHG1")
    document = json.loads((desk.folder / "plan.json").read_text())
    (desk.folder / "plan.json").write_text(json.dumps({**document, "change": number}))

    ran = desk.apply()

    assert (ran.code, "is not a whole plan: change is" in ran.err) == (3, True)


def test_the_history_keeps_the_number_of_a_change(desk: Desk) -> None:
    path = desk.folder / "provmode.toml"
    path.write_text('[history]\nurl = "sqlite:///history.sqlite"\n')
    path.chmod(0o600)
    desk.plan("--change", "CHG1")
    desk.apply()

    runs = json.loads(desk.commands.run("history", "runs", "--format", "json").out)["runs"]

    assert [(run["kind"], run.get("change")) for run in runs] == [("apply", "CHG1"), ("plan", "CHG1")]


def test_a_run_that_is_refused_ends_with_exit_code_3() -> None:
    def refused() -> None:
        raise RunRefused("nothing may be changed now")

    with pytest.raises(SystemExit) as ended:
        exit_with(refused)

    assert ended.value.code == 3
