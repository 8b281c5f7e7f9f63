"""Acceptance: checks PCs after the changes, with pytest-testinfra over a pyinfra inventory.

``pytest tests/acceptance --inventory FILE`` checks the PCs of that inventory. Without ``--inventory``, the tests start
their own lab and first run ``provmode plan`` and ``provmode apply`` on it. See docs/acceptance.md.

Commands run in cmd.exe over the connector's session, which stays read-only: a command that would change a PC is refused
before a byte is sent. The tests connect to the PCs one after another, once each, because accounts lock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gevent import monkey
from pyinfra.api import Host as PyinfraHost
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from provmode.connector.winrm import LAST_ERROR, WinRMConnector
from provmode.errors import HostError, ProvmodeError
from provmode.fleet.inventory import Fleet
from provmode.fleet.inventory import load as load_inventory
from provmode.fleet.visit import failure_of, policies_of, short
from provmode.lab.fleet import compose
from provmode.lab.process import LabProcess
from provmode.windows.codepages import codec_of
from provmode.wsman import CommandLine

Ran = subprocess.CompletedProcess[str]

SEED = 7
CHANGED = (
    *("stuck-old-client", "stuck-no-enabled-time", "stuck-service-disabled"),
    *("overdue", "half-exited", "armed"),
)
"""Personas of the lab that a plan changes."""
LEFT_ALONE = ("osd-running", "self-healing", "healthy", "no-client", "refused")
MIX = dict.fromkeys((*CHANGED, *LEFT_ALONE), 1.0)
PLAN_KEY = "the key of the acceptance lab"


# -- the PCs to check -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scope:
    """The PCs that a run checks, and those that it does not."""

    fleet: Fleet
    names: Sequence[str]
    may_be_unreached: frozenset[str]
    not_looked_at: Sequence[str]
    """One line for each host that the plan does not change: its name and why."""
    looked_at: set[str] = field(default_factory=set)
    """The PCs that were reached."""


SCOPE = pytest.StashKey[Scope]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; pytest knows them if ``tests/acceptance`` is on its command line."""
    group = parser.getgroup("acceptance", "acceptance of a fleet (docs/acceptance.md)")
    group.addoption("--inventory", metavar="FILE", help="pyinfra inventory of the PCs; else the tests' own lab.")
    group.addoption("--plan", metavar="PLAN", type=Path, help="Check only the PCs that this plan changes.")
    for option, text in (
        ("--limit", "Check only this host, group or pattern; repeatable."),
        ("--allow-unreached", "Do not fail if this host, group or pattern is unreachable; repeatable."),
    ):
        group.addoption(option, metavar="NAME", action="append", default=[], help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Read the inventory and the plan, so that an error in them ends the run before it begins."""
    inventory: str | None = config.getoption("--inventory", default=None)
    given = {option: config.getoption(option, default=None) for option in ("--plan", "--limit", "--allow-unreached")}
    if inventory is None:
        unusable = [option for option, value in given.items() if value]
        if unusable:
            raise pytest.UsageError(f"{unusable[0]} needs --inventory")
        return
    try:
        config.stash[SCOPE] = scope_of(inventory, given["--plan"], given["--limit"], given["--allow-unreached"])
    except (ProvmodeError, SystemExit) as error:  # an inventory can exit with a message of one line
        raise pytest.UsageError(str(error)) from None


def scope_of(inventory: str, plan: Path | None, limits: Sequence[str], unreached: Sequence[str]) -> Scope:
    """Return the PCs that a run over *inventory* checks.

    Raises:
        ProvmodeError: the inventory cannot be used, or a name matches nothing.
        pytest.UsageError: the plan cannot be used, or no PC would be checked.
    """
    fleet = load(inventory)
    names = fleet.select(limits)
    left_out: list[str] = []
    if plan is not None:
        hosts = hosts_of(plan)
        foreign = [name for name, _ in hosts if name not in fleet.names]
        if foreign:
            raise pytest.UsageError(f"{inventory} has no host {foreign[0]}, which the plan {plan} has")
        changed = {name for name, why_not in hosts if not why_not}
        left_out = [f"{short(name)}: {why_not}" for name, why_not in hosts if why_not and name in names]
        left_out += [f"{short(name)}: not in the plan" for name in names if name not in dict(hosts)]
        names = [name for name in names if name in changed]
        if not names:
            raise pytest.UsageError(f"the plan {plan} changes none of these hosts: there is nothing to look at")
    policies_of(fleet, names)
    may_be_unreached = frozenset(fleet.select(unreached)) if unreached else frozenset[str]()
    return Scope(fleet, names, may_be_unreached, left_out)


def load(inventory: str) -> Fleet:
    """Return the fleet of *inventory* without patching this process.

    pyinfra's command line, which reads inventories, lets gevent replace sockets, locks and processes when it is first
    imported. This pytest has already imported them, so that is too late, and it would change them for every other test.
    """
    with pytest.MonkeyPatch.context() as context:
        context.setattr(monkey, "patch_all", lambda: None)
        return load_inventory(inventory)


def hosts_of(plan: Path) -> list[tuple[str, str]]:
    """Return the hosts of a plan, each with the reason why the plan does not change it; empty if it does.

    The signature is not checked: here, a plan only says which PCs to check.
    """
    try:
        document = json.loads(plan.read_text("utf-8"))
        if document["format"] != "provmode-plan" or document["version"] != 1:
            raise ValueError("not a plan of version 1")
        return [
            (host["name"], "" if host["steps"] else host["left_alone"] or "nothing to change")
            for host in document["hosts"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise pytest.UsageError(f"cannot use the plan {plan}: {type(error).__name__}: {error}") from None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests of the acceptance run itself if there is an inventory: they need the lab."""
    return True if SCOPE in config.stash and collection_path.name == "test_acceptance_run.py" else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes ``pc`` for every PC of the run."""
    if "pc" not in metafunc.fixturenames:
        return
    scope = metafunc.config.stash.get(SCOPE, None)
    if scope is not None:
        metafunc.parametrize("pc", scope.names, ids=short, indirect=True, scope="session")
        return
    changed = [item for item in compose(len(MIX), SEED, MIX) if item.persona.name in CHANGED]
    names, ids = [f"@winrm/{item.name}" for item in changed], [f"{item.name}-{item.persona.name}" for item in changed]
    metafunc.parametrize("pc", names, ids=ids, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that reached no PC at all, even if that was allowed for each."""
    scope = session.config.stash.get(SCOPE, None)
    if scope is not None and not scope.looked_at and not session.config.option.collectonly and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print which PCs the plan leaves alone, and whether no PC was reached: nobody should take that for acceptance."""
    scope = config.stash.get(SCOPE, None)
    if scope is not None and not scope.looked_at and not config.option.collectonly:
        terminalreporter.section("no PC was looked at: nothing is accepted")
    if scope is not None and scope.not_looked_at:
        terminalreporter.section(f"not looked at: {len(scope.not_looked_at)} hosts that the plan does not change")
        for line in scope.not_looked_at:
            terminalreporter.write_line(line)


# -- the tests' own lab ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mended:
    """A lab after ``provmode plan`` and ``provmode apply``."""

    lab: LabProcess
    inventory: Path
    plan: Path

    def name_of(self, persona: str) -> str:
        """Return the name of the PC of a persona."""
        return next(host.name for host in self.lab.hosts if host.persona == persona)


@pytest.fixture(scope="session")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mended]:
    """A lab on which the command line has made a plan and applied it."""
    folder = tmp_path_factory.mktemp("acceptance")
    inventory, plan = folder / "fleet.py", folder / "plan.json"
    with LabProcess(len(MIX), SEED, mix=MIX, inventory=inventory) as lab:
        planned = provmode(folder, "plan", str(inventory), "--output", str(plan))
        assert planned.returncode == 2, planned.stdout + planned.stderr  # changes pending
        applied = provmode(folder, "apply", str(plan))
        assert applied.returncode == 0, applied.stdout + applied.stderr
        yield Mended(lab, inventory, plan)


def provmode(folder: Path, *arguments: str) -> Ran:
    """Run provmode's command line as a user does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PROVMODE", "COLUMNS"))}
    return subprocess.run(
        [sys.executable, "-m", "provmode", *arguments],
        cwd=folder,
        env={**clean, "PROVMODE_PLAN_KEY": PLAN_KEY},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# -- connections ----------------------------------------------------------------------------------------------------


class CmdBackend(BaseBackend):
    """Runs testinfra's commands in cmd.exe of a pyinfra host, over the connector's read-only session.

    testinfra's own modules (``host.file``, ``host.service``) are for other shells and are not used.
    """

    NAME = "winrm-cmd"

    def __init__(self, host: PyinfraHost) -> None:
        super().__init__(short(host.name))
        connector = host.connector
        assert isinstance(connector, WinRMConnector)
        self._connector = connector
        self._codepage: int = connector.data["winrm_codepage"]

    @staticmethod
    def quote(command: str, *args: str) -> str:
        """Put *args* into *command*, each in double quotes for cmd.exe.

        Raises:
            ValueError: an argument contains a double quote, which cmd.exe cannot quote.
        """
        if any('"' in argument for argument in args):
            raise ValueError("cmd.exe cannot take a double quote inside an argument")
        return command % tuple(f'"{argument}"' for argument in args) if args else command

    def get_encoding(self) -> str:
        """Return the console's encoding; testinfra's own method asks Python on the PC."""
        return codec_of(self._codepage)

    def decode(self, data: bytes) -> str:
        """Return console output as text; invalid bytes become U+FFFD (``type`` prints any file)."""
        return data.decode(self.encoding, "replace")

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run *command* in cmd.exe.

        Raises:
            ReadOnlyRefused: the command changes the PC, or might; nothing was sent.
            HostError: the connection to the PC was lost.
        """
        line = self.get_command(command, *args)
        session = self._connector.open()
        assert session.read_only
        session.begin()
        completed = session.send(CommandLine(line, codepage=self._codepage))
        return self.result(completed.exit_code, line.encode(), completed.stdout, completed.stderr)


class Unreached(Exception):
    """A PC was not reached, or runs no commands for this account; the message says why."""


class Connections:
    """Connects to PCs of a fleet, once each, even if that fails."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._tried: dict[str, Host | str] = {}
        self._connected: list[PyinfraHost] = []

    def to(self, name: str) -> Host:
        """Return testinfra's host for *name*, connected.

        Raises:
            Unreached: the PC was not reached, now or when it was first tried.
        """
        if name not in self._tried:
            self._tried[name] = self._connect(name)
        result = self._tried[name]
        if isinstance(result, str):
            raise Unreached(result)
        return result

    def _connect(self, name: str) -> Host | str:
        [[host]] = self._fleet.shards([name])
        host.connect(show_errors=False)
        error: Exception | None = host.connector_data.get(LAST_ERROR)
        if host.connected:
            self._connected.append(host)
            backend = CmdBackend(host)
            connected = Host(backend)
            backend.set_host(connected)
            try:
                connected.run("ver")  # an account that can log on may still be refused a shell
                return connected
            except HostError as refused:
                error = refused
        return f"{short(name)} could not be looked at: {failure_of(error).cause}: {error}"

    def close(self) -> None:
        """Disconnect from every PC."""
        for host in self._connected:
            host.disconnect()


@pytest.fixture(scope="session")
def connections(request: pytest.FixtureRequest) -> Iterator[Connections]:
    """The connections to the PCs of this run."""
    scope = request.config.stash.get(SCOPE, None)
    fleet = scope.fleet if scope is not None else load(str(request.getfixturevalue("mended").inventory))
    opened = Connections(fleet)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def pc(request: pytest.FixtureRequest, connections: Connections) -> Host:
    """One PC after another. A PC that is not reached fails its tests, unless ``--allow-unreached`` names it."""
    scope = request.config.stash.get(SCOPE, None)
    try:
        host = connections.to(request.param)
        if scope is not None:
            scope.looked_at.add(request.param)
        return host
    except Unreached as error:
        if scope is not None and request.param in scope.may_be_unreached:
            pytest.xfail(str(error))
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def accept(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Ran]:
    """Run ``pytest tests/acceptance`` in a process of its own, as a user does."""
    root = request.config.rootpath

    def run(*arguments: str, **environment: str) -> Ran:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PROVMODE", "PYTEST"))}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "tests/acceptance", "-p", "no:cacheprovider", "-q", "-rA", *arguments],
            cwd=root,
            env={**clean, "COLUMNS": "200", "PYTEST_DEBUG_TEMPROOT": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run
