"""PCs of the lab within the test's own process: no socket, no wait, and a clock that only the test moves."""

from __future__ import annotations

import asyncio
import io
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from provmode.ccm.client import READING_LINES
from provmode.ccm.policy import Policy
from provmode.cli.main import cli
from provmode.errors import ProvmodeError
from provmode.fleet.audit import Audit
from provmode.fleet.guards import RunRefused
from provmode.fleet.looking import HostReport
from provmode.fleet.plan import Planned, Proposal
from provmode.fleet.plan_file import Plan, load, sign, write
from provmode.lab.packages.cases import INBOX
from provmode.lab.personas import BY_NAME, build_pc
from provmode.lab.server.injection import Injection, Kind
from provmode.lab.server.service import Caller, ServiceOptions, WinRMService
from provmode.lab.windows import cmd
from provmode.lab.windows.configmgr import KEY
from provmode.lab.windows.store import HKLM, RegType
from provmode.packages.on_pc.inventory import READING_LINES as PACKAGE_LINES
from provmode.remediation.decide import plan_remediation
from provmode.remediation.execute import execute
from provmode.remediation.steps import Step
from provmode.signing.keys import Given
from provmode.transport.base import ConnectionLost
from provmode.transport.session import Session
from provmode.transport.target import Counters, Credentials, Endpoint, Target
from provmode.windows.names import ComputerName

START = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)


class Bench:
    """The PCs of one test, and the clock of all of them and of the controller."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds = folder, 0.0
        self.pcs: dict[str, NearPC] = {}
        self.loop = asyncio.new_event_loop()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def clock(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds

    def pc(self, persona: str, name: str = "PC-1", seed: int = 1, packages: str = INBOX) -> NearPC:
        """Switch on a PC; *packages* is its kind by its provisioning packages."""
        self.pcs[name] = NearPC(self, name, persona, seed, packages)
        return self.pcs[name]

    def plan(self, *pcs: NearPC, policy: Policy | None = None, key: Given = None, hours: float = 1.0) -> Plan:
        """Look at PCs (at all, without any named) and make a plan for them."""
        planned = Planned(Audit([]), [pc.proposal(policy or Policy()) for pc in pcs or self.pcs.values()])
        document = planned.document(
            plan_id="plan-1",
            inventory="near",
            limit=(),
            by="a test",
            now=self.now(),
            valid=timedelta(hours=hours),
        )
        write(self.folder / "plan.json", sign(document, key))
        return load(self.folder / "plan.json", key, unsigned=key is None, now=self.now())


class NearPC:
    """One PC: what the lab's service answers, and what was asked."""

    def __init__(self, bench: Bench, name: str, persona: str, seed: int, packages: str = INBOX) -> None:
        self.bench, self.name = bench, name
        self.machine = build_pc(BY_NAME[persona], name, seed, START, bench.clock, packages)
        self.service = WinRMService(self.machine, partial(cmd.start, self.machine), ServiceOptions(), bench.clock)
        self.actions: list[str] = []
        """The action of every request."""
        self.error: Exception | None = None
        """Why the PC cannot be reached."""
        self.gives_name, self.meant = True, ""
        """Whether it says its name when it authenticates, and which PC the inventory means."""
        self.read_only = False
        """Whether the inventory says not to change it."""
        self._events: list[tuple[str, Callable[[], object]]] = []
        self._faults: list[tuple[str, Injection]] = []

    def session(self) -> Session:
        target = Target(
            Endpoint(self.name, self.name, 5985, "http", computer=self.meant),
            Credentials("ntlm", "LAB\\auditor", "secret"),
            read_only_lines=READING_LINES | PACKAGE_LINES,
        )
        return Session(
            target,
            read_only=True,
            connect=partial(NearConnection, self),
            seconds=self.bench.clock,
            pause=self.bench.wait,
            jitter=lambda: 0.5,
        )

    def proposal(self, policy: Policy) -> Proposal:
        session = self.session()
        remediation = session.converse(plan_remediation(self.bench.now, policy))
        session.close()
        report = HostReport(self.name, remediation.assessment, remediation.client, requests=0, retries=0, seconds=0.0)
        return Proposal(f"@winrm/{self.name}", report, remediation, policy)

    def refuse(self, words: str = "", kind: str = "access-denied", **fields: Any) -> None:
        """Let requests with these *words* in them go wrong, once unless *fields* say otherwise."""
        self._faults.append((words, Injection(Kind(kind), **fields)))

    def before(self, words: str, event: Callable[[], object]) -> None:
        """Let something happen right before the next request with these *words* in it."""
        self._events.append((words, event))

    def heal(self) -> None:
        self._events, self._faults, self.error = [], [], None

    def answer(self, message: bytes) -> tuple[int, bytes]:
        """Answer a message; the lab's own service does it."""
        received, text = self.service.read(message, "utf-8"), message.decode()
        self.actions.append(received.info.action)
        for words, event in self._events:
            if words in text:
                self._events.remove((words, event))
                event()
                break
        if self.error is not None:
            raise self.error
        fault = next((each for words, each in self._faults if words in text and each.triggers(received.info)), None)
        if fault is not None and fault.kind not in (Kind.DROP_BEFORE, Kind.DROP_AFTER):
            answer = self.service.injected_fault(fault, received.partial)
            return answer.status, answer.text.encode()
        if fault is None or fault.kind is Kind.DROP_AFTER:
            answer = self.bench.loop.run_until_complete(self.service.answer(received, Caller("LAB\\auditor")))
        if fault is not None:
            raise ConnectionLost("the connection broke", sent=True)
        return answer.status, answer.text.encode()

    def work(self, *steps: Step) -> None:
        """Carry out steps as another program does."""
        session = self.session()
        session.read_only = False
        for step in steps:
            session.converse(execute(step))

    def write(self, name: str, data: str | int) -> None:
        """Write a value of the client's registry key at the PC itself."""
        self.machine.registry.set(HKLM, KEY, name, RegType.DWORD if isinstance(data, int) else RegType.SZ, data)

    @property
    def changes(self) -> list[str]:
        """What was changed over the network, without the lease."""
        found = [change.to_json() for change in self.machine.mutations]
        return [
            change["what"]
            for change in found
            if change["road"] in ("cim", "shell") and "provmode" not in change["what"]
        ]


class NearConnection:
    """A connection to a PC in this process; it is authenticated as NTLM is, and the PC gives its name."""

    def __init__(self, pc: NearPC, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> None:
        self._pc, self._counters = pc, counters

    @property
    def computer(self) -> ComputerName | None:
        return ComputerName(netbios=self._pc.machine.computer_name) if self._pc.gives_name else None

    def dial(self) -> None:
        if self._pc.error is not None:
            raise self._pc.error

    def authenticate(self) -> None:
        pass

    def exchange(self, message: bytes) -> tuple[int, bytes]:
        self._counters.requests += 1
        return self._pc.answer(message)

    def close(self) -> None:
        pass


@dataclass
class NearVisit:
    """A visit of a PC in this process."""

    pc: NearPC
    read_only: bool = False
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.session = self.pc.session()
        self.host = replace(_Named(""), name=f"@winrm/{self.pc.name}")

    @property
    def counters(self) -> Counters:
        return self.session.counters

    def connected(self, work: Callable[[], Any]) -> Any:
        try:
            self.session.connect()
            return work()
        except OSError as error:
            self.error = error
            return None
        finally:
            self.session.close()

    def forget(self) -> None:
        """A bench keeps its PCs."""


@dataclass(frozen=True)
class _Named:
    name: str


@dataclass
class InTurn:
    """A runner that visits the PCs of a bench one after the other."""

    bench: Bench
    visited: list[list[str]] = field(default_factory=list)
    """The names of each wave."""
    at_end_of: dict[str, Callable[[], object]] = field(default_factory=dict)
    """What happens right after a PC was visited."""
    begun: bool = False
    """Whether every visit has begun, and waits for its turn, before the run could be stopped."""
    backwards: bool = False
    may_only_look: bool = False
    """Whether the run may be one that changes nothing: its hosts in progress need not be finished."""

    def visit(
        self,
        fleet: Any,
        names: Sequence[str],
        work: Callable[[Any], None],
        *,
        stop: Callable[[], bool],
        finish_begun: bool,
    ) -> None:
        assert finish_begun or self.may_only_look, "hosts in progress are always finished"
        self.visited.append([])
        for name in reversed(names) if self.backwards else names:
            if self.begun or not stop():
                short = name.rpartition("/")[2]
                self.visited[-1].append(short)
                work(NearVisit(self.bench.pcs[short], read_only=self.bench.pcs[short].read_only))
                self.at_end_of.get(short, lambda: None)()


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read inventory programs without pyinfra's command line: to import it would make the sockets here cooperative."""

    def values(file: Path | str) -> dict[str, Any]:
        return {name: value for name, value in runpy.run_path(str(file)).items() if name[:2] != "__"}

    def groups(file: str) -> dict[str, Any]:
        return {name: value for name, value in values(file).items() if isinstance(value, (list, tuple))}

    def group_data(folder: str) -> dict[str, Any]:
        return {file.stem: values(file) for file in Path(folder).glob("*.py")}

    stub = SimpleNamespace(_get_groups_from_filename=groups, _get_group_data=group_data)
    monkeypatch.setitem(sys.modules, "pyinfra_cli.inventory", stub)
    monkeypatch.setitem(sys.modules, "pyinfra_cli.util", SimpleNamespace(PYTHON_CODES={}))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.loop.close()


class Near:
    """What tests make of the PCs of a bench."""

    visit, in_turn = NearVisit, InTurn


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Commands:
    """The command line in the test's own process, with the PCs of a bench as its fleet."""

    def __init__(self, bench: Bench, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.bench, self._capsys, self._patch = bench, capsys, patch
        self.answer: str | None = None
        """What is typed at the terminal; without it there is no terminal."""
        self.parallel: list[int] = []
        """How many hosts at a time each run was to work on."""
        patch.setattr("provmode.fleet.visit.GeventRunner", self.runner)
        for name, value in (("USER", "LAB\\auditor"), ("PASSWORD", "secret")):
            patch.setenv(f"PROVMODE_{name}", value)
        patch.setenv("XDG_STATE_HOME", str(bench.folder / "state"))
        for name, module in sys.modules.items():
            if name.startswith("provmode.cli.") and hasattr(module, "utc_now"):
                patch.setattr(module, "utc_now", bench.now)

    def runner(self, working: int = 1) -> InTurn:
        """Return a runner that visits the PCs one after the other, for any run."""
        self.parallel.append(working)
        return InTurn(self.bench, may_only_look=True)

    @property
    def inventory(self) -> str:
        """The names of all PCs, as an inventory."""
        return ",".join(f"@winrm/{name}" for name in self.bench.pcs)

    def run(self, *arguments: object) -> Ended:
        """Run a command; an error of the user is its text on standard error."""
        typed = Typed(self.answer)
        self._patch.setattr(sys, "stdin", typed)
        try:
            code = cli.main([str(argument) for argument in arguments], standalone_mode=False)
        except (ProvmodeError, click.ClickException) as error:
            print(getattr(error, "message", error), file=sys.stderr)
            code = 3 if isinstance(error, RunRefused) else 1
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)


class Typed(io.StringIO):
    """Standard input: a terminal at which something is typed, or none."""

    def __init__(self, text: str | None) -> None:
        super().__init__("" if text is None else f"{text}\n")
        self._terminal = text is not None

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def commands(bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(bench, capsys, monkeypatch)


@pytest.fixture
def near() -> type[Near]:
    return Near
