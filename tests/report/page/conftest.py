"""Pages to look at: a small one that has everything, and large ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.ccm.verdict import NEXT_STEP, Verdict
from provmode.report.page.data import Became, HostRow, KnownWaiver, Made, Moment, Names, PageData, Run, Since
from provmode.report.page.groups import parts_of

BEGAN = datetime(2026, 11, 26, 2, 0, tzinfo=timezone.utc)
MADE = BEGAN + timedelta(hours=5)


def host_row(number: int, **changes: Any) -> HostRow:
    """Return a PC as one of a fleet is: what it says differs from PC to PC, as it does in a real report."""
    name = f"PC-{number:05}.corp.example.com"
    entered = BEGAN - timedelta(minutes=3 * number + 4000)
    since = f"since {entered:%Y-%m-%d %H:%M} UTC ({(BEGAN - entered).days} days {number % 24} h)"
    kinds = (
        HostRow(
            name,
            Verdict.OVERDUE,
            f"in provisioning mode {since}, nothing runs; it should have left by "
            f"{entered + timedelta(days=2):%Y-%m-%d %H:%M} UTC: take it out",
            in_mode=int((BEGAN - entered).total_seconds()),
            since=BEGAN - timedelta(days=number % 40),
        ),
        HostRow(
            name,
            Verdict.STUCK,
            f"in provisioning mode {since}, nothing runs, and client 5.00.{8000 + number % 900}.1000 (before 1902) "
            "never leaves by itself: take it out",
            in_mode=int((BEGAN - entered).total_seconds()),
            since=BEGAN - timedelta(days=number % 9),
            findings=(f"its clock is {number % 50 + 6} min behind the controller's",) if number % 5 == 0 else (),
        ),
        HostRow(
            name,
            Verdict.UNASSESSED,
            f"{name} (10.{number % 200}.{number % 250}.7:5985) did not answer within 5 s (connect deadline)",
            "connect-timeout",
            NEXT_STEP["connect-timeout"],
            since=BEGAN - timedelta(days=number % 60, hours=1),
            last_verdict=Verdict.HEALTHY if number % 2 else Verdict.STUCK,
            last_seen=BEGAN - timedelta(days=number % 60 + 1),
        ),
        HostRow(
            name,
            Verdict.UNASSESSED,
            f"{name} (10.1.{number % 250}.7:5985) refused CORP\\provmode (ntlm)",
            "auth",
            "check user and password, and whether the account is locked, disabled or expired",
            since=BEGAN - timedelta(hours=number % 40),
        ),
        HostRow(
            name,
            Verdict.SELF_HEALING,
            f"in provisioning mode {since}, nothing runs; it leaves by itself by "
            f"{BEGAN + timedelta(minutes=number % 2000):%Y-%m-%d %H:%M} UTC",
            in_mode=3600 + number % 90000,
            since=BEGAN,
        ),
        HostRow(name, Verdict.CLIENT_BROKEN, "the CcmExec service exists but root\\ccm does not answer: repair it"),
    )
    return replace(kinds[number % len(kinds)], **changes)


def healthy(number: int) -> HostRow:
    """Return a PC that is plainly healthy."""
    return HostRow(f"GOOD-{number:05}", Verdict.HEALTHY, "client 5.00.9128.1007 is not in provisioning mode")


def page_of(hosts: Sequence[HostRow], nights: int = 40, **changes: Any) -> PageData:
    """Return a page with everything: of these PCs, and with a history of so many nights."""
    trend = tuple(
        Moment(BEGAN - timedelta(days=night), 470 - night, 20 + night % 7, 10 + night, 30 + (night * 7) % 45)
        for night in reversed(range(nights))
        if night % 11 != 5
    )
    became = (
        Became("new", Names(0), Names(3, ("PC-00001", "PC-00007", "PC-00013"))),
        Became("returned", Names(0), Names(1, ("PC-00019",))),
        Became("still", Names(0), Names(12, ("PC-00006", "PC-00012", "PC-00018", "PC-00024", "PC-00030"))),
        Became("fixed", Names(4, ("PC-00100", "PC-00101", "PC-00102", "PC-00103")), Names(1, ("PC-00222",))),
        Became("lost", Names(0), Names(2, ("PC-00002", "PC-00008"))),
    )
    changes_made = (
        Made(
            "3f0c2b9e",
            "apply",
            BEGAN - timedelta(hours=30),
            "operator@controller",
            (("changed", Names(4, ("PC-00100", "PC-00101", "PC-00102", "PC-00103"))), ("failed", Names(1, ("PC-9",)))),
            "CHG0012345",
        ),
    )
    run = Run(
        "fleet.py",
        BEGAN,
        BEGAN + timedelta(minutes=4, seconds=12),
        run="2026-11-26T02:00:00Z-7f3a",
        version="0.1.0",
        policy="minimum_age_minutes = 120",
        who="provmode@controller",
        exit_code=2,
        exit_meaning="changes pending",
        source="the history",
        lowered=(("the certificate of the PC is not checked (winrm_validate)", Names.of(["PC-00003"])),),
    )
    waivers = (
        KnownWaiver("PC-0042", "Ben Ito", "CHG0012399", "on trial", "2026-11-20", "expired", False, 1, 12),
        KnownWaiver("LAB-*, rule armed", "Anna Berg", "CHG0012345", "rebuilt", "2026-12-01", "ends soon", True, 12, 40),
        KnownWaiver("group kiosk", "Anna Berg", "CHG0012301", "measures", "2027-02-28", "in use", False, 3),
    )
    data = PageData(
        MADE,
        waivers=waivers,
        run=run,
        since=Since(BEGAN - timedelta(days=1), "2026-11-25T02:00:00Z-11d0", became),
        trend=trend,
        changes=changes_made,
        **parts_of(hosts, MADE),
    )
    return replace(data, **changes)


@pytest.fixture
def make_row() -> Callable[..., HostRow]:
    """Make the row of a PC."""
    return host_row


@pytest.fixture
def make_page() -> Callable[..., PageData]:
    """Make a page of PCs."""
    return page_of


@pytest.fixture
def everything() -> PageData:
    """A page that has everything: 60 PCs that are not plainly healthy, and 100 that are."""
    return page_of([*map(host_row, range(60)), *map(healthy, range(100))])
