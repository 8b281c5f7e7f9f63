"""The seams of a fleet run: another runner and another source of inventories, each as small as can be, are enough."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.audit import audit_inventory, run_audit
from provmode.fleet.inventory import Fleet, Groups, InventorySource, load
from provmode.fleet.visit import Runner, Visit, hosts_of
from provmode.lab.process import LabProcess


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


class Heard:
    """Progress that remembers what it hears."""

    def __init__(self) -> None:
        self.hosts, self.results = 0, list[Any]()

    def begin(self, hosts: int) -> None:
        self.hosts = hosts

    def ended(self, result: Any) -> None:
        self.results.append(result)


def test_another_runner_and_another_source_find_what_the_usual_ones_find(
    lab: LabProcess, source_of: Callable[[LabProcess], InventorySource]
) -> None:
    runner: Runner = OneByOne()
    source = source_of(lab)
    heard = Heard()

    alone = audit_inventory(source, now=utc_now, runner=runner, progress=heard)
    together = audit_inventory(source, now=utc_now)

    verdicts = [(report.host, report.assessment.verdict) for report in alone.reports]
    assert verdicts == [(report.host, report.assessment.verdict) for report in together.reports]
    assert heard.hosts == len(lab.hosts) == len(heard.results)


def test_a_runner_that_stops_leaves_the_rest_as_missing(
    lab: LabProcess, source_of: Callable[[LabProcess], InventorySource]
) -> None:
    fleet, heard = load(source_of(lab)), Heard()

    found = run_audit(
        fleet, fleet.names, now=utc_now, runner=OneByOne(), progress=heard, stop=lambda: len(heard.results) >= 2
    )

    assert found.interrupted
    assert len(found.reports) == 2
    assert found.missing == [host.name for host in lab.hosts][2:]


def test_what_a_source_raises_is_one_line_that_names_it() -> None:
    class Broken:
        name, path = "the broken source", None

        def read(self) -> Groups:
            raise LookupError("no such table: hosts")

    with pytest.raises(UsageError, match="cannot read the inventory the broken source: LookupError: no such table"):
        load(Broken())


PROGRAM = """
import dataclasses, json, sys
from datetime import timedelta
from pathlib import Path
from gevent import monkey; monkey.patch_all()
from provmode.clock import utc_now
from provmode.fleet.apply import apply_plan
from provmode.fleet.plan import plan_inventory
from provmode.fleet.plan_file import load, sign, write
from provmode.fleet.undo import undo_run
from provmode.fleet.verify import verify_journal

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
write(folder / "plan.json", sign(document, key))
plan = load(folder / "plan.json", key, unsigned=False, now=utc_now())
options = dict(now=utc_now, key=key, progress=Progress())
applied = apply_plan(plan, Source(), journal=folder / "journal", **options)
undone = undo_run(folder / "journal", Source(), **options)
found = verify_journal(folder / "journal", key=key)
print(json.dumps({
    "planned": [host.host for host in plan.changing],
    "applied": [result.outcome.value for result in applied.hosts],
    "undone": [result.outcome.value for result in undone.hosts],
    "codes": [applied.exit_code(), undone.exit_code(), found.exit_code()],
    "heard": ended,
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
        "heard": [2, *json.loads(ran.stdout)["heard"][1:3], 2, *json.loads(ran.stdout)["heard"][4:]],
        "click": False,
    }
    assert sorted(json.loads(ran.stdout)["heard"][1:3]) == names == sorted(json.loads(ran.stdout)["heard"][4:])
