"""The pages about provisioning packages: their commands are run, and what they show is what is printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from provmode.lab.packages.writer import Description, Setting, write_package

DOCS = Path(__file__).parents[2] / "docs"
BUILDING = (DOCS / "packages.md").read_text("utf-8")
KEEPING = (DOCS / "package-fleet.md").read_text("utf-8")
ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"


def blocks(page: str, kind: str) -> list[str]:
    """Return the blocks of a kind on a page."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def run(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a page in a folder."""
    command = [sys.executable, "-m", *shlex.split(line)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the packages of the pages."""
    password = Setting("Accounts/Users/User[UserName=kiosk]/Password", "hunter2-canary")
    kiosk = {"id": ID, "name": "kiosk", "rank": 1, "settings": [password]}
    write_package(tmp_path / "kiosk.ppkg", Description(**kiosk))  # type: ignore[arg-type]
    for version in ("1.0", "1.1"):
        write_package(tmp_path / f"kiosk-{version}.ppkg", Description(**kiosk, version=version))  # type: ignore[arg-type]
    base = Description("{b84f2c39-eb59-4d4f-8ad1-0f93cec13850}", "base")
    write_package(tmp_path / "base.ppkg", base)
    return tmp_path


def test_the_page_for_builders_shows_what_lint_prints(folder: Path) -> None:
    (example,) = blocks(BUILDING, "text")
    prompt, _, shown = example.partition("\n")
    found = run(folder, prompt.removeprefix("$ "))
    assert (found.returncode, found.stderr) == (2, "")
    assert found.stdout == shown


def test_every_command_for_builders_reads_the_packages(folder: Path) -> None:
    lines = [line for block in blocks(BUILDING, "console") for line in block.splitlines()]
    assert [line.split()[2] for line in lines] == ["show", "show", "diff", "resolve"]
    for line in lines:
        found = run(folder, line)
        assert found.returncode in (0, 2), line
        assert found.stderr == "", line
        assert "kiosk" in found.stdout
        assert "canary" not in found.stdout


def test_every_command_for_keepers_is_one_that_there_is() -> None:
    lines = [line for block in blocks(KEEPING, "console") for line in block.splitlines()]
    assert len(lines) == 7
    for line in lines:
        words = shlex.split(line)
        options = [word for word in words if word.startswith("--")]
        command = words[: 3 if words[1] == "package" else 2]
        said = run(Path.cwd(), shlex.join([*command, "--help"]))
        assert said.returncode == 0, line
        assert all(re.search(rf"{option}\b", said.stdout) for option in options), line


def test_the_inventory_for_keepers_says_which_packages_a_host_should_have() -> None:
    from provmode.packages.wanted import wanted_packages, wanted_provisioners

    (example,) = blocks(KEEPING, "python")
    names: dict[str, tuple[list[str], dict[str, object]]] = {}
    exec(compile(example, "the page", "exec"), names)
    hosts, data = names["kiosks"]
    assert hosts == ["@winrm/pc-01", "@winrm/pc-02"]
    wanted, provisioners = wanted_packages(data, "pc-01"), wanted_provisioners(data, "pc-01")
    assert wanted is not None
    assert provisioners is not None
    assert [each.present for each in wanted] == [True, False]
    assert [each.file for each in provisioners] == ["packages/signer.cer"]
