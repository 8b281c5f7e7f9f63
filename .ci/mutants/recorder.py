"""A pytest plugin: which test runs which line of the modules, or which tests are to run and in which order."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

RECORD = "MUTANTS_RECORD"
"""The folder that what each process records is written to."""
MODULES = "MUTANTS_MODULES"
"""The modules whose lines are recorded, joined by the system's path separator."""
TESTS = "MUTANTS_TESTS"
"""A JSON file with the tests to run, in their order."""


class Recorder:
    """Write the lines of each passed test, and how long it took, when the session ends."""

    def __init__(self, folder: Path, modules: list[str]) -> None:
        self._file = folder / f"{os.getpid()}.json"
        self._modules = modules
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self._coverage = coverage.Coverage(data_file=None, include=modules, concurrency=["thread", "gevent"])
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Name the test that runs now."""
        self._coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember how long a test took and whether it passed."""
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write what was recorded."""
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = {}
        for module in self._modules:
            for line, contexts in data.contexts_by_lineno(module).items():
                for context in contexts:
                    if context and context not in self._failed:
                        lines.setdefault(module, {}).setdefault(context, []).append(line)
        document = {"seconds": self._seconds, "failed": sorted(self._failed), "lines": lines}
        self._file.write_text(json.dumps(document), "utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Record, if that is asked for; with pytest-xdist only in the processes that run tests."""
    distributes = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if os.environ.get(RECORD) and not distributes:
        recorder = Recorder(Path(os.environ[RECORD]), os.environ[MODULES].split(os.pathsep))
        config.pluginmanager.register(recorder, "mutants-recorder")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that were asked for, in their order."""
    if not os.environ.get(TESTS):
        return
    order = {name: place for place, name in enumerate(json.loads(Path(os.environ[TESTS]).read_text("utf-8")))}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in order])
    items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])
