"""docs/lab.md matches the lab: its tables are complete, and its session runs as written."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.packages.cases import CASES, truth
from provmode.lab.personas import DESCRIPTIONS, PERSONAS
from provmode.lab.server.control import Control
from provmode.lab.server.counters import Counters
from provmode.lab.server.hosting import Lab
from provmode.lab.server.injection import Injection, Kind
from provmode.lab.server.logon import Logon

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "lab.md").read_text("utf-8")
SESSION = [
    line
    for text in re.findall(r"^```console\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    for line in text.split("\n")
]


def rows(head: str) -> list[list[str]]:
    """Return the cells of the table that begins with *head*."""
    table = GUIDE[GUIDE.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def test_every_persona_is_listed_with_its_verdict() -> None:
    assert set(DESCRIPTIONS) == {persona.name for persona in PERSONAS}
    assert GUIDE.count("\n| `") > len(PERSONAS)
    for persona in PERSONAS:
        assert f"\n| `{persona.name}` | `{persona.verdict}` | {DESCRIPTIONS[persona.name]} |\n" in GUIDE
    assert len(rows("persona")) == len(PERSONAS)


def test_every_kind_of_pc_by_its_packages_is_listed() -> None:
    assert rows("kind") == [[case.name, case.description] for case in CASES]


def test_every_field_of_the_truth_about_packages_is_listed() -> None:
    fields = {name for case in CASES for name in truth(case)}

    assert {row[0] for row in rows("in the truth")} == fields


def test_every_request_counter_and_injection_is_listed() -> None:
    assert tuple(row[0] for row in rows("`op`")) == Control(Lab([])).operations
    assert {row[0] for row in rows("counter")} == set(Counters().to_json())
    assert [row[0] for row in rows("`kind`")] == [kind.value for kind in Kind]


def test_every_field_of_an_injection_is_listed_with_its_default() -> None:
    assert [(row[0], row[2]) for row in rows("field")] == [
        (field.name, "" if field.default is dataclasses.MISSING else json.dumps(field.default))
        for field in dataclasses.fields(Injection)
    ]


def test_every_way_to_log_on_is_listed_with_its_default() -> None:
    fresh = Logon()
    defaults = {name: getattr(fresh, name) for name in Logon.__dataclass_fields__}

    assert {row[0]: json.loads(row[2]) for row in rows("way")} == {**defaults, "cbt": fresh.cbt.value, "ahead": 0}


def fits(written: Any, received: Any) -> bool:
    """Return whether *received* matches *written*, in which ``"..."`` matches anything."""
    if written == "...":
        return True
    if not isinstance(written, dict) or not isinstance(received, dict):
        if isinstance(written, list) and isinstance(received, list):
            return len(written) == len(received) and all(map(fits, written, received))
        return bool(written == received)
    named = set(written) - {"..."}
    return (named == set(received) or ("..." in written and named <= set(received))) and all(
        fits(written[name], received[name]) for name in named
    )


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the lab of the first line of the session."""
    start = SESSION[0]
    assert start.startswith("$ provmode lab ")
    command = [sys.executable, "-m", *shlex.split(start.removeprefix("$ "))]
    running = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with running:
        yield running


def test_the_session_runs_as_it_is_written(lab: subprocess.Popen[str], tmp_path: Path) -> None:
    assert lab.stdin is not None
    assert lab.stdout is not None
    for line in SESSION[1:]:
        mark, text = line[:2], line[2:]
        if mark == "> ":
            lab.stdin.write(text + "\n")
            lab.stdin.flush()
        elif mark == "< ":
            received = json.loads(lab.stdout.readline())
            assert fits(json.loads(text), received), f"{text}\n{received}"
        elif mark == "$ ":
            ran = subprocess.run([sys.executable, "-m", *shlex.split(text)], cwd=tmp_path, check=False)
            assert ran.returncode in (0, 2, 8)

    assert lab.wait(30) == 0
    verdicts = {
        name: {host["host"]: host["verdict"] for host in json.loads((tmp_path / f"{name}.json").read_text())["hosts"]}
        for name in ("before", "during", "after")
    }
    assert verdicts == {
        "before": {"PC-00001": "healthy", "PC-00002": "self-healing"},
        "during": {"PC-00001": "unassessed", "PC-00002": "healthy"},
        "after": {"PC-00001": "half-exited", "PC-00002": "healthy"},
    }
    assert not (tmp_path / ".lab").exists()


def test_a_line_that_is_not_a_request_is_answered_and_does_not_end_the_lab(tmp_path: Path) -> None:
    lines = ("", "x", "[]", "[" * 100_000, '{"op": "nope"}', '{"op": []}', '{"op": "advance", "seconds": 1e300}')
    (tmp_path / "session").write_text(
        "\n".join((*lines, '{"op": "inject", "host": "PC-00001"}', '{"op": "mutations"}'))
    )

    with (tmp_path / "session").open() as session:
        ran = subprocess.run(
            [sys.executable, "-m", "provmode", "lab", "--hosts", "1", "--mix", "healthy=1", "--control"],
            stdin=session,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    answers = [json.loads(line) for line in ran.stdout.splitlines()][1:]
    assert (ran.returncode, ran.stderr) == (0, "")
    assert all(list(answer) == ["error"] for answer in answers[:-1])
    assert len(answers) == len(lines) + 2
    assert "there are advance, mutations, requests" in answers[4]["error"]
    assert answers[-1] == {"result": {"PC-00001": []}}


def test_without_any_input_the_lab_ends_at_once(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "provmode", "lab", "--hosts", "1", "--control"],
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, len(ran.stdout.splitlines())) == (0, 1)
