"""An installed wheel in an empty folder does what `docs/install.md` says, without the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from provmode.lab.process import LabProcess

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "install.md").read_text("utf-8")
COMMANDS = [line[2:] for line in GUIDE.splitlines() if line.startswith("$ pyinfra ")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a wheel that was installed into a folder of its own; the libraries are those of the tests."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("installed")
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    venv.create(folder / "venv", symlinks=True)
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    libraries = Path(pytest.__file__).parent.parent  # without this checkout: .pth files do not count there
    (site / "libraries.py").write_text(f"import sys; sys.path.append({str(libraries)!r})\n")
    (site / "libraries.pth").write_text("import libraries\n")
    programs = folder / "venv" / "bin"
    for name in ("provmode", "pyinfra"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{programs}/python" -m {name} "$@"\n')
        (programs / name).chmod(0o755)
    return programs


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an inventory ``fleet.py`` and the guide's deploy, and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    for text in re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL):
        (folder / text.splitlines()[0].removeprefix("# ")).write_text(text)
    with LabProcess(2, 5, mix={"overdue": 1}, inventory=folder / "fleet.py"):
        yield folder


def run(installed: Path, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**environment, "PATH": f"{installed}:{os.environ['PATH']}"},
        input="\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_guide_does_something_with_an_installed_wheel(
    installed: Path, fleet: Path, command: str
) -> None:
    ran = run(installed, fleet, command)
    printed = ran.stdout + ran.stderr

    assert ran.returncode == 0, printed
    assert "Traceback" not in printed
    assert "No such module" not in printed
    expected = '"known"' if " fact " in command else "@winrm/PC-00001] "
    assert expected in printed, printed


def test_the_deploy_of_an_installed_wheel_changes_what_the_one_of_the_checkout_does(
    installed: Path, fleet: Path
) -> None:
    ran = run(installed, fleet, "pyinfra -y fleet.py provmode.deploys.comply.comply && provmode audit fleet.py")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 hosts: 2 healthy" in ran.stdout


def test_an_installed_wheel_makes_a_page(installed: Path, fleet: Path) -> None:
    command = "provmode audit fleet.py --format json --output a.json; provmode report --from a.json --output a.html"

    ran = run(installed, fleet, command)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "of 2 PCs" in (fleet / "a.html").read_text("utf-8")


def test_no_message_and_no_document_installs_a_name_that_nobody_here_owns() -> None:
    """Only a file of ours, or a library that we depend on, whose name has an owner."""
    allowed = re.compile(r"pip install (?:\.|'\.\[|\./|'pywinrm\[|'pyspnego\[|'sansldap>)")
    found = 0
    for path in (*(ROOT / "provmode").rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for place in re.finditer(r"pip install \S+", path.read_text("utf-8")):
            found += 1
            assert allowed.match(place.group()), f"{path.name}: {place.group()}"
    assert found > 4


def test_completion_is_printed_as_the_guide_says() -> None:
    shells = re.findall(r"_PROVMODE_COMPLETE=(\w+)_source", GUIDE)
    assert shells == ["bash", "zsh", "fish"]
    for shell in shells:
        ran = subprocess.run(
            [sys.executable, "-c", "from provmode.cli.entry import main; main()"],
            env={**os.environ, "_PROVMODE_COMPLETE": f"{shell}_source"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "_PROVMODE_COMPLETE=" in ran.stdout, ran.stderr
