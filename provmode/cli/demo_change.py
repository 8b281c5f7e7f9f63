"""The last part of ``provmode demo --fix --page``: a window that closes in the middle of an apply, and a waiver.

The clock of PCs and controller is days ahead, and runs as ever. So the window really closes while the run goes on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from provmode.cli.apply import run_apply_of, show_apply
from provmode.cli.audit import run_audit_of, show_audit
from provmode.cli.plan import run_plan_of, show_plan
from provmode.clock import utc_now

if TYPE_CHECKING:
    from provmode.fleet.apply import ApplyResult
    from provmode.fleet.audit import Audit
    from provmode.fleet.plan import Planned
    from provmode.fleet.plan_file import Plan

NIGHT = timedelta(days=1)
DRAIN, OPEN, SOAK = 60.0, 4.0, 4.0
"""Seconds: what a host may take, for how long hosts are begun, and between the waves. So no second wave is begun."""
PARTS = ("planned", "window", "resumed", "waived")
"""The names of these stages in JSON."""


@dataclass
class ChangeNights:
    """Two nights of change over some *hosts* of an inventory; *end* takes each result by the name of its stage."""

    inventory: str
    hosts: tuple[str, ...]
    folder: Path
    key: bytes
    parallel: int
    ahead: timedelta
    """How far the clock is ahead."""
    begin: Callable[[str], None]
    end: Callable[..., None]

    def now(self) -> datetime:
        """Return the time of the demo."""
        return utc_now() + self.ahead

    def run(self, waived: str, next_night: Callable[[], None]) -> Audit:
        """Plan, apply until the window closes, let *next_night* come, go on, and audit; the PC *waived* is left alone.

        Returns the audit.
        """
        from provmode.fleet.waivers_file import Rereading

        file = self.folder / "waivers.toml"
        file.write_text(_waiver(waived, self.now()), "utf-8")
        waivers = Rereading(file, now=self.now)
        self.begin(f"somebody breaks more PCs that were mended, and waives {waived}: plan")
        plan = self._plan(waivers)
        closes = self.now() + timedelta(seconds=60 + DRAIN + OPEN)
        calendar = self.folder / "windows.ics"
        calendar.write_text(_calendar(closes - timedelta(hours=4), closes), "utf-8")
        self.begin(f"apply, in a window that closes at {closes:%H:%M:%S} UTC")
        first = self._apply(plan, calendar, waivers, soak=SOAK, resume=False)
        self.end("window", first.to_json, lambda: show_apply(first), interrupted=first.interrupted)
        next_night()
        self.ahead += NIGHT - timedelta(hours=2)
        self.begin(f"that was exit code {first.exit_code()}; the next night, in the next window: apply --resume")
        rest = self._apply(plan, calendar, waivers, soak=0.0, resume=True)
        self.end("resumed", rest.to_json, lambda: show_apply(rest), interrupted=rest.interrupted)
        return self._audit(waivers)

    def _plan(self, waivers: Callable[[], Any]) -> Plan:
        from provmode.fleet.plan import plan_inventory
        from provmode.fleet.plan_file import load, sign, write

        def planner(inventory: Any, **options: Any) -> Planned:
            return plan_inventory(inventory, **{**options, "now": self.now})

        planned = run_plan_of(
            self.inventory, limit=self.hosts, parallel=self.parallel, planner=planner, waivers=waivers()
        )
        unsigned = planned.document(
            plan_id=str(uuid.uuid4()),
            inventory=self.inventory,
            limit=self.hosts,
            by="demo",
            now=self.now(),
            valid=timedelta(hours=36),
        )
        self.end("planned", lambda: unsigned, lambda: show_plan(planned), interrupted=planned.audit.interrupted)
        path = self.folder / "night.json"
        write(path, sign(unsigned, self.key))
        return load(path, self.key, unsigned=False, now=self.now())

    def _apply(
        self, plan: Plan, calendar: Path, waivers: Callable[[], Any], *, soak: float, resume: bool
    ) -> ApplyResult:
        from provmode.fleet.begun import Settled
        from provmode.fleet.waves import Limits
        from provmode.fleet.windows import Calendar, WindowGuard, Windows

        windows = Windows(self.now, (Calendar(calendar),))
        return run_apply_of(
            plan,
            self.inventory,
            journal=self.folder / "night.json.journal",
            settled=Settled(Limits("1", soak, parallel=self.parallel), "those of the demo"),
            key=self.key,
            now=self.now,
            resume=resume,
            guards=(WindowGuard(windows, seconds=monotonic, drain=DRAIN),),
            waivers=waivers,
        )

    def _audit(self, waivers: Callable[[], Any]) -> Audit:
        from provmode.report.document import document

        self.begin("the last audit, of these PCs, with the waiver")
        found = run_audit_of(self.inventory, limit=self.hosts, parallel=self.parallel, waivers=waivers(), now=self.now)
        self.end("waived", lambda: document(found), lambda: show_audit(found), interrupted=found.interrupted)
        return found


def _calendar(begins: datetime, closes: datetime) -> str:
    """Return a calendar with a window on each of two nights."""
    lines: Sequence[str] = (
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//provmode//demo//EN", "BEGIN:VEVENT", "UID:demo"),
        *(f"{name}:{moment:%Y%m%dT%H%M%SZ}" for name, moment in (("DTSTAMP", begins), ("DTSTART", begins))),
        *(f"DTEND:{closes:%Y%m%dT%H%M%SZ}", "RRULE:FREQ=DAILY;COUNT=2", "SUMMARY:change window"),
        *("END:VEVENT", "END:VCALENDAR", ""),
    )
    return "\r\n".join(lines)


def _waiver(host: str, now: datetime) -> str:
    return f"""zone = "UTC"

[[waiver]]
host = "{host}"
owner = "Ben Ito"
reason = "measures until the trial is over"
ticket = "CHG0012399"
created = {now:%Y-%m-%d}
expires = {now + timedelta(days=30):%Y-%m-%d}
effect = "hold"
"""
