"""What leaving the mode sets off: told by the PC's own clock, and said where it could not be told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from provmode.ccm.model import Clock
from provmode.errors import AccessDenied, RemoteFault
from provmode.reading import Absent, Known, Unknown
from provmode.remedy.impact import Impact, impact
from provmode.wsman import Instance

Drive = Callable[..., Any]
NOW = datetime(2026, 8, 20, 12, 0, tzinfo=timezone.utc)
CLOCK = Clock(NOW, 120, None)
NO_RESTART = Instance("X_OUTPUT", {"RebootPending": "false", "ReturnValue": "0"})


def deployment(name: str, deadline: datetime | None) -> Instance:
    return Instance("CCM_Program", {"Name": name, "Deadline": deadline})


def test_what_is_past_its_deadline_by_the_pcs_clock_would_start(drive: Drive) -> None:
    programs = [
        deployment("late", NOW - timedelta(minutes=1)),
        deployment("not yet", NOW + timedelta(minutes=1)),
        deployment("available", None),
    ]

    found = drive(impact(CLOCK), programs, [deployment("app", NOW)], [], NO_RESTART, [])

    assert found == Impact(Known(("app", "late")), Known(False), Absent())
    assert found.starts_installs
    assert found.words == "would start installing at once: app, late"


def test_a_pending_restart_and_an_open_window_are_said(drive: Drive) -> None:
    restart = Instance("X_OUTPUT", {"RebootPending": "true", "ReturnValue": "0"})
    window = Instance("CCM_ServiceWindow", {"StartTime": NOW - timedelta(hours=1), "EndTime": NOW + timedelta(hours=1)})
    over = Instance("CCM_ServiceWindow", {"StartTime": NOW - timedelta(hours=3), "EndTime": NOW - timedelta(hours=2)})

    assert drive(impact(CLOCK), [], [], [], restart, [over, window]).words == (
        "a restart is pending; a maintenance window is open"
    )
    assert drive(impact(CLOCK), [], [], [], NO_RESTART, [over]).window_open == Known(False)


def test_what_could_not_be_told_is_never_nothing(drive: Drive) -> None:
    denied, away = AccessDenied("no"), RemoteFault("not now", code=1, kind="unavailable")

    found = drive(impact(CLOCK), [], denied, away, away)

    assert isinstance(found.past_due, Unknown)
    assert isinstance(found.reboot_pending, Unknown)
    assert isinstance(found.window_open, Unknown)
    assert not found.starts_installs
    assert "could not be told (access-denied)" in found.words


def test_without_the_pcs_clock_no_deadline_is_judged(drive: Drive) -> None:
    found = drive(impact(None), NO_RESTART)

    assert isinstance(found.past_due, Unknown)
    assert isinstance(found.window_open, Unknown)


def test_it_survives_its_json_form(drive: Drive) -> None:
    found = drive(impact(CLOCK), [deployment("late", NOW)], [], [], NO_RESTART, [])

    assert Impact.from_json(found.to_json()) == found
