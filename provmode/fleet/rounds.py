"""Waiting for the next round of a run that tries hosts again (`provmode.fleet.retrying`)."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import gevent

from provmode.ccm.rules import duration
from provmode.fleet.progress import SILENT, Progress, RoundProgress
from provmode.fleet.retrying import Retrying, Timetable
from provmode.fleet.visit import never

TICK = 0.5
"""Seconds after which a run that waits looks again whether it was stopped, and what the clocks show."""


class Rounds:
    """The rounds of one run; its first look is the first of them, and begins when this is made.

    *now* is the controller's clock, UTC; *seconds* is a monotonic one and *pause* waits. Nothing is waited for once
    *stop* turns true.
    """

    def __init__(
        self,
        retrying: Retrying,
        *,
        now: Callable[[], datetime],
        stop: Callable[[], bool] = never,
        progress: Progress = SILENT,
        seconds: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Any] = gevent.sleep,
    ) -> None:
        self._now, self._seconds, self._pause, self._stop = now, seconds, pause, stop
        self._progress = progress if isinstance(progress, RoundProgress) else None
        self._timetable = Timetable(retrying, now(), seconds())
        self._number = 1

    def wait(self, hosts: int) -> bool:
        """Wait until the next round, of so many *hosts*, begins; return whether it does.

        It does not if there is nobody to try, if it would begin at or after the end, or if the run is stopped.
        """
        if not hosts or self._stop():
            return False
        gc.collect()  # pyinfra's objects of the last round refer to each other in circles
        said = False
        while True:
            jumped = self._timetable.look(self._now(), self._seconds())
            if jumped:
                self._notice(jumped)
            left = self._timetable.left
            if left is None or self._stop():
                return False
            if not left:
                break
            if self._progress is not None and (jumped or not said):
                self._progress.waiting(self._timetable.words(hosts, left))
                said = True
            self._pause(min(left, TICK))
        self._timetable.begin()
        self._number += 1
        if self._progress is not None:
            self._progress.round(self._number, hosts)
        return True

    def _notice(self, jumped: float) -> None:
        if self._progress is not None:
            length = duration(timedelta(seconds=abs(jumped)))
            way = f"was put forward by {length}, or it slept" if jumped > 0 else f"was put back by {length}"
            self._progress.noticed(f"the clock of this computer {way}; the rounds go on by the new time")
