"""Run pytest again and again in forks of one process that has imported the libraries, but nothing of the project.

Reads lines of JSON with the tests and a limit in seconds; answers each with the test that failed.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import tempfile
from pathlib import Path

import pytest
import recorder

LIBRARIES = (
    "cryptography.x509",
    "gevent.pool",
    "hypothesis",
    "jinja2",
    "pyinfra.api",
    "requests",
    "rich.table",
    "spnego",
    "winrm",
)
OPTIONS = ["-q", "-x", "--tb=no", "--no-header", "-p", "no:cacheprovider", "-p", "recorder", "-p", "no:xdist"]
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of the libraries, as they were imported before


class Notice:
    """Remember the first test that failed."""

    def __init__(self, answer: Path) -> None:
        self._answer = answer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the name of a test that failed."""
        if report.failed and not self._answer.exists():
            self._answer.write_text(report.nodeid, "utf-8")


def main() -> None:
    """Answer requests until the input ends."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "noticed"
            chosen = Path(folder) / "tests.json"
            chosen.write_text(json.dumps(request["tests"]), "utf-8")
            pid = os.fork()
            if pid == 0:
                _test(chosen, answer, request["tests"])
            noticed = _wait(pid, request["seconds"])
            if answer.exists():
                noticed = answer.read_text("utf-8")
        sys.stdout.write(json.dumps({"noticed": noticed}) + "\n")
        sys.stdout.flush()


def _test(chosen: Path, answer: Path, tests: list[str]) -> None:
    """Run the tests in this fork and end it with pytest's status."""
    os.setsid()
    os.environ[recorder.TESTS] = str(chosen)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    status = 99
    try:
        status = int(
            pytest.main([*OPTIONS, f"--basetemp={answer.parent / 'temporary'}", *files], plugins=[Notice(answer)])
        )
    finally:
        os._exit(status)


def _wait(pid: int, seconds: float) -> str:
    """Wait for a fork; return what noticed the fault beside a test: the collection, or the limit."""
    descriptor = os.pidfd_open(pid)
    try:
        late = not select.select([descriptor], [], [], seconds)[0]
    finally:
        os.close(descriptor)
    if not late:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _end(pid)
        return "" if status == 0 else f"pytest ended with {status}"
    _end(pid)
    os.waitpid(pid, 0)
    return f"not done after {seconds:.0f} s"


def _end(group: int) -> None:
    """End what a fork started; its process group has its number."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nothing is left


if __name__ == "__main__":
    main()
