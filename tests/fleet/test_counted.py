"""Every report counts every host: left out, not looked at, away. The exit codes of all commands count the same."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.verdict import Verdict, unassessed
from provmode.errors import Cause, Unreachable
from provmode.fleet.audit import Audit
from provmode.fleet.looking import HostReport
from provmode.fleet.plan import Planned, Proposal
from provmode.fleet.traces import HostTraces, TracesFound
from provmode.fleet.undo import undo_run
from provmode.fleet.waves import Limits
from provmode.remediation.traces import Traces
from provmode.report.changes import print_plan
from provmode.report.lines import Page
from provmode.report.traces import print_traces
from provmode.transport.dial import NoResolver


class Fleet:
    """Four armed PCs, a plan for them, and the journal of its apply."""

    def __init__(self, commands: Any) -> None:
        self.commands, self.bench = commands, commands.bench
        self.pcs = [self.bench.pc("armed", f"PC-{number}", seed=number) for number in range(1, 5)]
        self.plan = self.bench.folder / "plan"
        self.journal = Path(f"{self.plan}.journal")
        assert self.run("plan", "--output", self.plan, "--unsigned").code == 2

    def run(self, command: str, *arguments: object) -> Any:
        """Run a command on the inventory, the plan or the journal, as it wants."""
        inventory = self.commands.inventory
        first: tuple[object, ...] = {
            "apply": (self.plan, "--unsigned"),
            "undo": (self.journal, "--inventory", inventory, "--unsigned"),
            "push": (inventory, "--output", self.bench.folder / "push"),
        }.get(command, (inventory,))
        return self.commands.run(command, *first, *arguments)

    def applied(self) -> None:
        assert self.run("apply").code == 0

    def away(self, error: Callable[[str], Exception]) -> None:
        for pc in self.pcs:
            pc.error = error(pc.name)


@pytest.fixture
def fleet(commands: Any) -> Fleet:
    return Fleet(commands)


# -- left out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "applied"),
    [
        (("audit",), False),
        (("plan", "--unsigned"), False),
        (("plan", "--unsigned", "--remove-traces"), True),
        (("apply",), False),
        (("traces",), True),
        (("undo", "--dry"), True),
        (("undo", "--yes"), True),
    ],
)
def test_hosts_that_were_left_out_are_counted_and_named(
    fleet: Fleet, command: tuple[str, ...], *, applied: bool
) -> None:
    if applied:
        fleet.applied()
    left_out = ("--limit", "PC-[1-3]", "--exclude", "pc-2,PC-4")

    ran = fleet.run(*command, *left_out)
    journal = {"apply": ("--journal", fleet.bench.folder / "another")}.get(command[0], ())
    report = json.loads(fleet.run(*command, *left_out, *journal, "--format", "json").out)

    assert ran.out.splitlines()[-1].startswith("2 hosts: ")
    assert ran.out.splitlines()[-1].endswith("; 1 host left out")
    assert "left out by --exclude  1 host\n  PC-2\n" in ran.out
    assert report["excluded"] == ["PC-2"]
    assert [host["host"] for host in report["hosts"]] == ["PC-1", "PC-3"]


def test_a_plan_that_is_shown_names_the_hosts_that_were_left_out(fleet: Fleet) -> None:
    fleet.run("plan", "--output", fleet.plan, "--unsigned", "--exclude", "PC-1")

    shown = fleet.commands.run("show", fleet.plan)

    assert "left out by --exclude  1 host\n  PC-1\n" in shown.out
    assert shown.out.splitlines()[-1] == "3 hosts: 3 to change, 0 left alone; 1 host left out"


def test_nobody_left_out_is_not_mentioned(fleet: Fleet) -> None:
    ran = fleet.run("audit")
    report = json.loads(fleet.run("audit", "--format", "json").out)

    assert "left out" not in ran.out
    assert "excluded" not in report


# -- not looked at ----------------------------------------------------------------------------------------------------


def printed(draw: Callable[[Page], None]) -> str:
    file = io.StringIO()
    draw(Page(file=file, width=80))
    return file.getvalue()


def test_an_interrupted_plan_counts_no_host_that_it_did_not_see(fleet: Fleet) -> None:
    seen = fleet.pcs[0]
    proposal: Proposal = seen.proposal(fleet.commands.bench.plan(seen).hosts[0].policy)
    audit = Audit(["PC-1", "PC-2", "PC-3"], [proposal.report], interrupted=True)
    planned = Planned(audit, [proposal])

    text = printed(lambda page: print_plan(planned, page))

    assert text.splitlines()[-1] == "3 hosts: 1 to change, 0 left alone, 2 not looked at"
    assert "interrupted  2 of 3 not looked at\n  PC-2, PC-3\n" in text


def test_an_interrupted_plan_in_json_says_so_and_is_shown_so(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = fleet.commands.runner()
    runner.at_end_of["PC-2"] = lambda: stopped.append(True)
    stopped: list[bool] = []
    monkeypatch.setattr("provmode.fleet.visit.GeventRunner", lambda working=1: runner)
    monkeypatch.setattr("provmode.cli.common.interruptible", Stopping(stopped))

    ran = fleet.run("plan", "--unsigned", "--format", "json")
    fleet.plan.write_text(ran.out)
    shown = fleet.commands.run("show", fleet.plan)

    report = json.loads(ran.out)
    assert (ran.code, report["interrupted"], report["missing"]) == (130, True, ["PC-3", "PC-4"])
    assert "interrupted  2 of 4 not looked at\n  PC-3, PC-4\n" in shown.out
    assert shown.out.splitlines()[-1] == "4 hosts: 2 to change, 0 left alone, 2 not looked at"


class Stopping:
    """What `interruptible` yields: a run stops once something is in the list."""

    def __init__(self, stopped: list[bool]) -> None:
        self._stopped = stopped

    def __call__(self, runner: object) -> Stopping:
        return self

    def __enter__(self) -> Callable[[], bool]:
        return lambda: bool(self._stopped)

    def __exit__(self, *error: object) -> None:
        pass


def test_an_interrupted_look_for_traces_says_which_hosts_are_missing() -> None:
    found = TracesFound(["PC-1", "PC-2", "PC-3"], [HostTraces("PC-1", Traces(()))], interrupted=True)

    text = printed(lambda page: print_traces(found, page))

    assert "interrupted  2 of 3 not looked at\n  PC-2, PC-3\n" in text
    assert text.splitlines()[-1] == "3 hosts: 0 with traces, 1 without, 2 not looked at"


# -- away -------------------------------------------------------------------------------------------------------------


def silent_dns(name: str) -> Exception:
    return NoResolver(f"DNS does not answer for {name}")


def no_such_name(name: str) -> Exception:
    return Unreachable(f"the name {name} does not resolve", cause=Cause.NAME_RESOLUTION)


COMMANDS = [
    *(("audit",), ("plan", "--unsigned"), ("plan", "--unsigned", "--remove-traces"), ("push", "--unsigned", "--yes")),
    *(("traces",), ("apply",), ("undo", "--dry"), ("undo", "--yes")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("error", [silent_dns, no_such_name])
def test_dns_that_answers_nothing_fails_every_command(
    fleet: Fleet, command: tuple[str, ...], error: Callable[[str], Exception]
) -> None:
    if command[0] == "undo":
        fleet.applied()
    fleet.away(error)

    ran = fleet.run(*command)

    assert ran.code == 4
    assert "not one of the names resolves: look at this computer's DNS" in ran.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_one_name_that_does_not_resolve_fails_no_command(fleet: Fleet, command: tuple[str, ...]) -> None:
    if command[0] == "undo":
        fleet.applied()
    fleet.pcs[0].error = no_such_name("PC-1")

    ran = fleet.run(*command)

    assert not ran.code & 4
    assert "not one of the names" not in ran.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_one_pc_for_which_dns_does_not_answer_fails_every_command(fleet: Fleet, command: tuple[str, ...]) -> None:
    if command[0] == "undo":
        fleet.applied()
    fleet.pcs[0].error = silent_dns("PC-1")

    ran = fleet.run(*command)

    assert ran.code & 4


def test_a_policy_that_forbids_shells_is_a_failure_like_other_rights() -> None:
    report = HostReport("PC-1", unassessed("shells-forbidden", "x"))

    assert report.assessment.verdict is Verdict.UNASSESSED
    assert Audit(["PC-1"], [report]).exit_code() == 4


# -- an undo says as much as an apply ---------------------------------------------------------------------------------


def test_an_undo_says_what_to_do_about_a_pc_that_is_away(fleet: Fleet) -> None:
    fleet.applied()
    fleet.away(lambda name: Unreachable(f"{name} (10.0.0.1:5985) did not answer", next_step="switch it on"))

    as_text = [fleet.run("undo", how) for how in ("--dry", "--yes")]
    as_json = [json.loads(fleet.run("undo", how, "--format", "json").out) for how in ("--dry", "--yes")]

    for ran in as_text:
        assert ran.code == 8
        assert "  PC-1: connect-timeout: PC-1 (10.0.0.1:5985) did not answer -> switch it on\n" in ran.out
    for report in as_json:
        assert {host["next_step"] for host in report["hosts"]} == {"switch it on"}
        assert (report["summary"]["unreached"], report["summary"]["total"]) == (4, 4)


def test_the_summary_of_a_preview_counts_other_verdicts(fleet: Fleet) -> None:
    fleet.applied()

    report = json.loads(fleet.run("undo", "--dry", "--format", "json", "--exclude", "PC-4").out)

    assert report["summary"] == {
        **{"restored": 3, "nothing": 0, "stale": 0, "failed": 0, "unreached": 0, "not-started": 0, "deferred": 0},
        **{"other_verdict": 3, "total": 3},
    }


def test_the_progress_of_an_undo_has_its_waves_and_pauses(fleet: Fleet) -> None:
    fleet.applied()
    told: list[tuple[Any, ...]] = []

    class Told:
        def begin(self, hosts: int) -> None:
            told.append(("begin", hosts))

        def ended(self, result: Any) -> None:
            told.append((result.host,))

        def wave(self, number: int, waves: int, hosts: int) -> None:
            told.append(("wave", number, waves, hosts))

        def soaking(self, wave: int, waves: int, left: float) -> None:
            told.append(("soaking", wave, waves, left))

    undo_run(
        *(fleet.journal, fleet.commands.inventory),
        now=fleet.bench.now,
        unsigned=True,
        limits=Limits("1", 1.0),
        runner=fleet.commands.runner(),
        progress=Told(),
        pause=fleet.bench.wait,
        seconds=fleet.bench.clock,
    )

    assert told == [
        *(("begin", 4), ("wave", 1, 2, 1), ("PC-1",)),
        *(("soaking", 2, 2, 1.0), ("soaking", 2, 2, 0.5)),
        *(("wave", 2, 2, 3), ("PC-2",), ("PC-3",), ("PC-4",)),
    ]


def test_the_names_of_an_undo_may_stand_in_a_file(fleet: Fleet) -> None:
    fleet.applied()
    names = fleet.bench.folder / "names"
    names.write_text("pc-1\npc-3\n")

    report = json.loads(fleet.run("undo", "--yes", "--host", f"@{names}", "--format", "json").out)

    assert [host["host"] for host in report["hosts"]] == ["PC-1", "PC-3"]


# -- a push says the commands that go on ------------------------------------------------------------------------------


def test_the_commands_that_a_push_names_have_its_data_and_its_key(fleet: Fleet) -> None:
    key, output = fleet.bench.folder / "plan key", fleet.bench.folder / "the plan"
    key.write_text("0123456789abcdef0123456789abcdef")
    options = ("--data", "winrm_connect_deadline=3", "--key-file", key, "--output", output, "--limit", "PC-1")

    ran = fleet.commands.run("push", fleet.commands.inventory, *options)
    done = fleet.commands.run("push", fleet.commands.inventory, *options, "--yes")

    again = f"--data winrm_connect_deadline=3 --key-file '{key}'"
    undo = f"provmode undo '{output}.journal' --inventory {fleet.commands.inventory} {again} --dry"
    assert (ran.code, done.code) == (3, 0)
    assert f"provmode apply '{output}' {again} makes its changes" in ran.err
    assert done.err.endswith(f"{undo}\n")


# -- the waves of a resume --------------------------------------------------------------------------------------------


def test_a_resume_counts_the_same_waves_before_and_while_it_runs(fleet: Fleet) -> None:
    fleet.pcs[2].refuse("provmode-claim", times=None)
    first = fleet.run("apply", "--wave", "1,1,1", "--max-failures", "none")
    fleet.pcs[2].heal()

    again = fleet.run("apply", "--resume")

    assert (first.code, again.code) == (4, 0)
    assert "provmode: applying: wave 4 of 4 begins: 1 host\n" in first.err
    assert "  wave 1 of 1: 1 host: PC-3\n" in again.err
    assert " begins: " not in again.err


# -- what is counted is what is meant ---------------------------------------------------------------------------------


def test_an_undo_asks_about_the_hosts_on_which_there_is_something_to_restore(fleet: Fleet) -> None:
    fleet.bench.pc("overdue", "PC-5", seed=5)
    assert fleet.run("plan", "--output", fleet.plan, "--unsigned").code == 2
    fleet.applied()
    fleet.commands.answer = "n"

    ran = fleet.run("undo", "--only", "service", "--limit", "PC-4,PC-5")

    assert "about to undo 1 host; 1 host with nothing to restore\n" in ran.err
    assert "Restore this on 1 host? [y/N]" in ran.err


@pytest.mark.parametrize(("left", "code"), [(False, 4), (True, 6)])
def test_traces_that_the_account_may_not_look_for_are_a_failure(fleet: Fleet, *, left: bool, code: int) -> None:
    if left:
        fleet.applied()
    fleet.pcs[0].refuse("MobileClient.TCF.provmode-", times=None)

    ran = fleet.run("traces", "--limit", "PC-1,PC-2")

    assert ran.code == code
    assert "; give the account the rights that docs/reference.md lists, or use another\n" in ran.out
