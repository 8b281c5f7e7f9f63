"""The README is true: its commands and those of the reference run, and the demo prints what the README shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
MOST_WORDS = 1200


def blocks(text: str) -> list[tuple[str, str]]:
    """Return kind and text of every block of code."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


BLOCKS = blocks(README)
RUN = [*BLOCKS, *blocks(REFERENCE)]
"""The blocks whose commands run, in this order and in one shell."""
COMMANDS = [
    line.removeprefix("$ ") for kind, text in RUN if kind == "console" for line in text.splitlines() if line[:2] == "$ "
]


def written(text: str, lab: LabProcess) -> str:
    """Return a text of the documents with the example's account turned into the lab's."""
    return text.replace("EXAMPLE\\\\auditor", lab.user.replace("\\", "\\\\")).replace("EXAMPLE\\auditor", lab.user)


@pytest.fixture
def house(tmp_path: Path, lab: LabProcess, healthy: Host) -> Path:
    """A folder with what the documents' commands expect around them; their example PCs are one PC of the lab."""
    for folder in ("inventories", "deploys"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "all.py").write_text(
        f"winrm_address = {healthy.address!r}\nwinrm_port = {healthy.port!r}\n"
    )
    for kind, text in RUN:
        if kind == "python":
            name = text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(written(text, lab))
    return tmp_path


def script(lab: LabProcess) -> Iterator[str]:
    """Yield the lines of a script that runs every command and says how each ended."""
    yield f"make() {{ command make --dry-run -C '{ROOT}' \"$@\" > /dev/null; }}"  # what it runs is run elsewhere
    for number, command in enumerate(COMMANDS):
        yield f"yes '' | {written(command, lab)}" if " --dry " in command else written(command, lab)
        yield f"echo @ended {number} $?"
        if command.endswith("&"):
            yield "while [ ! -s .lab/fleet.json ]; do kill -0 $! || exit 1; done"
    yield "kill %1 && wait"


@pytest.mark.long
def test_it_is_short() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_no_document_installs_provmode_from_an_index() -> None:
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        assert not re.search(r"pip install [^.`\n]*provmode", document.read_text("utf-8")), document


def test_every_command_runs(house: Path, lab: LabProcess) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVMODE")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script(lab))],
        cwd=house,
        env=environment,
        input=f"{lab.password}\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    ended = {int(number): int(code) for number, code in re.findall(r"^@ended (\d+) (\d+)$", ran.stdout, re.MULTILINE)}
    assert len(ended) == len(COMMANDS) > 10, ran.stderr
    for number, command in enumerate(COMMANDS):
        fine = (0, 2, 4, 6, 8) if command.startswith("provmode ") else (0,)
        assert ended[number] in fine, f"{command}: {ended[number]}\n{ran.stderr}"
    assert "Traceback" not in ran.stderr
    assert lab.password not in ran.stdout + ran.stderr
    for inventory in ("fleet.py", "from_text.py"):
        assert ended[COMMANDS.index(f"provmode audit {inventory}")] == 0, "the documents' own fleets are healthy"


@pytest.mark.long
def test_what_the_demo_is_shown_to_print_is_what_it_prints(on_terminal: Callable[..., Any]) -> None:
    demo = re.search(r"provmode (demo [^;]*);", (ROOT / "Makefile").read_text("utf-8"))
    assert demo
    shown = next(text for kind, text in BLOCKS if kind == "text" and "overdue" in text)
    assert "==== apply, in two waves ====" in shown

    printed = on_terminal(*demo.group(1).split()).stdout

    lines = [line.rstrip() for line in printed.splitlines()]
    for line in shown.splitlines():
        assert line in lines


def test_every_room_of_the_drawing_exists_and_every_module_is_in_it() -> None:
    drawing = next(text for kind, text in BLOCKS if kind == "text" and "──>" in text)
    modules = {path.stem for path in (ROOT / "provmode").glob("*.py")} | {
        path.name for path in (ROOT / "provmode").iterdir() if (path / "__init__.py").exists()
    }

    words = set(re.findall(r"[a-z_]+", drawing))
    assert modules - {"__init__", "__main__"} <= words
