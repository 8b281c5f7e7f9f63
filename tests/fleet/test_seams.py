"""The interfaces of a fleet run: a minimal runner and a minimal source of inventories are enough."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.clock import utc_now
from provmode.connector import WinRMConnector
from provmode.errors import Unreachable, UsageError
from provmode.fleet.apply import apply_plan
from provmode.fleet.audit import audit_inventory, run_audit
from provmode.fleet.inventory import Fleet, Groups, InventorySource, load
from provmode.fleet.plan import plan_inventory
from provmode.fleet.plan_file import load as load_plan
from provmode.fleet.plan_file import sign, write
from provmode.fleet.undo import undo_run
from provmode.fleet.visit import Runner, Visit, hosts_of
from provmode.lab.process import LabProcess
from provmode.transport.target import Counters, Target


class OneByOne:
    """A runner that visits one host after another."""

    def visit(
        self,
        fleet: Fleet,
        names: Sequence[str],
        work: Callable[[Visit], None],
        *,
        stop: Callable[[], bool],
        finish_begun: bool,
    ) -> None:
        for host in hosts_of(fleet, names):
            if not stop():
                work(Visit(host))


class Recorder:
    """Progress that records what it gets."""

    def __init__(self) -> None:
        self.hosts, self.results = 0, list[Any]()

    def begin(self, hosts: int) -> None:
        self.hosts = hosts

    def ended(self, result: Any) -> None:
        self.results.append(result)


def test_another_runner_and_another_source_give_the_same_verdicts(
    lab: LabProcess, source_of: Callable[[LabProcess], InventorySource]
) -> None:
    runner: Runner = OneByOne()
    source = source_of(lab)
    recorder = Recorder()

    alone = audit_inventory(source, now=utc_now, runner=runner, progress=recorder)
    together = audit_inventory(source, now=utc_now)

    verdicts = [(report.host, report.assessment.verdict) for report in alone.reports]
    assert verdicts == [(report.host, report.assessment.verdict) for report in together.reports]
    assert recorder.hosts == len(lab.hosts) == len(recorder.results)


def test_a_runner_that_stops_leaves_the_rest_as_missing(
    lab: LabProcess, source_of: Callable[[LabProcess], InventorySource]
) -> None:
    fleet, recorder = load(source_of(lab)), Recorder()

    found = run_audit(
        fleet, fleet.names, now=utc_now, runner=OneByOne(), progress=recorder, stop=lambda: len(recorder.results) >= 2
    )

    assert found.interrupted
    assert len(found.reports) == 2
    assert found.missing == [host.name for host in lab.hosts][2:]


def test_an_exception_of_a_source_is_one_line_that_names_the_source() -> None:
    class Broken:
        name, path = "the broken source", None

        def read(self) -> Groups:
            raise LookupError("no such table: hosts")

    with pytest.raises(UsageError, match="cannot read the inventory the broken source: LookupError: no such table"):
        load(Broken())


class Unplugged:
    """A connection to a PC that is not there."""

    def dial(self) -> None:
        raise Unreachable("the cable is unplugged")

    def authenticate(self) -> None:
        self.dial()

    def exchange(self, message: bytes) -> tuple[int, bytes]:
        raise AssertionError("nothing is sent to a PC that was not reached")

    def close(self) -> None:
        pass


def test_a_run_uses_the_connection_that_the_connector_is_given(
    lab: LabProcess, source_of: Callable[[LabProcess], InventorySource], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def connect(target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Unplugged:
        made.append(target.endpoint.name)
        return Unplugged()

    monkeypatch.setattr(WinRMConnector, "new_connection", staticmethod(connect))

    found = audit_inventory(source_of(lab), now=utc_now)

    assert {report.assessment.reason for report in found.reports} == {"the cable is unplugged"}
    assert sorted(made) == sorted(host.name for host in lab.hosts)


PROGRAM = """
import dataclasses, json, sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from gevent import monkey; monkey.patch_all()
from provmode.api import (
    apply_plan, load_plan, plan_inventory, sign_plan, undo_run, utc_now, verify_journal, write_plan)

groups = json.loads(sys.argv[1])

@dataclasses.dataclass
class Source:
    name: str = "a list"
    path: None = None
    def read(self):
        return {"all": ([(name, data) for name, data in groups], {})}

key, folder, ended = b"k" * 32, Path(sys.argv[2]), []

class Progress:
    def begin(self, hosts): ended.append(hosts)
    def ended(self, result): ended.append(result.host)

planned = plan_inventory(Source(), now=utc_now)
document = planned.document(
    plan_id="p", inventory="a list", limit=(), by="a program", now=utc_now(), valid=timedelta(hours=1))
write_plan(folder / "plan.json", sign_plan(document, key))
plan = load_plan(folder / "plan.json", key, unsigned=False, now=utc_now())
options = dict(now=utc_now, key=key, progress=Progress())
applied = apply_plan(plan, Source(), journal=folder / "journal", **options)
undone = undo_run(folder / "journal", Source(), **options)
found = verify_journal(folder / "journal", key=key)
print(json.dumps({
    "planned": [host.host for host in plan.changing],
    "applied": [result.outcome.value for result in applied.hosts],
    "undone": [result.outcome.value for result in undone.hosts],
    "codes": [applied.exit_code(), undone.exit_code(), found.exit_code()],
    "progress": ended,
    "click": "click" in sys.modules,
}))
"""


def test_a_program_applies_and_undoes_a_plan_without_the_command_line(
    tmp_path: Path, source_of: Callable[[LabProcess], InventorySource]
) -> None:
    with LabProcess(2, 11, mix={"armed": 1}) as lab:
        groups = source_of(lab).read()["all"]
        hosts = [(name, {**groups[1], **data}) for name, data in groups[0]]
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(hosts), str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    assert ran.returncode == 0, ran.stderr
    names = [host.name for host in lab.hosts]
    assert json.loads(ran.stdout) == {
        "planned": names,
        "applied": ["changed", "changed"],
        "undone": ["restored", "restored"],
        "codes": [0, 0, 0],
        "progress": [2, *json.loads(ran.stdout)["progress"][1:3], 2, *json.loads(ran.stdout)["progress"][4:]],
        "click": False,
    }
    assert sorted(json.loads(ran.stdout)["progress"][1:3]) == names == sorted(json.loads(ran.stdout)["progress"][4:])


def test_undo_refuses_a_journal_that_is_not_signed_unless_it_is_accepted_explicitly(
    tmp_path: Path, source_of: Callable[[LabProcess], InventorySource]
) -> None:
    with LabProcess(1, 11, mix={"armed": 1}) as lab:
        source = source_of(lab)
        planned = plan_inventory(source, now=utc_now)
        document = planned.document(
            plan_id="p", inventory="the lab", limit=(), by="a test", now=utc_now(), valid=timedelta(hours=1)
        )
        write(tmp_path / "plan.json", sign(document, None))
        plan = load_plan(tmp_path / "plan.json", None, unsigned=True, now=utc_now())
        apply_plan(plan, source, journal=tmp_path / "journal", now=utc_now)
        written = (tmp_path / "journal").read_bytes()

        with pytest.raises(UsageError, match=r"is not signed: .*; give --unsigned"):
            undo_run(tmp_path / "journal", source, now=utc_now)
        unchanged = (tmp_path / "journal").read_bytes()
        undone = undo_run(tmp_path / "journal", source, now=utc_now, unsigned=True)

    assert unchanged == written
    assert [result.outcome.value for result in undone.hosts] == ["restored"]


def test_a_signed_plan_is_not_applied_without_its_key(
    tmp_path: Path, source_of: Callable[[LabProcess], InventorySource]
) -> None:
    plan = load_plan(
        Path(__file__).parent / "version-1" / "three-armed.plan.json",
        b"0123456789abcdef0123456789abcdef",
        unsigned=False,
        now=datetime(2026, 11, 26, tzinfo=timezone.utc),
    )

    with pytest.raises(UsageError, match="its journal has to be signed with the same key; give the plan's key"):
        apply_plan(plan, "@winrm/PC-1", journal=tmp_path / "journal", now=utc_now)
    assert not (tmp_path / "journal").exists()


def test_a_host_whose_command_failed_can_be_connected_again(
    lab: LabProcess, source_of: Callable[[LabProcess], InventorySource]
) -> None:
    name = next(f"@winrm/{host.name}" for host in lab.hosts if host.persona == "healthy")
    (host,) = hosts_of(load(source_of(lab)), [name])
    connector = Visit(host)._connector
    connector.connect()
    failed, output = connector.run_shell_command("winrm get wmi/root/ccm/NoSuchClass")
    connector.disconnect()

    connector.connect()
    answered, _ = connector.run_shell_command("winrm get wmi/root/ccm/SMS_Client")
    connector.disconnect()

    assert (failed, answered) == (False, True)
    assert "NoSuchClass" in output.stderr
