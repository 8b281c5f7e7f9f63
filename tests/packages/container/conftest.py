"""Packages to read, and sources that count what is read of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provmode.lab.packages.writer import Asset, Condition, Description, Setting, Variant, command, package

RECORDINGS = Path(__file__).parents[2] / "recordings" / "ppkg"
SCRIPT = b"@echo off\r\nrem done\r\n"


@dataclass
class FileSource:
    """A file on this computer; it remembers each range that was read."""

    path: Path
    ranges: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def read(self, offset: int, count: int) -> bytes:
        """Return a range."""
        self.ranges.append((offset, count))
        with self.path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(count)

    @property
    def total(self) -> int:
        """Bytes that were read."""
        return sum(count for _, count in self.ranges)


@pytest.fixture(scope="session")
def file_source() -> Callable[[Path], FileSource]:
    """Make a source of a file."""
    return FileSource


@pytest.fixture(scope="session")
def recorded() -> dict[str, Path]:
    """The packages that Windows Configuration Designer made."""
    return {path.stem: path for path in sorted(RECORDINGS.glob("*.ppkg"))}


@pytest.fixture(scope="session")
def full() -> Description:
    """A package with something of everything."""
    return Description(
        "{5ad2e7a5-6a07-4f0e-b2b1-1df8a1b6c0f4}",
        "Büro & Kiosk",
        settings=[
            Setting("Policies/Start/HidePowerButton", "Yes", "1"),
            Setting("Accounts/Users/User[UserName=kim]/UserGroup", "Administrators", "2"),
            Setting("Policies/Experience/AllowCortana", "No", "0", stage="User_RunTime"),
            *command("first", "cmd /c first.cmd", file=r"C:\packages\first.cmd"),
        ],
        variants=[Variant("v", [[Condition("Mcc", "311")]], [Setting("Policies/Start/HideSleep", "1")])],
        assets=[Asset("ProvisioningCommands/PrimaryContext/Command/0/CommandFile", "first.cmd", SCRIPT)],
    )


@pytest.fixture(scope="session")
def made(full: Description) -> bytes:
    """The bytes of that package."""
    return package(full)


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Run another program; what it prints, if it succeeds."""

    def run(*arguments: str | Path, fails: bool = False) -> str:
        ran = subprocess.run([*map(str, arguments)], capture_output=True, check=False)
        assert (ran.returncode != 0) is fails, (arguments, ran.stdout, ran.stderr)
        return (ran.stdout + ran.stderr).decode("utf-8", "replace")

    return run
