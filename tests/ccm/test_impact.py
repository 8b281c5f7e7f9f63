"""What leaving the mode sets off, by the PC's own clock, and how an unknown answer is reported."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.ccm.impact import Impact, exit_impact, impact
from provmode.errors import AccessDenied, RemoteFault
from provmode.lab import fleet
from provmode.lab.personas import build_pc
from provmode.lab.process import LabProcess
from provmode.lab.windows.configmgr import Client
from provmode.lab.windows.deployments import WindowType
from provmode.reading import Absent, Known, Unknown
from provmode.transport.session import Session
from provmode.windows.model import PcClock
from provmode.wsman import Instance

Drive = Callable[..., Any]
NOW = datetime(2026, 8, 20, 12, 0, tzinfo=timezone.utc)
CLOCK = PcClock(NOW, 120, None)
NO_RESTART = Instance("X_OUTPUT", {"RebootPending": "false", "ReturnValue": "0"})


def deployment(name: str, deadline: datetime | None) -> Instance:
    return Instance("CCM_Program", {"Name": name, "Deadline": deadline})


def test_a_deployment_past_its_deadline_by_the_pcs_clock_would_start(drive: Drive) -> None:
    programs = [
        deployment("late", NOW - timedelta(minutes=1)),
        deployment("not yet", NOW + timedelta(minutes=1)),
        deployment("available", None),
    ]

    found = drive(impact(CLOCK), programs, [deployment("app", NOW)], [], NO_RESTART, [])

    assert found == Impact(Known(("app", "late")), Known(False), Absent())
    assert found.starts_installs
    assert found.words == "would start installing at once: app, late"


def application(name: str, **properties: Any) -> Instance:
    return Instance("CCM_Application", {"Name": name, "Deadline": NOW - timedelta(days=1), **properties})


def test_an_application_already_in_its_deployed_state_starts_nothing(drive: Drive) -> None:
    applications = [
        application("there", InstallState="Installed", ResolvedState="Installed"),
        application("gone", InstallState="NotInstalled", ResolvedState="NotInstalled"),
        application("missing", InstallState="NotInstalled", ResolvedState="Installed"),
        application("to be removed", InstallState="Installed", ResolvedState="NotInstalled"),
        application("no state"),
    ]

    found = drive(impact(CLOCK), [], applications, [], NO_RESTART, [])

    assert found.past_due == Known(("missing", "no state", "to be removed"))


def window(kind: object, begins: object = -1, ends: object = 1) -> Instance:
    """Return a service window of a type; *begins* and *ends* are hours from now, or raw property values."""
    times = {
        name: NOW + timedelta(hours=when) if isinstance(when, int) else when
        for name, when in (("StartTime", begins), ("EndTime", ends))
    }
    return Instance("CCM_ServiceWindow", {"Type": kind, **times})


def test_a_pending_restart_and_an_open_window_are_reported(drive: Drive) -> None:
    restart = Instance("X_OUTPUT", {"RebootPending": "true", "ReturnValue": "0"})

    found = drive(impact(CLOCK), [], [], [], restart, [window("6"), window("4", -3, -2), window("1")])

    assert found.words == "a restart is pending; a maintenance window is open"


@pytest.mark.parametrize("kind", ["1", "2", "3", "4", "5"])
def test_a_maintenance_window_of_any_type_is_open_from_its_begin_until_before_its_end(drive: Drive, kind: str) -> None:
    for begins, ends, is_open in ((0, 1, True), (-1, 1, True), (-1, 0, False), (1, 2, False), (-3, -2, False)):
        found = drive(impact(CLOCK), [], [], [], NO_RESTART, [window(kind, begins, ends)])

        assert found.window_open == Known(is_open)


def test_non_working_hours_are_not_a_maintenance_window(drive: Drive) -> None:
    for kind in ("6", "0", "7"):
        found = drive(impact(CLOCK), [], [], [], NO_RESTART, [window(kind)])

        assert found.window_open == Absent()
    assert drive(impact(CLOCK), [], [], [], NO_RESTART, [window("6"), window("1", 1, 2)]).window_open == Known(False)


@pytest.mark.parametrize(
    "unclear", [window("4", None), window("4", -1, None), window("4", "soon"), window(None), window("x")]
)
def test_a_window_that_cannot_be_read_is_neither_open_nor_closed(drive: Drive, unclear: Instance) -> None:
    def window_open(*windows: Instance) -> Any:
        return drive(impact(CLOCK), [], [], [], NO_RESTART, list(windows)).window_open

    assert isinstance(window_open(unclear), Unknown)
    assert isinstance(window_open(window("1", 1, 2), unclear), Unknown)
    assert window_open(unclear, window("1")) == Known(True)


def test_the_times_of_other_windows_are_not_even_read(drive: Drive) -> None:
    assert drive(impact(CLOCK), [], [], [], NO_RESTART, [window("6", "soon", None)]).window_open == Absent()


# -- through the real server ----------------------------------------------------------------------------------------


def known_at_the_pc(client: Client, now: datetime) -> tuple[set[str], bool, bool | None]:
    """Return what somebody at the PC knows: what is due, whether a restart waits, whether a window is open."""
    windows = [each for each in client.service_windows if each.type is not WindowType.NON_WORKING_HOURS]
    spans = [each.occurrence(now) for each in windows]
    return (
        {item.name for item in client.deployments if item.due(now)},
        client.pending_restart is not None,
        any(begin <= now < end for begin, end in spans) if spans else None,
    )


def test_the_impact_read_through_a_real_server_is_what_the_clients_know(connect: Callable[..., Session]) -> None:
    mix = {"self-healing": 4, "wrong-clock": 1, "healthy": 1}
    placed = fleet.compose(40, 3, mix)
    start = datetime.now(timezone.utc)
    known = {}
    for item in placed:
        pc = build_pc(item.persona, item.name, item.seed, start, lambda: 0.0)
        assert pc.client is not None
        known[item.name] = known_at_the_pc(pc.client, pc.now())

    found = {}
    with LabProcess(40, 3, mix=mix) as lab:
        for host in lab.hosts:
            reading = connect(lab, host, read_only=True).converse(exit_impact())
            assert isinstance(reading, Known)
            answer = reading.value
            assert isinstance(answer.past_due, Known)
            assert isinstance(answer.reboot_pending, Known)
            window_open = answer.window_open.value if isinstance(answer.window_open, Known) else None
            assert window_open is not None or answer.window_open == Absent()
            found[host.name] = (set(answer.past_due.value), answer.reboot_pending.value, window_open)

    assert found == known
    assert {restart for _, restart, _ in known.values()} == {True, False}
    assert {window_open for _, _, window_open in known.values()} == {True, False, None}
    assert set().union(*(due for due, _, _ in known.values())) >= {"7-Zip 24.09", "Contoso VPN 5.2", "Office Update"}


def test_an_unknown_answer_never_counts_as_nothing(drive: Drive) -> None:
    denied, away = AccessDenied("no"), RemoteFault("not now", code=1, kind="unavailable")

    found = drive(impact(CLOCK), [], denied, away, away)

    assert isinstance(found.past_due, Unknown)
    assert isinstance(found.reboot_pending, Unknown)
    assert isinstance(found.window_open, Unknown)
    assert not found.starts_installs
    assert found.words == "could not tell what would start (access-denied)"


def test_without_the_pcs_clock_no_deadline_is_judged(drive: Drive) -> None:
    found = drive(impact(None), NO_RESTART)

    assert isinstance(found.past_due, Unknown)
    assert isinstance(found.window_open, Unknown)


def test_an_impact_survives_its_json_form(drive: Drive) -> None:
    found = drive(impact(CLOCK), [deployment("late", NOW)], [], [], NO_RESTART, [])

    assert Impact.from_json(found.to_json()) == found
