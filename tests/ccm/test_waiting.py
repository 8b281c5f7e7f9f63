"""When work on a PC is there for longer than anything lasts: each limit at its exact second, in words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.rules import Case
from provmode.ccm.waiting import too_long
from provmode.reading import Absent, Known, Unknown
from provmode.windows.model import PcClock, ProcessStart, Setup

NOW = datetime(2026, 8, 20, 12, 0, tzinfo=timezone.utc)
LONG_SINCE, SECOND, LONGEST = timedelta(days=40), timedelta(seconds=1), timedelta(minutes=2880)
NEVER = Known(4294967295)
SETUP, NO_SETUP = Known(Setup(True, False, 0, 0, False, "")), Known(Setup(False, False, 0, 0, False, ""))
DENIED = Unknown("access-denied", "no")
NOTHING: dict[str, Any] = {
    **{"provisioning_mode": Known(True), "enabled_time": Known(NOW - timedelta(hours=1)), "max_minutes": Absent()},
    **{"processes": Known(()), "process_starts": Known(()), "setup": NO_SETUP},
    "clock": Known(PcClock(NOW, 0, NOW - LONG_SINCE)),
}
"""A client that has just entered the mode, on a PC that has been up for long."""


def waits(policy: Policy | None = None, **readings: Any) -> str:
    return too_long(Case(ClientReadings(NOW, **{**NOTHING, **readings}), policy or Policy()))


def started(ago: timedelta, name: str = "TSManager.exe") -> dict[str, Any]:
    return {"processes": Known((name,)), "process_starts": Known((ProcessStart(name, NOW - ago),))}


def entered(ago: timedelta) -> dict[str, Any]:
    return {"enabled_time": Known(NOW - ago)}


def up(ago: timedelta | None) -> dict[str, Any]:
    return {"setup": SETUP, "clock": Known(PcClock(NOW, 0, None if ago is None else NOW - ago))}


@pytest.mark.parametrize(
    ("readings", "policy", "says"),
    [
        (
            entered(timedelta(hours=50) + SECOND),
            {},
            "at work for longer than its time limit: in provisioning mode since 2026-08-18 09:59 UTC (2 days 2 h)",
        ),
        (
            {**entered(timedelta(hours=2) + SECOND), "max_minutes": Known(30)},
            {"grace_minutes": 30},
            "at work for longer than its time limit: in provisioning mode since 2026-08-20 09:59 UTC (2 h 0 min)",
        ),
        (
            {**entered(LONGEST + SECOND), "max_minutes": NEVER},
            {},
            "at work for longer than 2 days 0 h: in provisioning mode since 2026-08-18 11:59 UTC (2 days 0 h)",
        ),
        (
            started(LONGEST + SECOND, "tsmanager.EXE"),
            {},
            "tsmanager.EXE has been running since 2026-08-18 11:59 UTC (2 days 0 h), longer than 2 days 0 h",
        ),
        (
            {**started(timedelta(minutes=91)), "provisioning_mode": Known(False)},
            {"maximum_work_minutes": 90},
            "TSManager.exe has been running since 2026-08-20 10:29 UTC (1 h 31 min), longer than 1 h 30 min",
        ),
        (
            up(LONGEST + SECOND),
            {},
            "Windows Setup is in progress by its flags, none of its programs runs, and Windows last started 2 days 0 h "
            "ago",
        ),
        (
            {**up(timedelta(minutes=6)), "processes": Known(("svchost.exe",))},
            {"maximum_work_minutes": 5},
            "Windows Setup is in progress by its flags, none of its programs runs, and Windows last started 6 min ago",
        ),
    ],
)
def test_what_is_at_work_too_long_is_named_with_its_time(
    readings: dict[str, Any], policy: dict[str, Any], says: str
) -> None:
    assert waits(Policy(**policy), **readings) == says


@pytest.mark.parametrize(
    "readings",
    [
        {},
        entered(timedelta(hours=50)),
        {**entered(LONGEST), "max_minutes": NEVER},
        started(LONGEST),
        started(LONG_SINCE, "svchost.exe"),
        up(LONGEST),
        up(None),
        {**up(LONG_SINCE), "processes": Known(("SETUPHOST.exe",))},
    ],
)
def test_up_to_its_limit_nothing_is_at_work_too_long(readings: dict[str, Any]) -> None:
    assert waits(**readings) == ""


@pytest.mark.parametrize("mode", [Known(False), Absent(), DENIED])
@pytest.mark.parametrize("limit", [Absent(), NEVER])
def test_the_time_of_an_entry_into_the_mode_counts_only_while_the_client_is_in_it(mode: Any, limit: Any) -> None:
    assert waits(provisioning_mode=mode, max_minutes=limit, **entered(LONG_SINCE)) == ""


@pytest.mark.parametrize(
    "readings",
    [
        {**entered(LONG_SINCE), "clock": DENIED},
        {**started(LONG_SINCE), "clock": Absent()},
        {"enabled_time": DENIED},
        {"enabled_time": Absent(), "max_minutes": NEVER},
        {**started(LONG_SINCE), "process_starts": DENIED},
        {"setup": DENIED},
        {"setup": Absent()},
    ],
)
def test_what_is_not_known_is_not_at_work_too_long(readings: dict[str, Any]) -> None:
    assert waits(**readings) == ""


def test_of_several_processes_the_one_that_has_been_at_work_longest_is_named() -> None:
    starts = [("svchost.exe", 90), ("SetupHost.exe", 3), ("TSManager.exe", 5), ("ccmsetup.exe", 1)]
    readings = Known(tuple(ProcessStart(name, NOW - timedelta(days=days)) for name, days in starts))

    assert waits(processes=Known(tuple(name for name, _ in starts)), process_starts=readings) == (
        "TSManager.exe has been running since 2026-08-15 12:00 UTC (5 days 0 h), longer than 2 days 0 h"
    )
