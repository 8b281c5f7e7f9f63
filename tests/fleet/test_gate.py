"""The gate: a real program of the user's says go or stop before the start and before each wave."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.fleet.gate import Answer, GateGuard, ask

Program = Callable[[str], list[str]]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program of Python, as a command."""

    def write(text: str) -> list[str]:
        path = tmp_path / "may-we.py"
        path.write_text(f"import json, os, subprocess, sys, time\n{text}\n")
        return [sys.executable, str(path)]

    return write


def test_exit_code_0_goes_and_any_other_stops_with_the_last_line_as_the_reason(program: Program) -> None:
    assert ask(program("print('approved')"), {}) == Answer(True, "approved")
    assert ask(program("print('looking'); print('CHG1 is  closed\\n\\n'); sys.exit(7)"), {}) == Answer(
        False, "CHG1 is closed"
    )
    assert ask(program("sys.exit('curl: no answer')"), {}) == Answer(False, "curl: no answer")
    assert ask(program("sys.exit(3)"), {}) == Answer(False, "it ended with exit code 3")


def test_a_reason_is_made_safe_to_show_and_short(program: Program) -> None:
    reason = ask(program(r"print('\x1b[31m' + 'x' * 9000); sys.exit(1)"), {}).reason

    assert "\x1b" not in reason
    assert len(reason) <= 300


def test_it_gets_the_facts_as_json_and_may_leave_them_unread(program: Program) -> None:
    echo = "facts = json.load(sys.stdin); print(facts['change'], len(facts['hosts']))"
    facts = {"change": "CHG0012345", "hosts": [f"PC-{number}" for number in range(100_000)]}

    assert ask(program(echo), facts).reason == "CHG0012345 100000"
    assert ask(program("print('unread')"), facts) == Answer(True, "unread")


def test_it_gets_no_secret_of_ours_and_no_shell_reads_it(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROVMODE_PASSWORD", "PROVMODE_PLAN_KEY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("KEPT", "kept")
    command = program(
        "print(sorted(name for name in os.environ if os.environ[name] == 'secret'), os.environ['KEPT'], sys.argv[1])"
    )

    assert ask([*command, "$(id); *"], {}).reason == "[] kept $(id); *"


def test_one_that_takes_too_long_is_a_no_and_ends_with_all_that_it_started(program: Program, tmp_path: Path) -> None:
    child = tmp_path / "child"
    text = (
        "started = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(child)!r}, 'w').write(str(started.pid))\ntime.sleep(600)"
    )
    began = time.monotonic()

    answer = ask(program(text), {}, limit=2.0)

    assert answer == Answer(False, "it took longer than 2 s")
    assert time.monotonic() - began < 30
    status = Path(f"/proc/{child.read_text()}/stat")
    deadline = time.monotonic() + 30
    while status.exists() and status.read_text().split(") ")[1][0] != "Z" and time.monotonic() < deadline:
        os.sched_yield()
    assert not status.exists() or status.read_text().split(") ")[1][0] == "Z"


@pytest.mark.parametrize("command", ["/nonexistent/gate", "/etc", "with\0null"])
def test_one_that_cannot_be_started_is_the_users_mistake(command: str) -> None:
    with pytest.raises(UsageError, match=r"^the gate .* cannot be run: "):
        ask([command], {})


def test_it_is_told_what_it_is_asked_before_and_of_which_hosts() -> None:
    told: list[Any] = []

    def asked(command: Any, facts: Any) -> Answer:
        told.append(json.loads(json.dumps(facts)))
        return Answer(len(told) == 1, "no")

    guard = GateGuard(["gate"], lambda: {"change": "CHG1", "plan": "p"}, asked)

    assert guard.before_start(["@winrm/PC-1", "@winrm/PC-2"]) is None
    stop = guard.before_wave(["@winrm/PC-1"])

    usual = {"format": "provmode-gate", "version": 1, "change": "CHG1", "plan": "p"}
    assert told == [
        {**usual, "before": "start", "hosts": ["PC-1", "PC-2"]},
        {**usual, "before": "wave", "hosts": ["PC-1"]},
    ]
    assert stop is not None
    assert (stop.guard, stop.why, stop.deferred) == ("gate", "the gate gate says stop: no", False)
    assert guard.before_host("@winrm/PC-1") is None, "it is not asked for each host"


def test_one_that_is_gone_between_waves_stops_the_run() -> None:
    stop = GateGuard(["/nonexistent/gate"], dict).before_wave([])

    assert stop is not None
    assert stop.why == "the gate /nonexistent/gate cannot be run: No such file or directory"
