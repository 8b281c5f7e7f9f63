"""A client that was taken out of provisioning mode stays out, for days of the PC's own time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.ccm.client import client_state
from provmode.ccm.judge import judge
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Verdict
from provmode.lab.process import Host, LabProcess
from provmode.remediation.decide import plan_remediation
from provmode.remediation.execute import execute
from provmode.remediation.steps import SetMode, SetRegistryValue
from provmode.transport.session import Session
from provmode.windows.registry import RegistryData, ValueType

DAY = 24 * 3600
CCMEXEC = "HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec"
MIX = ("healthy", "armed", "half-exited", "stuck-old-client", "stuck-service-disabled", "self-healing", "overdue")


def now() -> datetime:
    return datetime.now(timezone.utc)


class Patient:
    """One PC of the lab with a session to it; a wait advances the PC's clock."""

    def __init__(self, lab: LabProcess, host: Host, session: Session) -> None:
        self.lab, self.host, self.session = lab, host, session

    def verdict(self) -> Verdict:
        """Return the PC's verdict, as an audit does."""
        self.session.read_only = True
        self.session.begin()
        return judge(self.session.converse(client_state(now)), Policy(), now()).verdict

    def comply(self, policy: Policy | None = None) -> list[str]:
        """Carry out the steps of a plan for the PC; return their kinds."""
        self.session.read_only = True
        self.session.begin()
        remediation = self.session.converse(plan_remediation(now, policy or Policy()))
        for step in remediation.steps:
            self.execute(step)
        return [step.kind for step in remediation.steps]

    def execute(self, step: Any) -> str:
        """Carry out one step."""
        self.session.read_only = False
        self.session.begin()
        return self.session.converse(execute(step))

    def days_pass(self, days: float) -> None:
        self.lab.advance(days * DAY, self.host.name)

    @property
    def mutations(self) -> list[str]:
        """The changes on the PC, in order."""
        return [str(item) for item in self.lab.mutations(self.host.name)]


@pytest.fixture(scope="module")
def fleet() -> Iterator[LabProcess]:
    """A fleet that these tests may change: one PC of each persona and one spare."""
    with LabProcess(28, 12, mix=dict.fromkeys(MIX, 1)) as running:
        yield running


@pytest.fixture
def patient(fleet: LabProcess, make_target: Callable[..., Any]) -> Iterator[Callable[[str], Patient]]:
    """Return a PC of a persona that no test has used yet."""
    opened: list[Session] = []

    def choose(persona: str) -> Patient:
        taken: set[str] = fleet.__dict__.setdefault("taken", set())
        host = next(host for host in fleet.hosts if host.persona == persona and host.name not in taken)
        taken.add(host.name)
        session = Session(
            make_target(fleet, host), read_only=True, pause=lambda seconds: fleet.advance(seconds, host.name)
        )
        opened.append(session)
        return Patient(fleet, host, session)

    yield choose
    for session in opened:
        session.close()


def test_without_disarming_the_tcf_the_mode_comes_back_with_the_health_evaluation(patient: Any) -> None:
    pc = patient("armed")
    assert pc.verdict() is Verdict.ARMED
    pc.days_pass(1.1)
    assert pc.lab.registry(pc.host.name, CCMEXEC, "ProvisioningMode") == "true"

    assert pc.execute(SetMode(False, "true")) == "changed"
    assert pc.verdict() is Verdict.ARMED
    pc.days_pass(1.1)

    assert pc.lab.registry(pc.host.name, CCMEXEC, "ProvisioningMode") == "true"


def test_after_comply_the_same_client_stays_healthy_for_a_week(patient: Any) -> None:
    pc = patient("armed")
    pc.days_pass(1.5)
    assert pc.verdict() is Verdict.SELF_HEALING, "it relapsed, and will leave the mode only to relapse again"

    steps = pc.comply(Policy(wait_for_self_healing=False))

    assert steps[0] == "tcf", "the cause of the relapse is removed first"
    for _ in range(7):
        assert pc.verdict() is Verdict.HEALTHY
        pc.days_pass(1)
    assert pc.verdict() is Verdict.HEALTHY


def test_a_half_exited_client_becomes_healthy_by_the_method(patient: Any) -> None:
    pc = patient("half-exited")
    assert pc.verdict() is Verdict.HALF_EXITED
    pc.days_pass(7)
    assert pc.verdict() is Verdict.HALF_EXITED, "it does not recover by itself"

    assert pc.comply() == ["mode", "policy"]

    assert pc.verdict() is Verdict.HEALTHY
    pc.days_pass(7)
    assert pc.verdict() is Verdict.HEALTHY


def test_a_registry_edit_alone_leaves_a_half_exited_client(patient: Any) -> None:
    pc = patient("stuck-old-client")
    mode = RegistryData(ValueType.REG_SZ, str(pc.lab.registry(pc.host.name, CCMEXEC, "ProvisioningMode")))

    pc.execute(SetRegistryValue(CCMEXEC, "ProvisioningMode", mode, RegistryData(ValueType.REG_SZ, "false")))

    assert pc.verdict() is Verdict.HALF_EXITED
    assert pc.comply() == ["mode", "policy"]
    assert pc.verdict() is Verdict.HEALTHY


def test_a_client_before_1902_stays_stuck_without_us(patient: Any) -> None:
    pc = patient("stuck-old-client")

    for _ in range(4):
        assert pc.verdict() is Verdict.STUCK
        pc.days_pass(7)

    pc.comply()
    assert pc.verdict() is Verdict.HEALTHY


def test_a_modern_client_heals_by_itself_when_its_time_comes(patient: Any) -> None:
    pc = patient("self-healing")
    assert pc.verdict() is Verdict.SELF_HEALING
    before = pc.mutations

    pc.days_pass(4)

    assert pc.verdict() is Verdict.HEALTHY
    assert not [item for item in pc.mutations if item not in before and "SetClientProvisioningMode" in item]


def test_a_disabled_service_is_enabled_before_the_exit_method_is_called(patient: Any) -> None:
    pc = patient("stuck-service-disabled")
    assert pc.verdict() is Verdict.STUCK

    steps = pc.comply()

    assert steps[-4:] == ["start-mode", "service-state", "mode", "policy"]
    assert pc.verdict() is Verdict.HEALTHY
    order = [
        next(number for number, item in enumerate(pc.mutations) if words in item)
        for words in ("start mode Auto", "service CcmExec started", "SetClientProvisioningMode", "000000000021", "22}")
    ]
    assert order == sorted(order)


def test_leaving_the_mode_starts_the_installs_that_the_plan_predicted(patient: Any) -> None:
    pc = patient("overdue")
    pc.session.begin()
    remediation = pc.session.converse(plan_remediation(now, Policy()))

    for step in remediation.steps:
        pc.execute(step)

    started = sorted(
        item.split("install of ")[1].split(" started")[0] for item in pc.mutations if "install of " in item
    )
    assert remediation.impact is not None
    assert list(remediation.impact.past_due.value) == started


def test_a_second_remediation_changes_nothing(patient: Any) -> None:
    pc = patient("overdue")
    pc.comply()
    before = pc.mutations

    assert pc.comply() == []
    assert pc.mutations == before
