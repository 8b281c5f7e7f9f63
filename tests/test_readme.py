"""The README is true: each command in it runs, its tables are complete, what it shows is what is printed."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import facts
from facts.base import ConversationFact
from provmode.ccm.verdict import SEVERITY
from provmode.connector.host_data import WINRM_DATA
from provmode.lab.process import Host, LabProcess
from provmode.report.terminal import MEANINGS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for kind, text in BLOCKS
    if kind == "console"
    for line in text.splitlines()
    if line[:2] == "$ "
]


def written(text: str, lab: LabProcess) -> str:
    """Return a text of the README with the example's account turned into the lab's."""
    return text.replace("EXAMPLE\\\\auditor", lab.user.replace("\\", "\\\\")).replace("EXAMPLE\\auditor", lab.user)


@pytest.fixture
def house(tmp_path: Path, lab: LabProcess, healthy: Host) -> Path:
    """A folder with what the README's commands expect around them; its example PCs are one PC of the lab."""
    for folder in ("inventories", "deploys"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "all.py").write_text(
        f"winrm_address = {healthy.address!r}\nwinrm_port = {healthy.port!r}\n"
    )
    for kind, text in BLOCKS:
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
    assert ended[COMMANDS.index("provmode audit fleet.py")] == 0, "the README's own fleet is healthy"


def test_what_the_demo_is_shown_to_print_is_what_it_prints(provmode: Callable[..., Any]) -> None:
    demo = re.search(r"provmode (demo [^;]*);", (ROOT / "Makefile").read_text("utf-8"))
    assert demo
    shown = next(text for kind, text in BLOCKS if kind == "text" and "overdue" in text)
    assert "==== apply, in two waves ====" in shown

    printed = provmode(*demo.group(1).split(), environment={"COLUMNS": "80"}).stdout

    lines = [line.rstrip() for line in printed.splitlines()]
    for line in shown.splitlines():
        assert line in lines


def table(heading: str) -> dict[str, str]:
    """Return first and second column of the first table under a heading."""
    section = re.split(r"\n#+ ", README[README.index(f"# {heading}\n") + 2 :])[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip(): row[1].strip() for row in rows}


def test_every_key_of_inventory_data_is_listed() -> None:
    assert table("Inventory data") == {f"`{key}`": meta.description for key, meta in WINRM_DATA.items()}


def test_every_verdict_is_listed() -> None:
    assert table("What it tells") == {f"`{verdict.value}`": MEANINGS[verdict] for verdict in SEVERITY}


def test_every_fact_is_listed() -> None:
    listed = {row.split("`")[1] for row in table("Facts")}

    assert listed == {
        f"facts.{module.name}.{name}"
        for module in pkgutil.iter_modules(facts.__path__)
        for name, item in vars(importlib.import_module(f"facts.{module.name}")).items()
        if inspect.isclass(item) and issubclass(item, ConversationFact) and item.__module__ == f"facts.{module.name}"
        if module.name != "base"
    }


def test_every_operation_is_listed_with_its_arguments() -> None:
    import operations

    listed = {line.split("|")[1].strip() for line in README.splitlines() if line.startswith("| `operations.")}

    found = set()
    for module in pkgutil.iter_modules(operations.__path__):
        for name, item in vars(importlib.import_module(f"operations.{module.name}")).items():
            if hasattr(item, "_inner") and item.__module__ == f"operations.{module.name}":
                arguments = ", ".join(inspect.signature(item._inner).parameters)
                found.add(f"`operations.{module.name}.{name}`" + (f" ({arguments})" if arguments else ""))
    assert listed == found


def test_every_room_of_the_drawing_exists_and_every_module_is_in_it() -> None:
    drawing = next(text for kind, text in BLOCKS if kind == "text" and "──>" in text)
    modules = {path.stem for path in (ROOT / "provmode").glob("*.py")} | {
        path.name for path in (ROOT / "provmode").iterdir() if (path / "__init__.py").exists()
    }

    words = set(re.findall(r"[a-z_]+", drawing))
    assert modules - {"__init__", "__main__"} <= words
