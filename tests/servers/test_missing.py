"""A server that is missing is named at the end, with what was not run and how to get it; in CI it is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_without_programs(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of two servers on a path with no program on it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "kdc or browser", "tests/servers"],
        cwd=ROOT,
        env={**kept, "PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_what_is_not_run_is_named_with_the_way_to_run_it(tmp_path: Path) -> None:
    ran = run_without_programs(tmp_path)

    last = [line for line in ran.stdout.splitlines() if line.startswith("NOT RUN: ")]
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(last) == 2
    assert last[0].startswith("NOT RUN: 2 tests that need a Kerberos KDC: ")
    assert last[1] == "NOT RUN: 1 test that needs a browser (Chromium): chromium missing. To run it: sudo make system"


def test_in_ci_a_missing_server_is_a_failure(tmp_path: Path) -> None:
    ran = run_without_programs(tmp_path, CI="true")

    assert ran.returncode == 1
    assert "needs the server browser: chromium missing; run `make system` as root" in ran.stdout
    assert "3 errors" in ran.stdout
