"""Change the core modules by one small fault at a time and count how often the tests notice: ``make mutants``.

First the tests run once, and for each is recorded which lines it runs. Then each fault of a seeded sample is put into
a copy of the project, and the tests that run its line run there until one fails: those of the module's own test file
first, then the quickest. Ends with 1 if too few faults are noticed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import recorder
from sites import Mutant, sample
from tree import Tree

MODULES = (
    "provmode/ccm/judge.py",
    "provmode/ccm/policy.py",
    "provmode/ccm/rules.py",
    "provmode/ccm/tcf.py",
    "provmode/ccm/verdict.py",
    "provmode/ccm/version.py",
    "provmode/ccm/waiting.py",
    "provmode/fleet/apply.py",
    "provmode/fleet/apply_host.py",
    "provmode/fleet/journal.py",
    "provmode/fleet/journal_events.py",
    "provmode/fleet/plan_file.py",
    "provmode/fleet/waves.py",
    "provmode/lab/windows/configmgr.py",
    "provmode/remediation/decide.py",
    "provmode/remediation/diff.py",
    "provmode/remediation/lease.py",
    "provmode/remediation/lease_folder.py",
    "provmode/remediation/steps/base.py",
    "provmode/remediation/steps/client.py",
    "provmode/remediation/steps/file.py",
    "provmode/remediation/steps/registry.py",
    "provmode/remediation/steps/service.py",
    "provmode/remediation/steps/trace.py",
    "provmode/transport/write_gate.py",
    "provmode/wsman/codes.py",
    "provmode/wsman/faults.py",
    "provmode/wsman/values.py",
)
ELSEWHERE = (
    "tests/acceptance",
    "tests/servers",
    "tests/test_readme.py",
    "tests/test_lab_guide.py",
    "tests/test_linear.py",
    "tests/test_house.py",
    "tests/test_mutants.py",
)
"""Tests that start the program itself and take long, measure time, or look at the checkout: others notice more."""
OVER_ALL, EACH = 0.92, 0.85
ENOUGH = 90.0
"""Seconds of tests for a fault; a fault that many tests reach is noticed by the nearest of them or not at all."""


@dataclass
class Recorded:
    """Which tests run which lines of a module, and how long each test takes."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    failed: set[str] = field(default_factory=set)

    def read(self, folder: Path, top: Path) -> None:
        """Take over what each process recorded."""
        for file in folder.glob("*.json"):
            document = json.loads(file.read_text("utf-8"))
            self.failed.update(document["failed"])
            self.seconds.update(document["seconds"])
            for module, tests in document["lines"].items():
                for test, lines in tests.items():
                    self.lines[str(Path(module).relative_to(top))][test].update(lines)

    def tests(self, module: str, mutant: Mutant) -> list[str]:
        """Return the tests that can notice a fault: the nearest first, then the quickest, until `ENOUGH`."""
        first, last = mutant.lines
        known = self.lines.get(module, {})
        room, name = Path(module).parts[-2], Path(module).stem
        own = re.compile(rf"{room}/test_{name}|/test_{room}_{name}")
        reach = [test for test, lines in known.items() if any(first <= line <= last for line in lines)]
        if mutant.at_import:  # a test of a table runs no line of the module
            reach = [test for test in self.seconds if test not in self.failed and (own.search(test) or test in known)]
        reach.sort(key=lambda test: (not own.search(test), self.seconds.get(test, 0.0), test))
        chosen, spent = [], 0.0
        for test in reach:
            if chosen and spent + self.seconds.get(test, 0.0) > ENOUGH:
                break
            chosen.append(test)
            spent += self.seconds.get(test, 0.0)
        return chosen


def record(tree: Tree, modules: list[str], tests: list[str], processes: int) -> Recorded:
    """Run the tests once."""
    recorded = Recorded()
    with tempfile.TemporaryDirectory() as folder:
        environment = tree.environment(
            **{recorder.RECORD: folder, recorder.MODULES: os.pathsep.join(str(tree.folder / name) for name in modules)}
        )
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=line",
            "-p",
            "no:cacheprovider",
            "-p",
            "recorder",
            *tests,
        ]
        command += [f"--numprocesses={processes}", "--dist=worksteal", *(f"--ignore={name}" for name in ELSEWHERE)]
        subprocess.run(command, cwd=tree.folder, env=environment, check=False, stdout=sys.stderr)
        recorded.read(Path(folder), tree.folder)
    return recorded


def work(trees: list[Tree], found: list[tuple[str, Mutant]], recorded: Recorded) -> dict[tuple[str, Mutant], str]:
    """Return for each mutant what noticed it, with one thread for each tree."""
    waiting: queue.SimpleQueue[tuple[str, Mutant] | None] = queue.SimpleQueue()
    for item in found:
        waiting.put(item)
    noticed: dict[tuple[str, Mutant], str] = {}
    errors: list[BaseException] = []

    def one(tree: Tree) -> None:
        waiting.put(None)
        try:
            tests = next(filter(None, (recorded.tests(*item) for item in found)), [])
            if tests and (wrong := tree.run(tests, 600)):
                raise RuntimeError(f"without a fault the tests do not pass: {wrong}")
            while (item := waiting.get()) is not None:
                module, mutant = item
                source = tree.read(module)
                tests = recorded.tests(module, mutant)
                tree.write(module, mutant.apply(source))
                limit = 60 + 10 * sum(recorded.seconds.get(test, 0.0) for test in tests)
                noticed[item] = tree.run(tests, limit) if tests else ""
                tree.write(module, source)
                outcome = noticed[item] or f"not noticed by {len(tests)} tests"
                print(f"{len(noticed)}/{len(found)} {module} {mutant} | {outcome}", file=sys.stderr, flush=True)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the threads are awaited
            errors.append(error)

    threads = [threading.Thread(target=one, args=(tree,)) for tree in trees]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return noticed


def table(noticed: dict[tuple[str, Mutant], str]) -> tuple[list[str], bool]:
    """Return the rate by module and over all as lines, and whether it is enough."""
    lines, enough = [], True
    for module in [*dict.fromkeys(module for module, _ in noticed), ""]:
        those = [by for (name, _), by in noticed.items() if module in ("", name)]
        killed = sum(map(bool, those))
        limit = EACH if module else OVER_ALL
        low = killed < limit * len(those)
        enough = enough and not low
        wanted = f"  (at least {limit:.0%})" if low else ""
        lines.append(f"{module or 'over all':<42}{killed:>5} of {len(those):>4}{killed / len(those):>7.1%}{wanted}")
    return lines, enough


def main() -> int:
    """Sample, run, print the rate by module and every fault that no test noticed."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", default="1", help="which faults are drawn")
    parser.add_argument("--sample", type=int, default=14, help="faults of each module")
    parser.add_argument("--processes", type=int, default=(os.cpu_count() or 1) + 1)
    parser.add_argument("--tests", nargs="+", default=["tests"], help="only these tests run")
    parser.add_argument("modules", nargs="*", default=list(MODULES))
    options = parser.parse_args()
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        trees = [stack.enter_context(Tree()) for _ in range(options.processes)]
        found = [
            (module, mutant)
            for module in options.modules
            for mutant in sample(trees[0].read(module), options.sample, f"{options.seed} {module}")
        ]
        recorded = record(trees[0], options.modules, options.tests, options.processes)
        noticed = work(trees, found, recorded)
    lines, enough = table({item: noticed[item] for item in found})
    for module, mutant in found:
        if not noticed[module, mutant]:
            print(f"not noticed: {module} {mutant} ({len(recorded.tests(module, mutant))} tests ran)")
        elif noticed[module, mutant].startswith("not done"):  # an endless loop, or a busy machine: look which
            print(f"over its time: {module} {mutant}, {noticed[module, mutant]}; counted as noticed")
    for test in sorted(recorded.failed):
        print(f"left out, as it fails without a fault: {test}")
    print("\n".join(lines))
    print(f"seed {options.seed}, {(time.monotonic() - begun) / 60:.1f} minutes")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
