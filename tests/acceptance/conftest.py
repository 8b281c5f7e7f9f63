"""Acceptance: what PCs are like after the changes, seen with pytest-testinfra over a pyinfra inventory.

``pytest tests/acceptance --inventory FILE`` looks at the PCs of that inventory. Without ``--inventory`` there is a lab
of its own here, mended by ``provmode plan`` and ``provmode apply`` first. See docs/acceptance.md.

Commands run in cmd.exe over the connector's session, which stays read-only: what would change a PC is refused here,
before a byte is sent. PCs are connected to one after another, each once: accounts lock.
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
from provmode.fleet.visit import cause_of_failure, policies_of, short
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


# -- what to look at ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scope:
    """The PCs that a run looks at, and those it does not."""

    fleet: Fleet
    names: Sequence[str]
    may_be_unreached: frozenset[str]
    not_looked_at: Sequence[str]
    """One line for each host that the plan does not change: its name and why."""
    looked_at: set[str] = field(default_factory=set)
    """Those that were reached."""


SCOPE = pytest.StashKey[Scope]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; pytest reads them where ``tests/acceptance`` stands on its command line."""
    group = parser.getgroup("acceptance", "acceptance of a fleet (docs/acceptance.md)")
    group.addoption("--inventory", metavar="FILE", help="pyinfra inventory of the PCs; else a lab of the tests' own.")
    group.addoption("--plan", metavar="PLAN", type=Path, help="Look only at the PCs that this plan changes.")
    for option, text in (
        ("--limit", "Look only at this host, group or pattern; may be repeated."),
        ("--allow-unreached", "This host, group or pattern may be unreachable; may be repeated."),
    ):
        group.addoption(option, metavar="NAME", action="append", default=[], help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Read the inventory and the plan, so that what is wrong with them ends the run before it begins."""
    inventory: str | None = config.getoption("--inventory", default=None)
    given = {option: config.getoption(option, default=None) for option in ("--plan", "--limit", "--allow-unreached")}
    if inventory is None:
        alone = [option for option, value in given.items() if value]
        if alone:
            raise pytest.UsageError(f"{alone[0]} needs --inventory")
        return
    try:
        config.stash[SCOPE] = scope_of(inventory, given["--plan"], given["--limit"], given["--allow-unreached"])
    except (ProvmodeError, SystemExit) as error:  # an inventory may end the program itself, with one line
        raise pytest.UsageError(str(error)) from None


def scope_of(inventory: str, plan: Path | None, limits: Sequence[str], unreached: Sequence[str]) -> Scope:
    """Return what a run over *inventory* looks at.

    Raises:
        ProvmodeError: the inventory cannot be used, or a name matches nothing.
        pytest.UsageError: the plan cannot be used, or nothing would be looked at.
    """
    fleet = load(inventory)
    names = fleet.select(limits)
    aside: list[str] = []
    if plan is not None:
        hosts = hosts_of(plan)
        foreign = [name for name, _ in hosts if name not in fleet.names]
        if foreign:
            raise pytest.UsageError(f"{inventory} has no host {foreign[0]}, which the plan {plan} has")
        changed = {name for name, why_not in hosts if not why_not}
        aside = [f"{short(name)}: {why_not}" for name, why_not in hosts if why_not and name in names]
        aside += [f"{short(name)}: not in the plan" for name in names if name not in dict(hosts)]
        names = [name for name in names if name in changed]
        if not names:
            raise pytest.UsageError(f"the plan {plan} changes none of these hosts: there is nothing to look at")
    policies_of(fleet, names)
    may_be_unreached = frozenset(fleet.select(unreached)) if unreached else frozenset[str]()
    return Scope(fleet, names, may_be_unreached, aside)


def load(inventory: str) -> Fleet:
    """Return the fleet of *inventory*, and leave this process as it is.

    pyinfra's command line, which reads inventories, has gevent replace sockets, locks and processes when it is first
    imported. That is too late in a pytest that has imported them, and would change them for every other test.
    """
    with pytest.MonkeyPatch.context() as context:
        context.setattr(monkey, "patch_all", lambda: None)
        return load_inventory(inventory)


def hosts_of(plan: Path) -> list[tuple[str, str]]:
    """Return the hosts of a plan, each with why the plan does not change it: empty for those that it changes.

    The signature is not checked: a plan only says here whom to look at.
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
    """Leave the tests of the acceptance run itself out of a run over somebody's inventory: they need the lab."""
    return True if SCOPE in config.stash and collection_path.name == "test_acceptance_run.py" else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes ``pc`` every PC of the run."""
    if "pc" not in metafunc.fixturenames:
        return
    scope = metafunc.config.stash.get(SCOPE, None)
    if scope is not None:
        metafunc.parametrize("pc", scope.names, ids=short, indirect=True, scope="session")
        return
    placed = [item for item in compose(len(MIX), SEED, MIX) if item.persona.name in CHANGED]
    names, ids = [f"@winrm/{item.name}" for item in placed], [f"{item.name}-{item.persona.name}" for item in placed]
    metafunc.parametrize("pc", names, ids=ids, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a run that looked at no PC at all fail, whatever was allowed."""
    scope = session.config.stash.get(SCOPE, None)
    if scope is not None and not scope.looked_at and not session.config.option.collectonly and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say whom the plan leaves alone, and where nobody was looked at: nobody should take that for accepted."""
    scope = config.stash.get(SCOPE, None)
    if scope is not None and not scope.looked_at and not config.option.collectonly:
        terminalreporter.section("no PC was looked at: nothing is accepted")
    if scope is not None and scope.not_looked_at:
        terminalreporter.section(f"not looked at: {len(scope.not_looked_at)} hosts that the plan does not change")
        for line in scope.not_looked_at:
            terminalreporter.write_line(line)


# -- the lab of the tests' own --------------------------------------------------------------------------------------


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
    """A lab fleet on which the command line has made its plan and carried it out."""
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


# -- the road -------------------------------------------------------------------------------------------------------


class CmdBackend(BaseBackend):
    """Runs testinfra's commands in cmd.exe of a pyinfra host, over the connector's read-only session.

    testinfra's own modules (``host.file``, ``host.service``) are made for other shells and are not used.
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
        """Put *args* into *command*, each in the double quotes of cmd.exe.

        Raises:
            ValueError: one of them has a double quote, which cmd.exe's quotes cannot hold.
        """
        if any('"' in argument for argument in args):
            raise ValueError("cmd.exe cannot take a double quote inside an argument")
        return command % tuple(f'"{argument}"' for argument in args) if args else command

    def get_encoding(self) -> str:
        """Return the console's encoding; testinfra would ask the PC's Python for it."""
        return codec_of(self._codepage)

    def decode(self, data: bytes) -> str:
        """Return console output as text; a byte that is none becomes U+FFFD (``type`` shows any file)."""
        return data.decode(self.encoding, "replace")

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run *command* in cmd.exe.

        Raises:
            ReadOnlyRefused: it would change the PC, or may; nothing was sent.
            HostError: the PC was lost on the way.
        """
        line = self.get_command(command, *args)
        session = self._connector.open()
        assert session.read_only
        session.begin()
        completed = session.send(CommandLine(line, codepage=self._codepage))
        return self.result(completed.exit_code, line.encode(), completed.stdout, completed.stderr)


class Unreached(Exception):
    """A PC could not be connected to, or runs no command for this account; the message says why."""


class Road:
    """Connects to PCs of a fleet, to each once, whatever comes of it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._tried: dict[str, Host | str] = {}
        self._connected: list[PyinfraHost] = []

    def to(self, name: str) -> Host:
        """Return testinfra's host for *name*, connected.

        Raises:
            Unreached: it could not be looked at, now or when it was tried.
        """
        if name not in self._tried:
            self._tried[name] = self._connect(name)
        found = self._tried[name]
        if isinstance(found, str):
            raise Unreached(found)
        return found

    def _connect(self, name: str) -> Host | str:
        [[host]] = self._fleet.shards([name])
        host.connect(show_errors=False)
        error: Exception | None = host.connector_data.get(LAST_ERROR)
        if host.connected:
            self._connected.append(host)
            backend = CmdBackend(host)
            seen = Host(backend)
            backend.set_host(seen)
            try:
                seen.run("ver")  # who may log on may still be refused a shell
                return seen
            except HostError as refused:
                error = refused
        return f"{short(name)} could not be looked at: {cause_of_failure(error)}: {error}"

    def close(self) -> None:
        """Disconnect from every PC."""
        for host in self._connected:
            host.disconnect()


@pytest.fixture(scope="session")
def road(request: pytest.FixtureRequest) -> Iterator[Road]:
    """The road to the PCs of this run."""
    scope = request.config.stash.get(SCOPE, None)
    made = Road(scope.fleet if scope is not None else load(str(request.getfixturevalue("mended").inventory)))
    yield made
    made.close()


@pytest.fixture(scope="session")
def pc(request: pytest.FixtureRequest, road: Road) -> Host:
    """One PC after another. One that cannot be reached fails its tests, unless ``--allow-unreached`` names it."""
    scope = request.config.stash.get(SCOPE, None)
    try:
        seen = road.to(request.param)
        if scope is not None:
            scope.looked_at.add(request.param)
        return seen
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
