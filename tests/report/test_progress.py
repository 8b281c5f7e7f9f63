"""Progress without a terminal: lines when waves begin, while the run waits, and at intervals."""

from __future__ import annotations

from provmode.ccm.verdict import unassessed
from provmode.fleet.apply_host import HostResult
from provmode.fleet.looking import HostReport
from provmode.fleet.progress import SILENT, WaveProgress, soaks, wave_begins
from provmode.fleet.results import HostOutcome
from provmode.fleet.traces import HostTraces
from provmode.fleet.undo_preview import HostPreview
from provmode.remediation.traces import Traces
from provmode.report.progress import EVERY, LogProgress


class Log:
    """A progress whose clock is set by the test."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.time = 100.0
        self.progress = LogProgress("applying", self.lines.append, lambda: self.time)


def test_a_short_run_says_nothing() -> None:
    log = Log()

    log.progress.begin(2)
    wave_begins(log.progress, 1, 1, 2)
    for name in ("PC-1", "PC-2"):
        log.progress.ended(HostResult(name, HostOutcome.CHANGED))

    assert log.lines == []


def test_a_long_run_says_at_intervals_how_far_it_is_also_if_no_host_ends() -> None:
    log = Log()
    log.progress.begin(400)
    log.progress.ended(HostReport("PC-1", unassessed("tls", "x")))

    for _ in range(3):
        log.time += EVERY
        log.progress.look()
        log.progress.look()

    assert log.lines[0] == "applying: 1 of 400 hosts done (1 unassessed); 30 s so far"
    assert [line.rpartition("; ")[2] for line in log.lines] == ["30 s so far", "60 s so far", "90 s so far"]


def test_waves_and_the_wait_between_them_are_said() -> None:
    log = Log()
    log.progress.begin(12)

    wave_begins(log.progress, 1, 2, 2)
    log.progress.ended(HostResult("PC-1", HostOutcome.CHANGED))
    log.progress.ended(HostResult("PC-2", HostOutcome.FAILED))
    for left in (40.0, 39.5, 5.0):
        log.time = 140.0 - left
        soaks(log.progress, 2, 2, left)
    wave_begins(log.progress, 2, 2, 10)

    assert log.lines == [
        "applying: wave 1 of 2 begins: 2 hosts",
        "applying: 2 of 12 hosts done (1 changed, 1 failed); 40 s left before wave 2 of 2",
        "applying: 2 of 12 hosts done (1 changed, 1 failed); 5 s left before wave 2 of 2; 35 s so far",
        "applying: wave 2 of 2 begins: 10 hosts",
    ]


def test_a_progress_that_knows_no_waves_is_not_told_of_them() -> None:
    assert not isinstance(SILENT, WaveProgress)
    wave_begins(SILENT, 1, 2, 3)
    soaks(SILENT, 1, 2, 3.0)


def test_a_line_says_what_came_of_a_host_in_plain_words() -> None:
    log = Log()
    log.progress.begin(4)

    log.progress.ended(HostTraces("PC-1", Traces((), ("the folder cannot be read",), ("protocol",))))
    log.progress.ended(HostTraces("PC-2", Traces(())))
    log.progress.ended(HostPreview("PC-3", HostOutcome.RESTORED))
    log.time += EVERY
    log.progress.ended(HostResult("PC-4", HostOutcome.CHANGED))

    words = "1 not looked at, 1 without, 1 would be restored, 1 changed"
    assert log.lines == [f"applying: 4 of 4 hosts done ({words}); 30 s so far"]


def test_a_run_that_tries_again_says_when_and_is_quiet_while_it_waits() -> None:
    log = Log()
    log.progress.begin(60)
    for number in range(60):
        log.progress.ended(HostReport(f"PC-{number}", unassessed("refused", "x")))

    log.progress.waiting("12 hosts still away; next round at 02:15, until 06:00")
    log.time += 10 * EVERY
    log.progress.look()
    log.progress.noticed("the clock was put back")
    log.progress.round(2, 12)
    log.progress.ended(HostReport("PC-1", unassessed("refused", "x")))
    log.time += EVERY
    log.progress.look()

    assert log.lines == [
        "applying: 12 hosts still away; next round at 02:15, until 06:00",
        "applying: the clock was put back",
        "applying: round 2 begins: 12 hosts",
        "applying: 1 of 12 hosts done (1 unassessed); 330 s so far",
    ]
