"""A run that changes PCs stays inside its windows: it begins in none that is shut, and no host that might not be ready.

The PCs are the lab's, near; the clock is moved by the test alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from provmode.calendars.events import CalendarRefused
from provmode.calendars.spans import Span
from provmode.ccm.policy import Policy
from provmode.errors import Unreachable, UsageError
from provmode.fleet.apply import ApplyResult, apply_plan
from provmode.fleet.apply_host import HostResult
from provmode.fleet.guards import RunRefused
from provmode.fleet.journal import read
from provmode.fleet.results import HostOutcome
from provmode.fleet.retrying import Retrying
from provmode.fleet.undo import undo_run
from provmode.fleet.waves import Limits
from provmode.fleet.windows import Calendar, WindowGuard, Windows, calendars, last_moment, read_drain
from provmode.lab.windows.deployments import ServiceWindow, WindowType

START = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
"""When the clock of a bench begins."""
DRAIN = 300.0
CHANGED, FAILED = HostOutcome.CHANGED, HostOutcome.FAILED


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def events(*spans: tuple[float, float]) -> str:
    """A calendar whose events are from and to these minutes after the start."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//a test//EN"]
    for number, (begins, ends) in enumerate(spans):
        times = f"DTSTART:{at(begins):%Y%m%dT%H%M%SZ}", f"DTEND:{at(ends):%Y%m%dT%H%M%SZ}"
        lines += ["BEGIN:VEVENT", f"UID:{number}", f"SUMMARY:event {number}", *times, "END:VEVENT"]
    return "\r\n".join((*lines, "END:VCALENDAR", ""))


class Inventory:
    """An inventory in memory."""

    name, path = "the near PCs", None

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def read(self) -> Any:
        return {"all": ([f"@winrm/{name}" for name in self._names], {"winrm_user": "a", "winrm_password": "b"})}


class Night:
    """PCs, a plan for them, and the calendars of one test."""

    def __init__(self, bench: Any, near: Any) -> None:
        self.bench, self.folder = bench, bench.folder
        self.runner = near.in_turn(bench)
        self.near = near
        self.seconds: Callable[[], float] = bench.clock
        self.holds: list[Span] = []
        self.plan: Any = None

    def pcs(self, number: int = 3, persona: str = "armed", policy: Policy | None = None) -> None:
        """Make PCs, and a plan for them."""
        for each in range(1, number + 1):
            self.bench.pc(persona, f"PC-{each}", seed=each)
        self.plan = self.bench.plan(hours=48, policy=policy)

    def own_window(self, name: str, *begins: float) -> None:
        """Give a PC a ConfigMgr maintenance window for each of these minutes after the start, an hour long."""
        client = self.bench.pcs[name].machine.client
        always = ServiceWindow("{6}", WindowType.NON_WORKING_HOURS, at(-60), timedelta(hours=9), timedelta(days=1))
        hour = timedelta(hours=1)
        own = [ServiceWindow("{1}", WindowType.ALL_PROGRAMS, at(each), hour, timedelta(days=7)) for each in begins]
        client.service_windows = [always, *own]

    def delay(self, name: str, number: int, seconds: float) -> list[int]:
        """Let a PC take so many seconds for one of its answers; return how often it was asked, as it goes on."""
        pc, asked = self.bench.pcs[name], [0]
        answer = pc.answer

        def slow(message: bytes) -> Any:
            if asked[0] == number:
                self.bench.wait(seconds)
            asked[0] += 1
            return answer(message)

        pc.answer = slow
        return asked

    def calendar(self, name: str, *spans: tuple[float, float]) -> Path:
        path: Path = self.folder / name
        path.write_text(events(*spans))
        return path

    def windows(self, *open_: tuple[float, float], shut: tuple[tuple[float, float], ...] = (), **more: Any) -> Windows:
        blackouts = (Calendar(self.calendar("freeze.ics", *shut), blackout=True),) if shut else ()
        windows = (Calendar(self.calendar("windows.ics", *open_)),) if open_ else None
        return Windows(self.bench.now, windows, blackouts, zone=timezone.utc, holds=lambda: self.holds, **more)

    def guard(self, windows: Windows, drain: float = DRAIN) -> WindowGuard:
        return WindowGuard(windows, seconds=self.seconds, drain=drain)

    def apply(self, windows: Windows, *, wave: str = "1,1", drain: float = DRAIN, **options: Any) -> ApplyResult:
        return apply_plan(
            self.plan,
            Inventory(list(self.bench.pcs)),
            journal=options.pop("journal", self.folder / "journal"),
            limits=options.pop("limits", Limits(wave=wave)),
            now=self.bench.now,
            runner=self.runner,
            pause=self.bench.wait,
            seconds=self.bench.clock,
            guards=[self.guard(windows, drain)],
            **options,
        )

    def changed(self) -> list[str]:
        return [name for name, pc in self.bench.pcs.items() if pc.changes]


@pytest.fixture
def night(bench: Any, near: Any) -> Night:
    return Night(bench, near)


def ended(result: Any) -> list[str]:
    return [host.outcome.value for host in result.hosts]


# -- before the start -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("open_", "shut", "says"),
    [
        ([(60, 120)], (), "no window is open; it opens next at 2026-11-26 13:00 UTC"),
        ([(-60, 0)], (), "no window is open; no window opens before 2027-12-31 12:00 UTC: give another calendar"),
        ([(-60, 600)], ((-10, 30),), "a blackout holds; it opens next at 2026-11-26 12:30 UTC"),
        ([], ((-10, 30),), "a blackout holds; it opens next at 2026-11-26 12:30 UTC"),
    ],
)
def test_outside_its_windows_a_run_is_refused_and_told_when_the_next_one_opens(
    night: Night, open_: Any, shut: Any, says: str
) -> None:
    night.pcs()

    with pytest.raises(RunRefused) as refused:
        night.apply(night.windows(*open_, shut=shut))

    assert str(refused.value) == f"nothing may be changed now: {says}"
    assert night.changed() == []
    assert not (night.folder / "journal").exists()


def test_a_run_in_whose_window_no_host_can_end_is_refused(night: Night) -> None:
    night.pcs()

    with pytest.raises(
        RunRefused, match=r"^a host may take 5 min, and nothing may be changed from 2026-11-26 12:05 UTC"
    ):
        night.apply(night.windows((-60, 5)))

    assert night.changed() == []


def test_a_calendar_that_cannot_be_relied_on_lets_no_run_begin(night: Night) -> None:
    night.pcs()
    windows = night.windows((-60, 600))
    (night.folder / "windows.ics").write_text("no calendar")

    with pytest.raises(CalendarRefused, match=r"windows\.ics: it is not an iCalendar file"):
        night.apply(windows)

    assert night.changed() == []


def test_without_windows_a_last_moment_counts_alone(night: Night) -> None:
    night.pcs()

    result = night.apply(night.windows(not_after=at(8)))

    assert ended(result) == ["changed", "changed", "changed"]


# -- during the run -------------------------------------------------------------------------------------------------


def test_when_the_window_closes_the_rest_is_deferred_and_resumed_in_the_next_one(night: Night) -> None:
    night.pcs(4)
    windows = night.windows((-60, 6), (600, 700))
    night.delay("PC-1", 0, 20)
    night.runner.at_end_of["PC-2"] = lambda: night.bench.wait(250)

    first = night.apply(windows)

    assert ended(first) == ["changed", "changed", "deferred", "deferred"]
    assert first.exit_code() == 2
    assert first.stopped is not None
    assert first.stopped.to_json() == {
        "guard": "window",
        "why": "a host may take 1 min, and nothing may be changed from 2026-11-26 12:06 UTC on",
        "deferred": True,
        "next_step": "go on in the next window (--resume)",
    }
    assert night.bench.now() <= at(6)
    before = night.changed()
    night.bench.wait(120)
    with pytest.raises(RunRefused, match="it opens next at 2026-11-26 22:00 UTC"):
        night.apply(windows, resume=True)
    night.bench.wait(600 * 60 - night.bench.seconds)

    second = night.apply(windows, resume=True)

    assert before == ["PC-1", "PC-2"]
    assert (ended(second), second.exit_code()) == (["changed"] * 4, 0)
    assert night.changed() == ["PC-1", "PC-2", "PC-3", "PC-4"]
    assert read(night.folder / "journal").closed


def test_a_blackout_that_begins_stops_a_run_as_the_end_of_a_window_does(night: Night) -> None:
    night.pcs(3)
    night.runner.at_end_of["PC-2"] = lambda: night.bench.wait(250)

    result = night.apply(night.windows((-60, 600), shut=((6, 20),)), wave="all")

    assert ended(result) == ["changed", "changed", "deferred"]


def test_what_somebody_holds_back_counts_as_a_blackout(night: Night) -> None:
    night.pcs(3)
    night.runner.at_end_of["PC-2"] = lambda: night.bench.wait(250)
    night.holds.append(Span(at(6), at(20)))

    assert ended(night.apply(night.windows((-60, 600)))) == ["changed", "changed", "deferred"]


def test_a_window_that_closes_at_any_request_to_a_host_cuts_nothing_off(night: Night) -> None:
    number, requests = 0, 1
    while number < requests:
        night.pcs(2, "stuck-old-client")
        asked = night.delay("PC-1", number, 70)
        end = (night.bench.seconds + 61) / 60

        result = night.apply(night.windows((-60, end)), drain=1.0, journal=night.folder / f"journal-{number}")

        assert (number, ended(result)) == (number, ["changed", "deferred"])
        assert night.bench.now() > at(end)
        assert night.changed() == ["PC-1"]
        number, requests = number + 1, asked[0]
    assert requests > 40, "from the look before to the end of the lease"


def test_need_is_learned_from_the_hosts_of_the_run(night: Night) -> None:
    night.pcs(3)
    night.delay("PC-1", 0, 90)

    result = night.apply(night.windows((-60, 17)), drain=900)

    assert ended(result) == ["changed"] * 3, "nobody would have been begun if each were expected to take 15 minutes"


def test_nothing_is_learned_from_a_host_that_is_left_as_it_is(night: Night) -> None:
    night.pcs(3)
    night.bench.pcs["PC-1"].work(*night.plan.changing[0].steps)
    before = night.bench.pcs["PC-1"].changes
    night.delay("PC-1", 0, 20)
    night.delay("PC-2", 0, 140)

    result = night.apply(night.windows((-60, 216 / 60)), drain=150)

    assert ended(result) == ["already", "deferred", "deferred"], "how long a change takes is not known yet"
    assert night.bench.pcs["PC-1"].changes == before


def test_a_host_that_failed_slowly_counts_and_one_that_failed_fast_does_not() -> None:
    guard = WindowGuard(Windows(lambda: START, not_after=at(9)), seconds=lambda: 0.0, drain=600)
    fits = [guard.before_host("PC-1") is None]

    for outcome, seconds in ((FAILED, 5), (CHANGED, 10), (FAILED, 500)):
        guard.host_ended("PC-1", HostResult("PC-1", outcome), seconds)
        fits.append(guard.before_host("PC-2") is None)

    assert fits == [False, False, True, False]


# -- what changes between waves -------------------------------------------------------------------------------------


def test_a_calendar_that_changes_between_waves_counts_as_it_is_then(night: Night) -> None:
    night.pcs(3)
    windows = night.windows((-60, 600))
    night.runner.at_end_of["PC-1"] = lambda: night.calendar("windows.ics", (-60, 0), (300, 360))

    result = night.apply(windows)

    assert ended(result) == ["changed", "deferred", "deferred"]
    assert result.stopped is not None
    assert result.stopped.why == "nothing may be changed now: no window is open"
    assert result.stopped.next_step == "it opens next at 2026-11-26 17:00 UTC"


@pytest.mark.parametrize("how", ["gone", "broken", "without a zone", "a folder"])
def test_a_calendar_that_cannot_be_relied_on_any_more_stops_the_run_and_nobody_is_begun(night: Night, how: str) -> None:
    night.pcs(3)
    windows = night.windows((-60, 600))
    path = night.folder / "windows.ics"

    def spoil() -> None:
        path.unlink()
        if how == "broken":
            path.write_text(events((-60, 600))[:-30])
        elif how == "without a zone":
            path.write_text(events((-60, 600)).replace("Z\r", "\r"))
        elif how == "a folder":
            path.mkdir()

    night.runner.at_end_of["PC-1"] = spoil

    result = night.apply(windows)

    assert ended(result) == ["changed", "not-started", "not-started"]
    assert result.exit_code() == 2
    assert result.stopped is not None
    assert result.stopped.guard == "calendar"
    assert "windows.ics" in result.stopped.why
    assert night.changed() == ["PC-1"]
    [line] = [each for each in map(json.loads, (night.folder / "journal").read_bytes().splitlines()) if "guard" in each]
    assert line["event"] == "guard-tripped"


@pytest.mark.parametrize("jump", [-3600.0, -61.0, 61.0, 3600.0])
def test_a_clock_that_jumps_stops_the_run(night: Night, jump: float) -> None:
    night.pcs(3)
    astray = [0.0]
    night.seconds = lambda: night.bench.seconds - astray[0]
    night.runner.at_end_of["PC-1"] = lambda: astray.__setitem__(0, jump)

    result = night.apply(night.windows((-600, 6000)))

    assert ended(result) == ["changed", "not-started", "not-started"]
    assert result.stopped is not None
    assert (result.stopped.guard, result.exit_code()) == ("clock", 2)
    assert f"was put {'forward' if jump > 0 else 'back'} by 1 " in result.stopped.why
    assert ended(night.apply(night.windows((-600, 6000)), resume=True)) == ["changed"] * 3


@pytest.mark.parametrize("jump", [-60.0, 0.0, 60.0])
def test_a_clock_that_is_corrected_by_little_stops_nothing(night: Night, jump: float) -> None:
    night.pcs(2)
    astray = [0.0]
    night.seconds = lambda: night.bench.seconds - astray[0]
    night.runner.at_end_of["PC-1"] = lambda: astray.__setitem__(0, jump)

    assert ended(night.apply(night.windows((-600, 6000)))) == ["changed"] * 2


# -- rounds, and undo -----------------------------------------------------------------------------------------------


def test_no_round_begins_outside_the_windows(night: Night) -> None:
    night.pcs(2)
    away = night.bench.pcs["PC-2"]
    away.error = Unreachable("PC-2: no answer")
    retrying = Retrying(at(120), every=900)

    result = night.apply(night.windows((-60, 15)), retrying=retrying)

    assert ended(result) == ["changed", "unreached"]
    assert result.stopped is not None
    assert result.stopped.guard == "window"
    assert [wave for wave in night.runner.visited if "PC-2" in wave] == [["PC-2"]], "its round would begin at 12:15"


def test_a_round_within_the_window_goes_on(night: Night) -> None:
    night.pcs(2)
    away = night.bench.pcs["PC-2"]
    away.error = Unreachable("PC-2: no answer")
    night.runner.at_end_of["PC-2"] = away.heal

    result = night.apply(night.windows((-60, 60)), retrying=Retrying(at(120), every=900))

    assert ended(result) == ["changed", "changed"]


def test_an_undo_stays_inside_its_windows_too(night: Night) -> None:
    night.pcs(3)
    night.apply(night.windows((-60, 600)))
    journal, inventory = night.folder / "journal", Inventory(list(night.bench.pcs))
    options: dict[str, Any] = {
        **{"now": night.bench.now, "seconds": night.bench.clock, "pause": night.bench.wait, "runner": night.runner},
        **{"limits": Limits(wave="1,1"), "unsigned": True},
    }
    with pytest.raises(RunRefused):
        undo_run(journal, inventory, guards=[night.guard(night.windows((60, 120)))], **options)
    night.runner.at_end_of["PC-1"] = lambda: night.bench.wait(3600)

    result = undo_run(journal, inventory, guards=[night.guard(night.windows((-60, 60)))], **options)

    assert (ended(result), result.exit_code()) == (["restored", "deferred", "deferred"], 2)
    again = undo_run(journal, inventory, guards=[night.guard(night.windows((-60, 600)))], **options)
    assert ended(again) == ["nothing", "restored", "restored"]


# -- the PC's own maintenance window --------------------------------------------------------------------------------

OWN = Policy(only_in_maintenance_window=True)


def test_a_pc_outside_its_own_maintenance_window_is_deferred_and_the_others_are_not(night: Night) -> None:
    night.pcs(4, policy=OWN)
    night.own_window("PC-1", -30)
    night.own_window("PC-2", 90)
    night.own_window("PC-3")
    night.own_window("PC-4", 90, -30)

    result = night.apply(night.windows((-60, 600)))

    assert ended(result) == ["changed", "deferred", "changed", "changed"], "PC-3 has no maintenance window"
    assert (result.exit_code(), result.stopped) == (2, None)
    assert result.hosts[1].detail == "no maintenance window of this PC is open"
    assert night.changed() == ["PC-1", "PC-3", "PC-4"]
    night.bench.wait(100 * 60)
    assert ended(night.apply(night.windows((-60, 600)), resume=True)) == ["changed"] * 4


def test_pcs_outside_their_own_maintenance_windows_do_not_end_the_run_for_the_others(night: Night) -> None:
    night.pcs(7, policy=OWN)
    for number in range(1, 8):
        night.own_window(f"PC-{number}", 90 if number < 5 else -30)

    result = night.apply(night.windows((-60, 600)), limits=Limits(wave="5", min_reached="50%"))

    assert ended(result) == ["deferred"] * 4 + ["changed"] * 3
    assert (result.exit_code(), result.stopped) == (2, None)


def test_a_pc_that_cannot_tell_whether_its_window_is_open_is_left_as_it_is(night: Night) -> None:
    night.pcs(2, policy=OWN)
    for name in night.bench.pcs:
        night.own_window(name, -30)
    night.bench.pcs["PC-1"].refuse("CCM_ServiceWindow", times=9)

    result = night.apply(night.windows((-60, 600)))

    assert ended(result) == ["deferred", "changed"]
    assert result.hosts[0].detail.startswith("could not tell whether a maintenance window of this PC is open: ")
    assert night.changed() == ["PC-2"]


def test_without_this_policy_nobody_asks_for_maintenance_windows(night: Night) -> None:
    night.pcs(1)
    night.own_window("PC-1", 90)
    night.bench.pcs["PC-1"].refuse("CCM_ServiceWindow", times=9)

    assert ended(night.apply(night.windows((-60, 600)))) == ["changed"]


def test_the_policy_of_today_is_enough() -> None:
    assert Policy().protecting_like(OWN).only_in_maintenance_window
    assert OWN.protecting_like(Policy()).only_in_maintenance_window
    assert not Policy().protecting_like(Policy()).only_in_maintenance_window


# -- what options say -----------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("18:00", datetime(2026, 11, 26, 18, tzinfo=BERLIN)),
        ("01:00", datetime(2026, 11, 27, 1, tzinfo=BERLIN)),
        ("2026-11-28T06:00+01:00", datetime(2026, 11, 28, 6, tzinfo=BERLIN)),
        ("2026-11-26T23:00Z", datetime(2026, 11, 27, 0, tzinfo=BERLIN)),
    ],
)
def test_a_last_moment_is_a_time_of_day_or_a_date_and_time(text: str, moment: datetime) -> None:
    assert last_moment(text, START, BERLIN) == moment


def test_a_time_of_day_that_has_passed_is_not_tomorrows() -> None:
    """A timer that starts a run late must not give it until the next night."""
    with pytest.raises(RunRefused, match=r"^--not-after 06:00 has passed: it comes next in 17 h 0 min; start earlier"):
        last_moment("06:00", START, BERLIN)
    with pytest.raises(RunRefused, match=r"^--not-after 2026-11-26T06:00Z: it has passed; give a later one"):
        last_moment("2026-11-26T06:00Z", START, BERLIN)


@pytest.mark.parametrize("text", ["breakfast", "25:00", "2026-11-28T06:00"])
def test_a_last_moment_that_is_none_is_the_users_mistake(text: str) -> None:
    with pytest.raises(UsageError, match=f"^--not-after {text}: "):
        last_moment(text, START, BERLIN)


def test_the_drain_is_a_length_of_time() -> None:
    assert read_drain("15m") == 900
    with pytest.raises(UsageError, match=r"^--drain 5: it is not a length of time"):
        read_drain("5")


def test_none_takes_the_calendars_of_the_configuration_away() -> None:
    assert calendars(["none"], zone=None) is None
    assert calendars([], zone=None) is None
    with pytest.raises(UsageError, match=r"^--blackout none takes calendars away; give it alone"):
        calendars(["none", "a.ics"], zone=None, blackout=True)
