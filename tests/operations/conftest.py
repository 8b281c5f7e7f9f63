"""Deploy files, written here and run by pyinfra's own command line on a lab of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess
from provmode.remediation.lease import NAME
from provmode.transport.session import Session
from provmode.wsman import CommandLine


@dataclass(frozen=True)
class Result:
    """Results of one operation: numbers of hosts."""

    changed: int
    failed: int
    unchanged: int


@dataclass(frozen=True)
class Ran:
    """One run of pyinfra."""

    code: int
    output: str
    """Everything that it printed, unchanged."""

    @property
    def results(self) -> dict[str, Result]:
        """The table of results by the operation's name."""
        rows = self.output.partition("--> Results:")[2].splitlines()
        found = [re.fullmatch(r" {4}(\S.*?) {2,}(\S+) +(\S+) +(\S+) +(\S+) *", row) for row in rows]
        tables = [match.groups() for match in found if match is not None and match[2].isdigit()]
        return {
            name: Result(*(0 if number == "-" else int(number) for number in numbers))
            for name, _, *numbers in tables
            if name != "Grand total"
        }

    @property
    def pending(self) -> dict[str, int]:
        """The table of changes that a dry run detected: operation and number of hosts."""
        rows = self.output.partition("--> Detected changes:")[2].splitlines()
        found = [re.match(r" {4}(\S.*?) {2,}(\d+|-) ", row) for row in rows]
        return {match[1]: 0 if match[2] == "-" else int(match[2]) for match in found if match is not None}

    def lines(self, host: Host) -> list[str]:
        """Return the lines about a host, without its name."""
        mark = f"[@winrm/{host.name}] "
        return [line.partition(mark)[2] for line in self.output.splitlines() if mark in line]

    def block(self, host: Host, head: str) -> list[str]:
        """Return the lines below *head* that show changes, without indentation."""
        lines = iter(self.lines(host))
        assert head in lines, head  # this moves the iterator to the line
        block = []
        for line in lines:
            if not line.startswith(("  - ", "  + ", "    ")):
                break
            block.append(line.lstrip(" ") if line.startswith(("  - ", "  + ")) else line[4:])
        return block


class Pyinfra:
    """Runs deploy files on a lab."""

    def __init__(self, lab: LabProcess, folder: Path) -> None:
        self.lab = lab
        self._folder = folder
        self._number = 0

    def dry(self, deploy: str, *hosts: Host, flags: tuple[str, ...] = (), **data: Any) -> Ran:
        """Run with ``--dry --diff``: nothing is carried out; blank lines answer the prompts."""
        return self._run(deploy, hosts, data, "--dry", "--diff", *flags, answers="\n" * 9)

    def apply(self, deploy: str, *hosts: Host, flags: tuple[str, ...] = (), **data: Any) -> Ran:
        """Run for real."""
        return self._run(deploy, hosts, data, "-y", *flags)

    def apply_with_diff(self, deploy: str, *hosts: Host, **data: Any) -> Ran:
        """Run for real and show what changes."""
        return self._run(deploy, hosts, data, "-y", "--diff")

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Run the lab's clocks ten times as fast, so that a service restarts quickly."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(0.1):
                self.lab.advance(1)

        clock = threading.Thread(target=run)
        clock.start()
        try:
            yield
        finally:
            stop.set()
            clock.join()

    @contextmanager
    def configured(self, text: str) -> Iterator[None]:
        """Run with a configuration file of provmode in the working directory."""
        file = self._folder / "provmode.toml"
        file.write_text(text, "utf-8")
        try:
            yield
        finally:
            file.unlink()

    def mutations(self, host: Host) -> list[str]:
        """Return the changes to a PC, described in words."""
        return [mutation["what"] for mutation in self.lab.mutations(host.name)]

    def work(self, host: Host) -> list[str]:
        """Return the changes to a PC, without those to the folders of a lease."""
        return [change for change in self.mutations(host) if NAME not in change]

    def alone(self, operation: str, *arguments: str, host: Host) -> Ran:
        """Run one operation named on the command line."""
        self._number += 1
        return self._pyinfra("-y", str(self._inventory((host,), {})), operation, *arguments)

    def _run(self, deploy: str, hosts: tuple[Host, ...], data: dict[str, Any], *flags: str, answers: str = "") -> Ran:
        self._number += 1
        return self._pyinfra(*flags, str(self._inventory(hosts, data)), str(self._file(deploy)), answers=answers)

    def _file(self, deploy: str) -> Path:
        """Return the path of a deploy that is there, or that is written now."""
        if deploy.endswith(".py"):
            return Path(deploy)
        path = self._folder / f"deploy{self._number}.py"
        path.write_text(deploy, "utf-8")
        return path

    def start(self, deploy: str, *hosts: Host, flags: tuple[str, ...] = (), **data: Any) -> subprocess.Popen[str]:
        """Begin to run for real, and do not wait for the end."""
        self._number += 1
        return self._begun("-y", *flags, str(self._inventory(hosts, data)), str(self._file(deploy)))

    def finish(self, running: subprocess.Popen[str]) -> Ran:
        """Wait for the end of a run that was begun."""
        out, err = running.communicate(timeout=120)
        return Ran(running.returncode, out + err)

    def _pyinfra(self, *arguments: str, answers: str = "") -> Ran:
        running = self._begun(*arguments)
        try:
            out, err = running.communicate(answers, timeout=120)
        except BaseException:
            running.kill()
            running.wait()
            raise
        return Ran(running.returncode, out + err)

    def _begun(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pyinfra", *arguments],
            cwd=self._folder,
            env={name: value for name, value in os.environ.items() if not name.startswith(("PROVMODE", "COLUMNS"))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def _inventory(self, hosts: tuple[Host, ...], data: dict[str, Any]) -> Path:
        """Write an inventory; a value in *data* that is a dict by host name gives each host its own value."""
        everybody = {"winrm_user": self.lab.user, "winrm_password_file": str(self.lab.password_file)}
        names = {host.name for host in hosts}
        pcs = []
        for host in hosts:
            own = {
                key: value[host.name] if isinstance(value, dict) and set(value) == names else value
                for key, value in data.items()
            }
            pcs.append((f"@winrm/{host.name}", {"winrm_address": host.address, "winrm_port": host.port, **own}))
        path = self._folder / f"fleet{self._number}.py"
        path.write_text(f"pcs = ({pcs!r}, {everybody!r})\n", "utf-8")
        return path


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest) -> Iterator[LabProcess]:
    """A lab for one test file: its ``PERSONAS`` and the number of PCs of each."""
    personas: dict[str, int] = request.module.PERSONAS
    number = sum(personas.values())
    wanted = sorted(name for name, count in personas.items() for _ in range(count))
    mix = {name: 1e6 if count > 1 else 1e-6 for name, count in personas.items()}
    with LabProcess(number, 5, mix=mix) as running:
        assert sorted(host.persona for host in running.hosts) == wanted
        yield running


@pytest.fixture(scope="module")
def pyinfra(fleet: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Pyinfra:
    """Run deploy files."""
    return Pyinfra(fleet, tmp_path_factory.mktemp("deploys"))


@pytest.fixture(scope="module")
def pcs(fleet: LabProcess) -> Callable[[str], list[Host]]:
    """Return the PCs of a persona."""
    return lambda persona: [host for host in fleet.hosts if host.persona == persona]


@pytest.fixture
def at(fleet: LabProcess, connect: Callable[..., Session]) -> Callable[[Host, str], str]:
    """Run a command on a PC in a read-only session, and return its output."""

    def run(host: Host, line: str) -> str:
        completed = connect(fleet, host, read_only=True).send(CommandLine(line))
        return bytes(completed.stdout).decode("utf-8", "replace").replace("\r\n", "\n")

    return run
